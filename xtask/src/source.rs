//! A text file of the project, and Rust source seen as three layers: code,
//! comments, and which lines are only compiled for tests.
//!
//! This is no parser. It matches braces, which is what the rules need: a test may
//! do what the library must not.

use crate::layers;

/// A tracked text file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Set for files that end in `.rs`.
    pub(crate) rust: Option<Rust>,
    /// The whole file is a test, by its place or by the `mod` that names it.
    pub(crate) is_test: bool,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let rust = path.ends_with(".rs").then(|| Rust::read(&text));
        let is_test = path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "tests.rs"));
        Self {
            path,
            text,
            rust,
            is_test,
        }
    }

    /// The lines as they are, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// The code of the lines that are not only for tests, numbered from 1.
    /// Comments and the insides of strings are blank. Empty if this is not Rust.
    pub(crate) fn library_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let rust = self.rust.as_ref().filter(|_| !self.is_test);
        rust.into_iter().flat_map(|rust| {
            let lines = rust.code.iter().zip(&rust.test).enumerate();
            lines
                .filter(|(_, (_, test))| !**test)
                .map(|(index, (line, _))| (index + 1, line.as_str()))
        })
    }

    /// True if line `number` is only compiled for tests.
    pub(crate) fn is_test_line(&self, number: usize) -> bool {
        let in_test_item = |rust: &Rust| rust.test.get(number - 1).copied().unwrap_or(false);
        self.is_test || self.rust.as_ref().is_some_and(in_test_item)
    }

    /// `path:line` of the first line that `matches`, or of the first line.
    pub(crate) fn place_of(&self, matches: impl Fn(&str) -> bool) -> String {
        let line = self
            .lines()
            .find(|(_, line)| matches(line))
            .map_or(1, |(number, _)| number);
        format!("{}:{line}", self.path)
    }

    /// The files or folders of modules that are declared here for tests only.
    fn test_modules(&self) -> Vec<String> {
        let Some(rust) = &self.rust else {
            return Vec::new();
        };
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        rust.test_modules
            .iter()
            .map(|name| format!("{folder}/{name}"))
            .collect()
    }
}

/// Marks the files of modules that are declared `#[cfg(test)] mod name;`.
pub(crate) fn mark_test_modules(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        source.is_test |= modules.iter().any(|module| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
}

/// Rust source, line by line. All three lists are as long as the file.
#[derive(Debug)]
pub(crate) struct Rust {
    /// The lines without comments and without the insides of strings.
    pub(crate) code: Vec<String>,
    /// The lines with nothing but their comments.
    pub(crate) comments: Vec<String>,
    /// Whether the line belongs to an item under `#[cfg(test)]`.
    pub(crate) test: Vec<bool>,
    /// Names of modules declared `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

impl Rust {
    fn read(text: &str) -> Self {
        let (code, comments) = layers::of(text);
        let mut test = vec![false; text.lines().count()];
        let mut test_modules = Vec::new();
        for item in test_items(&code) {
            let line_of = |at: usize| code[..at].iter().filter(|c| **c == '\n').count();
            test[line_of(item.start)..=line_of(item.end)].fill(true);
            test_modules.extend(declared_module(&code[item.start..item.end]));
        }
        let lines = |layer: &[char]| {
            layer
                .iter()
                .collect::<String>()
                .lines()
                .map(str::to_owned)
                .collect()
        };
        Self {
            code: lines(&code),
            comments: lines(&comments),
            test,
            test_modules,
        }
    }
}

/// Where the items under `#[cfg(test)]` are, attribute included.
fn test_items(code: &[char]) -> Vec<std::ops::Range<usize>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if starts_with(&code[at..], "#![cfg(test)]") {
            items.push(0..code.len() - 1);
            break;
        }
        if starts_with(&code[at..], "#[cfg(test)]") || starts_with(&code[at..], "#[cfg(all(test") {
            let end = item_end(code, at);
            items.push(at..end);
            at = end;
        }
        at += 1;
    }
    items
}

/// The last character of the item whose first attribute starts at `start`: its
/// closing brace or its semicolon.
fn item_end(code: &[char], start: usize) -> usize {
    let mut depth = 0_i32;
    let mut braces_at_top = false;
    for (at, c) in code.iter().enumerate().skip(start) {
        match c {
            '(' | '[' => depth += 1,
            '{' => {
                braces_at_top |= depth == 0;
                depth += 1;
            }
            ')' | ']' => depth -= 1,
            '}' if depth == 0 => return at.saturating_sub(1),
            '}' => {
                depth -= 1;
                if depth == 0 && braces_at_top {
                    return at;
                }
            }
            ';' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

fn starts_with(code: &[char], text: &str) -> bool {
    text.chars()
        .enumerate()
        .all(|(index, c)| code.get(index) == Some(&c))
}

fn declared_module(item: &[char]) -> Option<String> {
    let item: String = item.iter().collect();
    let after_attributes = item.rsplit(']').next()?;
    let name = after_attributes
        .trim()
        .trim_start_matches("pub(crate) ")
        .strip_prefix("mod ")?;
    name.chars()
        .all(|c| c.is_alphanumeric() || c == '_')
        .then(|| name.to_owned())
}

/// True if `word` stands in `line` on its own, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_under_cfg_test_are_test_lines_to_their_closing_brace() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n  fn b() { \"}\"; }\n}\nfn c() {}\n";
        assert_eq!(
            Rust::read(text).test,
            [false, true, true, true, true, true, false]
        );
        let text = "struct S {\n#[cfg(test)]\nseen: u8,\n}\nfn c() {}";
        assert_eq!(Rust::read(text).test, [false, true, true, false, false]);
        let text = "#[cfg(test)]\nuse a::b;\nfn c() {}";
        assert_eq!(Rust::read(text).test, [true, true, false]);
        let text = "#![cfg(test)]\nfn c() {}";
        assert_eq!(Rust::read(text).test, [true, true]);
    }

    #[test]
    fn a_test_item_without_an_end_reaches_to_the_end() {
        assert_eq!(
            Rust::read("a\n#[cfg(test)]\nmod tests {").test,
            [false, true, true]
        );
        assert_eq!(Rust::read("#[cfg(test)]").test, [true]);
        assert_eq!(Rust::read("").test, [false; 0]);
    }

    #[test]
    fn files_of_test_modules_are_tests() {
        let mut sources = [
            Source::new("a/src/lib.rs", "#[cfg(test)]\nmod checks;\nmod other;"),
            Source::new("a/src/checks.rs", ""),
            Source::new("a/src/checks/more.rs", ""),
            Source::new("a/src/other.rs", "#[cfg(test)]\nmod fixtures;"),
            Source::new("a/src/other/fixtures/mod.rs", ""),
            Source::new("a/tests/all.rs", ""),
        ];
        mark_test_modules(&mut sources);
        let tests: Vec<bool> = sources.iter().map(|source| source.is_test).collect();
        assert_eq!(tests, [false, true, true, false, true, true]);
    }

    #[test]
    fn library_code_leaves_tests_out_and_keeps_the_line_numbers() {
        let source = Source::new("a/src/lib.rs", "a\n#[cfg(test)]\nmod tests {}\nb");
        assert_eq!(
            source.library_code().collect::<Vec<_>>(),
            [(1, "a"), (4, "b")]
        );
        assert!(source.is_test_line(3) && !source.is_test_line(4));
    }

    #[test]
    fn a_word_is_not_a_part_of_a_longer_name() {
        assert!(has_word("an unsafe fn", "unsafe"));
        assert!(!has_word("forbid(unsafe_code)", "unsafe"));
    }
}
