//! How much of anything a storage takes. Exceeding a limit is a typed error
//! before any I/O, and the same on every storage.

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a payload.
pub const PAYLOAD: usize = 1024 * 1024;
/// Bytes of a task's output, as JSON.
pub const OUTPUT: usize = 1024 * 1024;
/// Bytes of a checkpoint, as JSON.
pub const CHECKPOINT: usize = 1024 * 1024;
/// Bytes of an error's text, message and chain together.
pub const ERROR: usize = 16 * 1024;
/// Bytes of a progress note.
pub const NOTE: usize = 4 * 1024;
/// Entries of a job's progress history.
pub const HISTORY: usize = 100;
/// Log lines kept of a job.
pub const LOG_LINES: usize = 500;
/// Bytes of log kept of a job.
pub const LOG: usize = 256 * 1024;
/// Bytes of a name: of a task, queue, worker, schedule, tenant, actor or limit key.
pub const NAME: usize = 200;
/// Bytes of the key of a hold or of a document.
pub const KEY: usize = 1000;
/// Tags of a job.
pub const TAGS: usize = 50;
/// Bytes of a job's metadata, as JSON.
pub const METADATA: usize = 64 * 1024;
/// Bytes of a document, as JSON.
pub const DOCUMENT: usize = 1024 * 1024;
/// Levels of nesting in a payload.
pub const DEPTH: usize = 100;
/// Digits and other characters of one number in a payload.
pub const NUMBER: usize = 100;
/// Items of a page of `find`, `change` and `list`; more are cut to this.
pub const PAGE: usize = 1000;
/// Attempts whose history is kept with a job: the first and the latest ones.
pub const ATTEMPTS: usize = 100;

/// Refuses `what` if its `size` is over `limit` bytes.
///
/// # Errors
/// [`ErrorKind::TooLarge`], with both numbers.
pub fn check(what: impl std::fmt::Display, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!("{what} has {size} bytes, the limit is {limit}"),
    )
    .hint("store the data elsewhere and pass a reference to it"))
}

/// Refuses a name that is empty, too long, or holds control characters.
///
/// # Errors
/// [`ErrorKind::Invalid`] or [`ErrorKind::TooLarge`], naming the value.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    check_text(what, name, NAME)
}

/// Refuses a key that is empty, too long, or holds control characters.
///
/// # Errors
/// [`ErrorKind::Invalid`] or [`ErrorKind::TooLarge`], naming the value.
pub fn check_key(what: &str, key: &str) -> Result<()> {
    check_text(what, key, KEY)
}

fn check_text(what: &str, text: &str, limit: usize) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid(format!("the {what} is empty")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the {what} `{}` holds control characters",
            text.escape_debug()
        )));
    }
    check(
        format_args!("the {what} `{}`", shorten(text, 40)),
        text.len(),
        limit,
    )
}

/// The text cut to at most `limit` bytes at a character boundary, marked with `…` if cut.
#[must_use]
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_passes_and_one_more_does_not() {
        assert!(check("the payload", PAYLOAD, PAYLOAD).is_ok());
        let error = check("the payload", PAYLOAD + 1, PAYLOAD).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(
            error
                .to_string()
                .contains("1048577 bytes, the limit is 1048576"),
            "{error}"
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("ääääää", 8), "ää…");
        assert!(shorten("ääääää", 8).len() <= 8);
    }

    #[test]
    fn bad_names_are_named() {
        assert!(check_name("queue", "mail").is_ok());
        assert!(
            check_name("queue", "")
                .unwrap_err()
                .to_string()
                .contains("queue is empty")
        );
        assert!(
            check_name("queue", "a\nb")
                .unwrap_err()
                .to_string()
                .contains("`a\\nb`")
        );
        assert_eq!(
            check_name("queue", &"q".repeat(NAME + 1))
                .unwrap_err()
                .kind(),
            ErrorKind::TooLarge
        );
    }
}
