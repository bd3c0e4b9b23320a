//! The documents: their Rust is compiled by doc tests, and their links lead to
//! files that exist.

use std::collections::BTreeSet;

use super::Problem;
use crate::house::{House, join};
use crate::source::Source;

/// Every document with Rust in it is included by a library as documentation, so
/// that `cargo test` compiles it.
pub(super) fn rust_blocks_are_compiled(house: &House) -> Vec<Problem> {
    let included: Vec<String> = house
        .sources
        .iter()
        .flat_map(|source| inclusions(house, source))
        .collect();
    let documents = house
        .sources
        .iter()
        .filter(|source| is_document(source) && !included.contains(&source.path));
    documents
        .filter_map(|source| {
            let block = source.lines().find(|(_, line)| opens_rust(line))?.0;
            let what = "this Rust is compiled by no test: include the file in the facade with `#[doc = include_str!(..)]` under `#[cfg(doctest)]`";
            Some(Problem::new(format!("{}:{block}", source.path), what))
        })
        .collect()
}

/// The README, the guides, and what lies beside the code of a library. Notes on
/// decisions are history, and not compiled.
fn is_document(source: &Source) -> bool {
    let place = source.path.starts_with("docs/") || source.path.starts_with("crates/");
    source.path == "README.md" || (place && source.path.ends_with(".md"))
}

fn opens_rust(line: &str) -> bool {
    let word = line
        .trim_start()
        .strip_prefix("```")
        .and_then(|info| info.split([',', ' ']).next());
    matches!(
        word,
        Some("rust" | "no_run" | "should_panic" | "compile_fail")
    )
}

/// The files that `source`, a library's, includes as documentation, relative to
/// the root, links followed.
fn inclusions(house: &House, source: &Source) -> Vec<String> {
    if !(source.path.starts_with("crates/") && source.path.contains("/src/")) {
        return Vec::new();
    }
    let code = source
        .library_code()
        .filter(|(_, code)| code.contains("doc = include_str!(\""));
    let calls = code.filter_map(|(number, _)| {
        source
            .text
            .lines()
            .nth(number - 1)?
            .split_once("include_str!(\"")
    });
    let paths = calls.filter_map(|(_, rest)| Some(join(&source.path, rest.split_once('"')?.0)));
    paths
        .map(|path| house.links.get(&path).cloned().unwrap_or(path))
        .collect()
}

/// Relative links in the documents lead to files or folders that are tracked.
pub(super) fn links_lead_somewhere(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in house
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".md"))
    {
        for (line, target) in links(source) {
            let path = join(&source.path, target.split('#').next().unwrap_or(target));
            let folder = format!("{path}/");
            let exists = house.source(&path).is_some()
                || house
                    .sources
                    .iter()
                    .any(|file| file.path.starts_with(&folder));
            if !exists {
                let what =
                    format!("the link to `{target}` leads nowhere: there is no tracked `{path}`");
                problems.push(Problem::new(format!("{}:{line}", source.path), what));
            }
        }
    }
    problems
}

/// Relative links outside code blocks, with their lines.
fn links(source: &Source) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut links = Vec::new();
    for (number, line) in source.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let is_elsewhere =
                target.contains("://") || target.starts_with("mailto:") || target.starts_with('#');
            if !is_elsewhere && !target.is_empty() {
                links.push((number, target));
            }
        }
    }
    links
}

/// Tests that the tables of the documents name are there: a name in backticks in
/// a table that begins with the number of a promise, whole or with `…` for its end.
pub(super) fn tests_that_are_named_exist(house: &House) -> Vec<Problem> {
    let functions: BTreeSet<&str> = house
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".rs"))
        .flat_map(|source| source.lines())
        .filter_map(|(_, line)| function_in(line))
        .collect();
    let mut problems = Vec::new();
    for source in house.sources.iter().filter(|source| is_document(source)) {
        let rows = source.lines().filter(|(_, line)| line.starts_with('|'));
        for (number, line) in rows {
            for name in line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| is_test(name))
            {
                let known = match name.strip_suffix('…') {
                    Some(start) => functions
                        .range(start..)
                        .next()
                        .is_some_and(|found| found.starts_with(start)),
                    None => functions.contains(name),
                };
                if !known {
                    let what = format!("there is no test `{name}`");
                    problems.push(Problem::new(format!("{}:{number}", source.path), what));
                }
            }
        }
    }
    problems
}

/// Tests that are named in tables begin with the number of a promise, as `r05_` or `gx18_`.
fn is_test(name: &str) -> bool {
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_…".contains(c);
    let Some((number, _)) = name.split_once('_') else {
        return false;
    };
    let digits = number.trim_start_matches(['r', 'g', 'b', 'x']);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && digits.len() < number.len() && name.chars().all(small)
}

fn function_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn rust_that_no_test_compiles_is_noticed() {
        let mut house = House::of(&[
            ("README.md", "# A\n```rust\n```"),
            ("docs/guides/a.md", "\n```rust,no_run\n```"),
            ("docs/b.md", "```sh\nrust\n```"),
            ("docs/c.md", "```rust\n```"),
            ("docs/d.md", "```rust\n```"),
            ("decisions/0001-a.md", "```rust\n```"),
            (
                "examples/src/lib.rs",
                "#![doc = include_str!(\"../../docs/d.md\")]",
            ),
            (
                "crates/majordomo/src/lib.rs",
                "#![doc = include_str!(\"../README.md\")]\n#[doc = include_str!(\"../../../docs/c.md\")]\n// #[doc = include_str!(\"../../../docs/d.md\")]\nfn c() {}",
            ),
        ]);
        let places = |house: &House| -> Vec<String> {
            rust_blocks_are_compiled(house)
                .into_iter()
                .map(|problem| problem.place)
                .collect()
        };
        assert_eq!(
            places(&house),
            ["README.md:2", "docs/guides/a.md:2", "docs/d.md:1"]
        );

        house.links.insert(
            "crates/majordomo/README.md".to_owned(),
            "README.md".to_owned(),
        );
        assert_eq!(places(&house), ["docs/guides/a.md:2", "docs/d.md:1"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_noticed() {
        let house = House::of(&[
            (
                "README.md",
                "[a](docs/a.md#part), [b](https://example.org), [c](#here), [d](docs), [e](docs/e.md)\n```rust\nx[0](y)\n```",
            ),
            (
                "docs/a.md",
                "[up](../README.md) [gone](../GONE.md \"title\")",
            ),
        ]);
        assert_eq!(
            told(&links_lead_somewhere(&house)),
            [
                "README.md:1: the link to `docs/e.md` leads nowhere: there is no tracked `docs/e.md`",
                "docs/a.md:1: the link to `../GONE.md` leads nowhere: there is no tracked `GONE.md`",
            ]
        );
    }

    #[test]
    fn a_test_that_is_named_and_not_there_is_noticed() {
        let house = House::of(&[
            (
                "docs/a.md",
                "| G1 | `g1_it_does_work`, `r05_…`, `cx.log`, `a_b_c` |\n| G2 | `gx2_it_does_not`, `r06_…` |\nnot `in_a_table_at_all`",
            ),
            (
                "crates/a/tests/a.rs",
                "#[test]\nfn g1_it_does_work() {}\n    pub(super) async fn r05_nothing(\n",
            ),
        ]);
        assert_eq!(
            told(&tests_that_are_named_exist(&house)),
            [
                "docs/a.md:2: there is no test `gx2_it_does_not`",
                "docs/a.md:2: there is no test `r06_…`",
            ]
        );
    }
}
