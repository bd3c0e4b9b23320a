//! Words that must not be there: work left undone, tests passed over, and
//! `unsafe`. In Rust files the insides of strings are not looked at.

use super::Problem;
use crate::house::House;
use crate::source::{Source, has_word};

/// Notes to oneself, wherever they stand.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX"];

/// Code that stands in for code, looks into it, or leaves a test out.
const STAND_INS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// No notes to oneself, no stand-ins, no ignored tests.
pub(super) fn nothing_is_left_undone(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in house
        .sources
        .iter()
        .filter(|source| source.path != "Cargo.lock")
    {
        let mut told = |line: usize, word: &str| {
            let what = format!("`{word}`: do it now, or write an issue");
            problems.push(Problem::new(format!("{}:{line}", source.path), what));
        };
        for (line, text) in said(source) {
            NOTES
                .iter()
                .filter(|word| has_word(text, word))
                .for_each(|word| told(line, word));
        }
        for (index, code) in source
            .rust
            .iter()
            .flat_map(|rust| rust.code.iter().enumerate())
        {
            STAND_INS
                .iter()
                .filter(|word| code.contains(**word))
                .for_each(|word| told(index + 1, word));
        }
    }
    problems
}

/// No example in the docs is passed over by the tests.
pub(super) fn no_example_is_ignored(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    let documents = house
        .sources
        .iter()
        .filter(|source| source.rust.is_some() || source.path.ends_with(".md"));
    for source in documents {
        for (line, text) in said(source) {
            let text = text.trim().trim_start_matches(['/', '!', '*']).trim_start();
            let mut words = text.strip_prefix("```").unwrap_or_default().split(',');
            if words.any(|word| word.trim().starts_with("ignore")) {
                let what = "an example that is not compiled: make it compile, or mark it `text`";
                problems.push(Problem::new(format!("{}:{line}", source.path), what));
            }
        }
    }
    problems
}

/// No `unsafe`, not even in tests.
pub(super) fn nothing_is_unsafe(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &house.sources {
        for (index, code) in source
            .rust
            .iter()
            .flat_map(|rust| rust.code.iter().enumerate())
        {
            if has_word(code, "unsafe") {
                let what = "`unsafe`: find a safe way, or a well-kept library that has one";
                problems.push(Problem::new(format!("{}:{}", source.path, index + 1), what));
            }
        }
    }
    problems
}

/// What a file says to people: comments of Rust, the whole of everything else.
fn said(source: &Source) -> Box<dyn Iterator<Item = (usize, &str)> + '_> {
    match &source.rust {
        Some(rust) => Box::new(
            rust.comments
                .iter()
                .enumerate()
                .map(|(index, line)| (index + 1, line.as_str())),
        ),
        None => Box::new(source.lines()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn work_left_undone_is_noticed_in_code_comments_and_other_files() {
        let house = House::of(&[
            (
                "a/src/lib.rs",
                "fn a() { todo!() }\n// TODO: b\nlet s = \"TODO todo!(\"; // TODOS are fine\n#[cfg(test)]\nmod tests {\n#[ignore = \"slow\"]\nfn b() { dbg!(1); unimplemented!() }\n}",
            ),
            ("a/src/claim.sql", "-- FIXME\nselect 1"),
            ("Cargo.lock", "XXX"),
            (".ci/run", "mktemp -d XXXXXX\n# XXX"),
        ]);
        let hint = ": do it now, or write an issue";
        let expected = [
            "a/src/lib.rs:2: `TODO`",
            "a/src/lib.rs:1: `todo!(`",
            "a/src/lib.rs:6: `#[ignore`",
            "a/src/lib.rs:7: `unimplemented!(`",
            "a/src/lib.rs:7: `dbg!(`",
            "a/src/claim.sql:1: `FIXME`",
            ".ci/run:2: `XXX`",
        ];
        assert_eq!(
            told(&nothing_is_left_undone(&house)),
            expected.map(|line| line.to_owned() + hint)
        );
    }

    #[test]
    fn an_ignored_example_is_noticed() {
        let house = House::of(&[
            (
                "a/src/lib.rs",
                "//! ```ignore\n//! ```\n/// ```rust,ignore\n/// ```\n/// ```no_run\n/// ```",
            ),
            (
                "docs/a.md",
                "```rust, ignore-windows\n```\n```text\nignore\n```",
            ),
        ]);
        let places: Vec<String> = no_example_is_ignored(&house)
            .into_iter()
            .map(|problem| problem.place)
            .collect();
        assert_eq!(places, ["a/src/lib.rs:1", "a/src/lib.rs:3", "docs/a.md:1"]);
    }

    #[test]
    fn unsafe_is_noticed_where_it_is_code() {
        let house = House::of(&[(
            "a/src/lib.rs",
            "//! unsafe\n#![forbid(unsafe_code)]\nlet a = unsafe { 1 };",
        )]);
        let problems = nothing_is_unsafe(&house);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].place, "a/src/lib.rs:3");
    }
}
