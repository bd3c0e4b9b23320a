//! How a file looks: it says what it holds, and is short enough to be read.

use super::Problem;
use crate::house::House;
use crate::source::Source;

/// From here on a file is worth a second look.
const LONG: usize = 300;
/// Here it has to be split.
const TOO_LONG: usize = 500;

/// Every Rust file opens with `//!`. Only the cases that a compile-fail test
/// feeds to the compiler need not.
pub(super) fn files_open_with_what_they_hold(house: &House) -> Vec<Problem> {
    let rust = house
        .sources
        .iter()
        .filter(|source| source.rust.is_some() && !is_compile_fail_case(source));
    let silent = rust.filter(|source| !source.text.starts_with("//! "));
    let what = "open the file with a `//!` line that says what lives here and why";
    silent
        .map(|source| Problem::new(format!("{}:1", source.path), what))
        .collect()
}

fn is_compile_fail_case(source: &Source) -> bool {
    source.path.contains("/tests/ui/")
}

/// No file is too long.
pub(super) fn files_stay_short(house: &House) -> Vec<Problem> {
    let too_long = lengths(house).filter(|(_, lines)| *lines > TOO_LONG);
    too_long
        .map(|(source, lines)| {
            let what =
                format!("{lines} lines of code, more than {TOO_LONG}: split it by noun or by step");
            Problem::new(format!("{}:1", source.path), what)
        })
        .collect()
}

/// Files that are on their way there.
pub(super) fn long_files(house: &House) -> Vec<Problem> {
    let long = lengths(house).filter(|(_, lines)| (LONG..=TOO_LONG).contains(lines));
    long.map(|(source, lines)| {
        let what = format!("{lines} lines of code, of at most {TOO_LONG}: look at it again");
        Problem::new(format!("{}:1", source.path), what)
    })
    .collect()
}

/// Lines that hold code: not blank, not only a comment or the inside of a
/// string (SQL), and not for tests.
fn lengths(house: &House) -> impl Iterator<Item = (&Source, usize)> {
    let rust = house.sources.iter().filter(|source| source.rust.is_some());
    rust.map(|source| {
        (
            source,
            source
                .library_code()
                .filter(|(_, line)| !line.trim().is_empty())
                .count(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn a_file_that_does_not_say_what_it_holds_is_refused() {
        let house = House::of(&[
            ("crates/a/src/lib.rs", "//! What lives here.\n"),
            ("crates/a/src/b.rs", "// Not the same.\n"),
            ("crates/a/src/c.rs", "\n//! Too late.\n"),
            ("crates/a/tests/all.rs", "fn main() {}"),
            ("crates/a/tests/ui/wrong.rs", "fn main() {}"),
            ("README.md", "# Hello"),
        ]);
        let places: Vec<String> = files_open_with_what_they_hold(&house)
            .into_iter()
            .map(|p| p.place)
            .collect();
        assert_eq!(
            places,
            [
                "crates/a/src/b.rs:1",
                "crates/a/src/c.rs:1",
                "crates/a/tests/all.rs:1"
            ]
        );
    }

    #[test]
    fn only_code_counts_toward_the_length() {
        let code = |lines: usize| "let a = 1;\n".repeat(lines);
        let rest = "// b\n\n".repeat(400) + "#[cfg(test)]\nmod tests {\n" + &code(400) + "}\n";
        let house =
            |lines: usize| House::of(&[("crates/a/src/lib.rs", (code(lines) + &rest).as_str())]);

        assert_eq!(long_files(&house(299)), []);
        assert_eq!(
            told(&long_files(&house(300))),
            ["crates/a/src/lib.rs:1: 300 lines of code, of at most 500: look at it again"]
        );
        assert_eq!(files_stay_short(&house(500)), []);
        assert_eq!(
            told(&files_stay_short(&house(501))),
            [
                "crates/a/src/lib.rs:1: 501 lines of code, more than 500: split it by noun or by step"
            ]
        );
        assert_eq!(long_files(&house(501)), []);
    }
}
