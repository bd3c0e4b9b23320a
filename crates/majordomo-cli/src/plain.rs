//! Text of jobs and errors made safe for a terminal.
//!
//! Payloads, errors, notes and names are written by programs and their users. A
//! terminal would obey the escape sequences in them: colors, cursor movements,
//! titles, text that only seems to end where it does. So whatever is shown to
//! people goes through here first.

/// The text in one line: every character that a terminal would obey is written
/// as in Rust, such as `\u{1b}` or `\n`.
pub(crate) fn line(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            plain.extend(char.escape_debug());
        } else if is_obeyed(char) {
            plain.extend(char.escape_unicode());
        } else {
            plain.push(char);
        }
    }
    plain
}

/// The same for text of several lines, which stay lines. Those behind the first
/// are indented by as many blanks, so that none passes for a line of its own.
pub(crate) fn lines(text: &str, indent: usize) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join(&format!("\n{:indent$}", ""))
}

/// JSON that is written already. JSON itself escapes only what lies below the
/// blank, not the controls above it; they can stand only inside of strings.
pub(crate) fn json(text: String) -> String {
    let is_layout = |char| char == '\n';
    if !text.chars().any(|char| !is_layout(char) && is_obeyed(char)) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if is_obeyed(char) && !is_layout(char) {
            plain.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Controls, and the marks that turn the direction of the text behind them.
/// All are below U+10000.
fn is_obeyed(char: char) -> bool {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}'];
    char.is_control()
        || turns.contains(&char)
        || ('\u{202a}'..='\u{202e}').contains(&char)
        || ('\u{2066}'..='\u{2069}').contains(&char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let table = [
            ("plain ä 日本 🎉 \\", "plain ä 日本 🎉 \\"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\tc\u{7}\0", "a\\r\\nb\\tc\\u{7}\\0"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}cod.exe\u{2069}", "\\u{202e}cod.exe\\u{2069}"),
        ];
        for (text, expected) in table {
            assert_eq!(line(text), expected);
        }
    }

    #[test]
    fn lines_stay_lines_and_are_indented() {
        assert_eq!(
            lines("one\ntwo\u{1b}\r\nthr\ree\n", 2),
            "one\n  two\\u{1b}\n  thr\\ree"
        );
        assert_eq!(lines("", 2), "");
    }

    #[test]
    fn json_says_the_same_without_controls() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}\u{7f}\u{202e}ä\n" });
        let plain = json(serde_json::to_string_pretty(&value).unwrap());
        assert!(
            !plain.chars().any(|char| char != '\n' && is_obeyed(char)),
            "{plain:?}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&plain).unwrap(),
            value
        );
    }
}
