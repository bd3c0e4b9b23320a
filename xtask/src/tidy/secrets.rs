//! What must not leave the machine it was written on: its paths, and secrets.
//!
//! The needles are written in two halves, so that this file does not find itself.

use super::Problem;
use crate::house::House;

/// Folders that only exist on some machine.
const FOLDERS: &[&str] = &[
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/", "tmp/"),
    concat!("/", "Users/"),
];

/// How well-known tokens begin, and how many letters, digits, `_` or `-` follow
/// at least.
const TOKENS: &[(&str, usize)] = &[
    (concat!("AK", "IA"), 16),
    (concat!("AI", "za"), 35),
    (concat!("gh", "p_"), 36),
    (concat!("gh", "s_"), 36),
    (concat!("github", "_pat_"), 40),
    (concat!("gl", "pat-"), 20),
    (concat!("xox", "b-"), 20),
    (concat!("xox", "p-"), 20),
    (concat!("sk_", "live_"), 20),
    (concat!("np", "m_"), 36),
    (concat!("ci", "o"), 32),
];

/// No paths of one machine outside tests.
pub(super) fn no_machine_paths(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &house.sources {
        for (line, text) in source
            .lines()
            .filter(|(line, _)| !source.is_test_line(*line))
        {
            for folder in FOLDERS.iter().filter(|folder| starts_a_path(text, folder)) {
                let what = format!(
                    "a path under `{folder}` exists on one machine only: make it relative, or ask for it"
                );
                problems.push(Problem::new(format!("{}:{line}", source.path), what));
            }
        }
    }
    problems
}

/// True if `folder` is the start of a path, not the middle of one or of a URL.
fn starts_a_path(text: &str, folder: &str) -> bool {
    let inside =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '~' | '*');
    text.match_indices(folder)
        .any(|(at, _)| !text[..at].chars().next_back().is_some_and(inside))
}

/// No private keys and no tokens, in tests neither.
pub(super) fn no_secrets(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &house.sources {
        for (line, text) in source.lines() {
            let token = TOKENS
                .iter()
                .find(|(start, length)| holds_token(text, start, *length));
            let what = match token {
                Some((start, _)) => format!("this looks like a token (`{start}..`)"),
                None if text.contains(concat!("PRIVATE", " KEY-----")) => {
                    "this looks like a private key".to_owned()
                }
                None => continue,
            };
            let hint = "take it out, and revoke it if it was ever pushed";
            problems.push(Problem::new(
                format!("{}:{line}", source.path),
                format!("{what}: {hint}"),
            ));
        }
    }
    problems
}

fn holds_token(text: &str, start: &str, length: usize) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.match_indices(start).any(|(at, _)| {
        let begins = !text[..at].chars().next_back().is_some_and(is_inner);
        begins
            && text[at + start.len()..]
                .chars()
                .take_while(|c| is_inner(*c))
                .count()
                >= length
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn paths_of_one_machine_are_noticed_outside_tests() {
        let path = FOLDERS[0].to_owned() + "ann/jobs.db";
        let lines = format!(
            "open(\"{path}\");\n// see https://example.org{path} and src{path}\n#[cfg(test)]\nfn a() {{ open(\"{path}\") }}"
        );
        let house = House::of(&[
            ("a/src/lib.rs", &lines),
            ("a/tests/all.rs", &path),
            (".ci/run", &path),
        ]);
        assert_eq!(
            told(&no_machine_paths(&house)),
            [
                format!(
                    "a/src/lib.rs:1: a path under `{}` exists on one machine only: make it relative, or ask for it",
                    FOLDERS[0]
                ),
                format!(
                    ".ci/run:1: a path under `{}` exists on one machine only: make it relative, or ask for it",
                    FOLDERS[0]
                ),
            ]
        );
        for folder in FOLDERS {
            assert!(starts_a_path(folder, folder) && starts_a_path(&format!("={folder}a"), folder));
        }
    }

    #[test]
    fn tokens_and_keys_are_noticed() {
        for (start, length) in TOKENS {
            let token = start.to_string() + &"aB3".repeat(20);
            let short = start.to_string() + &"a".repeat(length - 1);
            let lines = format!("{short}\nkey = \"{token}\"\nx{token}");
            let problems = no_secrets(&House::of(&[("a/tests/all.rs", &lines)]));
            assert_eq!(problems.len(), 1, "{start}: {problems:?}");
            assert_eq!(problems[0].place, "a/tests/all.rs:2");
        }
        let key = concat!("-----BEGIN RSA PRIVATE", " KEY-----");
        assert_eq!(no_secrets(&House::of(&[("key.pem", key)])).len(), 1);
    }
}
