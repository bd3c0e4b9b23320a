//! The oldest Rust we promise to build with is stated once, in `Cargo.toml`;
//! whoever repeats it must say the same.

use toml::Value;

use super::Problem;
use crate::house::House;

/// Documents agree with `rust-version` about the oldest Rust.
pub(super) fn one_minimum_version(house: &House) -> Vec<Problem> {
    let Some(minimum) = minimum(house) else {
        return vec![Problem::new(
            "Cargo.toml:1",
            "`workspace.package.rust-version` is missing: state the oldest Rust",
        )];
    };
    // Releases of the past may have needed another.
    let documents = house
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".md") && source.path != "CHANGELOG.md");
    let mut problems = Vec::new();
    for source in documents {
        for (line, text) in source.lines() {
            for stated in
                versions(text).filter(|stated| numbers(stated)[..2] != numbers(&minimum)[..2])
            {
                let what = format!(
                    "Rust {stated} is named, but `rust-version` in Cargo.toml is {minimum}: let them agree"
                );
                problems.push(Problem::new(format!("{}:{line}", source.path), what));
            }
        }
    }
    problems
}

/// The compiler in use is not older than that.
pub(super) fn compiler_is_new_enough(house: &House) -> Vec<Problem> {
    let minimum = minimum(house).unwrap_or_default();
    if numbers(&house.compiler) >= numbers(&minimum) {
        return Vec::new();
    }
    let what = format!(
        "rustc {} is older than {minimum}: `rustup update`",
        house.compiler
    );
    let place = house
        .source("Cargo.toml")
        .map(|source| source.place_of(|line| line.starts_with("rust-version")));
    vec![Problem::new(place.unwrap_or_default(), what)]
}

fn minimum(house: &House) -> Option<String> {
    let stated = house
        .manifest()?
        .get("workspace")?
        .get("package")?
        .get("rust-version")
        .and_then(Value::as_str)?
        .to_owned();
    Some(stated)
}

/// The versions in `Rust 1.95`, `rustc 1.95.0` and the like.
fn versions(line: &str) -> impl Iterator<Item = &str> {
    let after = move |name: &'static str| {
        line.match_indices(name)
            .map(move |(at, _)| &line[at + name.len()..])
    };
    let rest = ["Rust ", "rustc ", "Rust-", "rust-version = \"", "rust-"]
        .into_iter()
        .flat_map(after);
    rest.filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let version = rest[..end].trim_end_matches('.');
        (version.starts_with("1.") && version.len() > 2).then_some(version)
    })
}

/// `1.95` and `1.95.0-nightly` as numbers.
fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    let parts = version
        .split('.')
        .map(|part| part.split('-').next().unwrap_or(part));
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.parse().unwrap_or(0);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    const MANIFEST: (&str, &str) = (
        "Cargo.toml",
        "[workspace.package]\nrust-version = \"1.95\"\n",
    );

    #[test]
    fn a_document_that_names_another_rust_is_noticed() {
        let house = House::of(&[
            MANIFEST,
            (
                "README.md",
                "Needs Rust 1.95 or later, as 1.9 of them know.\nThe badge says rust-1.94-blue.",
            ),
            ("docs/a.md", "Tried with Rust 1.95.0.\nRust 1.96"),
            ("CHANGELOG.md", "Rust 1.80"),
        ]);
        let hint = "is named, but `rust-version` in Cargo.toml is 1.95: let them agree";
        assert_eq!(
            told(&one_minimum_version(&house)),
            [
                format!("README.md:2: Rust 1.94 {hint}"),
                format!("docs/a.md:2: Rust 1.96 {hint}"),
            ]
        );
        assert_eq!(one_minimum_version(&House::default()).len(), 1);
    }

    #[test]
    fn an_old_compiler_is_noticed() {
        let mut house = House::of(&[MANIFEST]);
        for good in ["1.95.0", "1.100.0", "1.95.0-nightly", "2.0.0"] {
            house.compiler = good.to_owned();
            assert_eq!(compiler_is_new_enough(&house), [], "{good}");
        }
        house.compiler = "1.94.1".to_owned();
        assert_eq!(
            told(&compiler_is_new_enough(&house)),
            ["Cargo.toml:2: rustc 1.94.1 is older than 1.95: `rustup update`"]
        );
    }
}
