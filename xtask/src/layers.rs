//! Takes Rust source apart into code and comments, so that a word in a string or
//! in a comment is not taken for code.
//!
//! It knows where strings, characters and comments begin and end, and nothing
//! else of the language.

/// The code, with comments and the insides of strings blank, and the comments,
/// with all else blank. Both keep the lines and columns of the text.
pub(crate) fn of(text: &str) -> (Vec<char>, Vec<char>) {
    Layers::of(text)
}

/// The two layers while they are made, character by character. What is not in a
/// layer is blank in it, so both keep the lines and columns of the file.
struct Layers {
    chars: Vec<char>,
    at: usize,
    code: Vec<char>,
    comments: Vec<char>,
}

#[derive(Clone, Copy, PartialEq)]
enum Layer {
    Code,
    Comments,
    Neither,
}

impl Layers {
    fn of(text: &str) -> (Vec<char>, Vec<char>) {
        let chars: Vec<char> = text.chars().collect();
        let mut layers = Self {
            chars,
            at: 0,
            code: Vec::new(),
            comments: Vec::new(),
        };
        while let Some(next) = layers.peek(0) {
            match (next, layers.peek(1)) {
                ('/', Some('/')) => layers.line_comment(),
                ('/', Some('*')) => layers.block_comment(),
                ('"', _) => layers.string(),
                ('r', _) if layers.raw_hashes().is_some() => layers.raw_string(),
                ('\'', _) => layers.quote(),
                _ => layers.take(Layer::Code),
            }
        }
        (layers.code, layers.comments)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Moves one character into `layer`; line ends go into both.
    fn take(&mut self, layer: Layer) {
        let Some(next) = self.peek(0) else { return };
        let blank = if next == '\n' { '\n' } else { ' ' };
        self.code
            .push(if layer == Layer::Code { next } else { blank });
        self.comments.push(if layer == Layer::Comments {
            next
        } else {
            blank
        });
        self.at += 1;
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|next| next != '\n') {
            self.take(Layer::Comments);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.take(Layer::Comments);
                    continue;
                }
            }
            self.take(Layer::Comments);
            self.take(Layer::Comments);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(Layer::Code);
        while let Some(next) = self.peek(0) {
            match next {
                '"' => return self.take(Layer::Code),
                '\\' => {
                    self.take(Layer::Neither);
                    self.take(Layer::Neither);
                }
                _ => self.take(Layer::Neither),
            }
        }
    }

    /// The number of `#` if a raw string starts here, as in `r##"..."##`.
    fn raw_hashes(&self) -> Option<usize> {
        let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
        let before = self
            .at
            .checked_sub(1)
            .map(|at| self.chars[at])
            .filter(is_name);
        let far_before = self
            .at
            .checked_sub(2)
            .map(|at| self.chars[at])
            .filter(is_name);
        let starts_a_word = match before {
            None => true,
            Some('b' | 'c') => far_before.is_none(),
            Some(_) => false,
        };
        let hashes = self.chars[self.at + 1..]
            .iter()
            .take_while(|c| **c == '#')
            .count();
        (starts_a_word && self.peek(1 + hashes) == Some('"')).then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or(0);
        for _ in 0..hashes + 2 {
            self.take(Layer::Code);
        }
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"')
                && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                for _ in 0..=hashes {
                    self.take(Layer::Code);
                }
                return;
            }
            self.take(Layer::Neither);
        }
    }

    /// A character such as `'"'` is blanked; a lifetime such as `'a` is code.
    fn quote(&mut self) {
        let length = match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                let inside = self.chars[self.at + 3..]
                    .iter()
                    .take_while(|c| **c != '\'')
                    .count();
                inside + 4
            }
            (Some(_), Some('\'')) => 3,
            _ => return self.take(Layer::Code),
        };
        self.take(Layer::Code);
        for _ in 2..length {
            self.take(Layer::Neither);
        }
        self.take(Layer::Code);
    }
}

#[cfg(test)]
mod tests {
    fn code(text: &str) -> Vec<String> {
        lines(&super::of(text).0)
    }

    fn comments(text: &str) -> Vec<String> {
        lines(&super::of(text).1)
    }

    fn lines(layer: &[char]) -> Vec<String> {
        layer
            .iter()
            .collect::<String>()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        assert_eq!(
            code(r#"let a = "x // y"; // z"#),
            ["let a = \"      \";     "]
        );
        assert_eq!(code("a /* b /* c */ d */ e"), ["a                   e"]);
        assert_eq!(
            code(r#"f("\"", 'x', '"', '\'', '\u{7f}')"#),
            [r#"f("  ", ' ', ' ', '  ', '      ')"#]
        );
        assert_eq!(
            code("r#\"a \" b\"# + br\"c\" + for\"d\""),
            ["r#\"     \"# + br\" \" + for\" \""]
        );
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), ["fn f<'a>(x: &'a str) {}"]);
    }

    #[test]
    fn a_string_over_several_lines_keeps_the_lines_in_step() {
        assert_eq!(
            code("let a = \"one\n  // two\n\";\nb"),
            ["let a = \"   ", "        ", "\";", "b"]
        );
    }

    #[test]
    fn comments_are_kept_apart() {
        assert_eq!(
            comments("a // b\n/* c\n d */ e \"// f\""),
            ["  // b", "/* c", " d */         "]
        );
    }
}
