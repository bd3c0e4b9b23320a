//! Others' crates: their licences, where they come from, and which of them stay
//! out. The lists are those of `deny.toml`, so `cargo deny` and this agree.

use toml::{Table, Value};

use super::Problem;
use crate::house::{House, Package};

const LISTS: &str = "deny.toml";

/// Every package has a licence that `deny.toml` allows.
pub(super) fn licences_are_allowed(house: &House) -> Vec<Problem> {
    with_list(
        house,
        "licenses",
        "allow",
        |allowed, package| match &package.license {
            None => Some(format!("`{}` names no licence: replace it", package.name)),
            Some(licence) if !is_allowed(licence, allowed) => Some(format!(
                "`{}` is under `{licence}`, which is not in `licenses.allow` of {LISTS}: replace it, or allow it",
                package.name
            )),
            Some(_) => None,
        },
    )
}

/// Every package is ours or from the registry.
pub(super) fn sources_are_allowed(house: &House) -> Vec<Problem> {
    with_list(house, "sources", "allow-registry", |allowed, package| {
        let source = package.source.as_deref()?;
        let url = source.strip_prefix("registry+").unwrap_or(source);
        let is_foreign = !allowed.iter().any(|allowed| allowed == url);
        is_foreign.then(|| {
            format!(
                "`{}` comes from `{source}`: use a release from the registry",
                package.name
            )
        })
    })
}

/// No package that `deny.toml` bans is built in.
pub(super) fn banned_crates_stay_out(house: &House) -> Vec<Problem> {
    with_list(house, "bans", "deny", |banned, package| {
        banned.contains(&package.name).then(|| {
            format!(
                "`{}` is banned by {LISTS}, which says why: replace what brings it in",
                package.name
            )
        })
    })
}

/// Holds each package against a list in `deny.toml`.
fn with_list(
    house: &House,
    section: &str,
    list: &str,
    wrong: impl Fn(&[String], &Package) -> Option<String>,
) -> Vec<Problem> {
    let Some(names) = listed(house, section, list) else {
        let what =
            format!("there is no list `{section}.{list}`: packages can't be held against it");
        return vec![Problem::new(format!("{LISTS}:1"), what)];
    };
    let packages = house.metadata.packages.iter();
    packages
        .filter_map(|package| {
            Some(Problem::new(
                locked_at(house, package),
                wrong(&names, package)?,
            ))
        })
        .collect()
}

/// A list of names in `deny.toml`; an entry is a string or a table with `crate`.
fn listed(house: &House, section: &str, list: &str) -> Option<Vec<String>> {
    let lists: Table = house.source(LISTS)?.text.parse().ok()?;
    let entries = lists.get(section)?.get(list)?.as_array()?;
    let name = |entry: &Value| {
        Some(
            entry
                .as_str()
                .or_else(|| entry.get("crate")?.as_str())?
                .to_owned(),
        )
    };
    entries.iter().map(name).collect()
}

fn locked_at(house: &House, package: &Package) -> String {
    let line = format!("name = \"{}\"", package.name);
    house.source("Cargo.lock").map_or_else(
        || "Cargo.lock".to_owned(),
        |lock| lock.place_of(|text| text == line),
    )
}

/// Evaluates an SPDX expression: `AND` binds closer than `OR`; `/`, the old
/// spelling, is an `OR`; `X WITH Y` is allowed if the whole of it is listed, or
/// `X` is, for an exception only gives more. What can't be read is not allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        allowed,
    };
    let allowed = parser.either();
    allowed == Some(true) && parser.words.is_empty()
}

/// Reads an expression from the left. `None` is one that can't be read.
struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn either(&mut self) -> Option<bool> {
        let mut allowed = self.both()?;
        while self.eat("OR") {
            allowed |= self.both()?;
        }
        Some(allowed)
    }

    fn both(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.eat("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.eat("(") {
            let allowed = self.either()?;
            return self.eat(")").then_some(allowed);
        }
        let name = self.next()?;
        let mut allowed = self.allowed.iter().any(|allowed| allowed == name);
        if self.eat("WITH") {
            let whole = format!("{name} WITH {}", self.next()?);
            allowed |= self.allowed.contains(&whole);
        }
        Some(allowed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tidy::told;

    const DENY: &str = "[licenses]\nallow = [\"MIT\", \"Zlib\"]\n[bans]\ndeny = [{ crate = \"openssl\", reason = \"x\" }, \"chrono\"]\n[sources]\nallow-registry = [\"https://registry\"]\n";

    fn house(package: serde_json::Value) -> House {
        House::of(&[
            ("deny.toml", DENY),
            ("Cargo.lock", "[[package]]\nname = \"a\"\n"),
        ])
        .with(json!({ "packages": [package] }))
    }

    #[test]
    fn licence_expressions_are_understood() {
        let allowed = ["MIT", "Zlib"].map(str::to_owned);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "GPL-3.0 / MIT",
            "MIT AND Zlib",
            "(MIT OR GPL-3.0) AND Zlib",
            "MIT WITH X",
            "GPL-3.0 AND BSL-1.0 OR MIT",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Zlib",
            "(MIT OR Zlib) AND GPL-3.0",
            "MIT WITH",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn a_licence_that_is_missing_or_not_listed_is_refused() {
        assert_eq!(
            told(&licences_are_allowed(&house(json!({ "name": "a" })))),
            ["Cargo.lock:2: `a` names no licence: replace it"]
        );
        let problems = licences_are_allowed(&house(json!({ "name": "a", "license": "GPL-3.0" })));
        assert!(
            told(&problems)[0].starts_with("Cargo.lock:2: `a` is under `GPL-3.0`"),
            "{problems:?}"
        );
        assert_eq!(
            licences_are_allowed(&house(json!({ "name": "a", "license": "MIT" }))),
            []
        );
    }

    #[test]
    fn a_package_from_elsewhere_is_refused() {
        assert_eq!(
            told(&sources_are_allowed(&house(
                json!({ "name": "a", "source": "git+https://registry/a" })
            ))),
            [
                "Cargo.lock:2: `a` comes from `git+https://registry/a`: use a release from the registry"
            ]
        );
        assert_eq!(
            sources_are_allowed(&house(
                json!({ "name": "a", "source": "registry+https://registry" })
            )),
            []
        );
        assert_eq!(sources_are_allowed(&house(json!({ "name": "a" }))), []);
    }

    #[test]
    fn without_the_lists_nothing_is_let_through() {
        let house = House::default();
        for rule in [
            licences_are_allowed,
            sources_are_allowed,
            banned_crates_stay_out,
        ] {
            assert_eq!(rule(&house).len(), 1);
        }
    }

    #[test]
    fn a_banned_package_is_refused() {
        assert_eq!(
            banned_crates_stay_out(&house(json!({ "name": "openssl" }))).len(),
            1
        );
        assert_eq!(
            banned_crates_stay_out(&house(json!({ "name": "chrono" }))).len(),
            1
        );
        assert_eq!(banned_crates_stay_out(&house(json!({ "name": "a" }))), []);
    }
}
