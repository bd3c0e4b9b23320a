//! The packages' papers: what every manifest inherits, what a published crate
//! says of itself, one version for all, and the licence texts.

use toml::{Table, Value};

use super::Problem;
use crate::house::{House, Package};

/// What each package takes from the workspace.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];

/// What each published crate takes from the workspace besides.
const INHERITED_BY_PUBLISHED: &[&str] = &["authors", "keywords", "categories", "readme"];

/// The licence texts, each with words that only the right text has.
const LICENCES: &[(&str, &str)] = &[
    (
        "LICENSE-MIT",
        "Permission is hereby granted, free of charge",
    ),
    ("LICENSE-APACHE", "Version 2.0, January 2004"),
];

/// Lints, versions and guests come from the workspace.
pub(super) fn members_inherit(house: &House) -> Vec<Problem> {
    each_member(house, |manifest, _| {
        let mut missing = Vec::new();
        if !inherits(manifest.table.get("lints")) {
            missing.push((
                "[package]",
                "`[lints] workspace = true` is missing: add it".to_owned(),
            ));
        }
        for key in INHERITED {
            if !inherits(manifest.package().and_then(|package| package.get(*key))) {
                missing.push((
                    *key,
                    format!("`{key}` differs from the workspace's: write `{key}.workspace = true`"),
                ));
            }
        }
        for (name, dependency) in manifest.dependencies() {
            if !inherits(Some(dependency)) {
                let what = format!(
                    "`{name}` is not the workspace's: put it in `[workspace.dependencies]` with its reason, and write `{name}.workspace = true`"
                );
                missing.push((name, what));
            }
        }
        missing
    })
}

/// A folder has the name of its crate.
pub(super) fn folders_are_named_after_crates(house: &House) -> Vec<Problem> {
    each_member(house, |manifest, package| {
        let folder = manifest.path.rsplit('/').nth(1).unwrap_or_default();
        if folder == package.name {
            return Vec::new();
        }
        vec![(
            "name",
            format!(
                "the crate `{}` lives in the folder `{folder}`: give both one name",
                package.name
            ),
        )]
    })
}

/// A crate that is published says what it is, and carries its licences.
pub(super) fn published_crates_are_described(house: &House) -> Vec<Problem> {
    each_member(house, |manifest, _| {
        let Some(package) = manifest.package() else {
            return Vec::new();
        };
        if package.get("publish").and_then(Value::as_bool) == Some(false) {
            return Vec::new();
        }
        let mut missing = Vec::new();
        let description = package
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if description.len() < 20 || !description.ends_with('.') {
            missing.push((
                "description",
                "`description` is no sentence: say what the crate is for".to_owned(),
            ));
        }
        for key in INHERITED_BY_PUBLISHED {
            if !inherits(package.get(*key)) {
                missing.push((
                    "[package]",
                    format!("`{key}.workspace = true` is missing: add it"),
                ));
            }
        }
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        for (licence, _) in LICENCES {
            if house
                .links
                .get(&format!("{folder}{licence}"))
                .map(String::as_str)
                != Some(*licence)
            {
                let what = format!(
                    "`{licence}` would not be in the package: `ln -s ../../{licence} {folder}`"
                );
                missing.push(("[package]", what));
            }
        }
        missing
    })
}

/// All our crates have the workspace's version, and ask for it of each other.
/// Only tests may ask for none.
pub(super) fn one_version_for_all(house: &House) -> Vec<Problem> {
    let version = house.manifest().and_then(|root| {
        let version = root.get("workspace")?.get("package")?.get("version")?;
        Some(version.as_str()?.to_owned())
    });
    let Some(version) = version else {
        return vec![Problem::new(
            "Cargo.toml:1",
            "`workspace.package.version` is missing: state it",
        )];
    };
    let mut problems = Vec::new();
    for package in house.metadata.members() {
        let manifest = house.metadata.manifest_of(package);
        if package.version != version {
            let what = format!(
                "`{}` is {}, but all our crates are {version}: inherit it",
                package.name, package.version
            );
            problems.push(Problem::new(place(house, &manifest, "version"), what));
        }
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some())
        {
            let may_be_any = dependency.req == "*" && dependency.is_for_tests();
            if dependency.req != format!("^{version}") && !may_be_any {
                let what = format!(
                    "`{}` is asked for as `{}`, but all our crates are {version}: change it",
                    dependency.name, dependency.req
                );
                problems.push(Problem::new(
                    place(house, &manifest, &dependency.name),
                    what,
                ));
            }
        }
    }
    problems
}

/// The texts of both licences, and the lock file, are there.
pub(super) fn licence_texts_are_there(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, words) in LICENCES {
        if !house
            .source(file)
            .is_some_and(|source| source.text.contains(words))
        {
            problems.push(Problem::new(
                format!("{file}:1"),
                "the text of the licence is missing or is another: restore it",
            ));
        }
    }
    if house.source("Cargo.lock").is_none() {
        problems.push(Problem::new(
            "Cargo.lock:1",
            "the lock file is not tracked: commit it, for CI builds with it",
        ));
    }
    problems
}

struct Manifest {
    path: String,
    table: Table,
}

impl Manifest {
    fn package(&self) -> Option<&Table> {
        self.table.get("package")?.as_table()
    }

    /// The dependencies of all kinds, but for our own crates by path: those may
    /// turn off features, which an inherited dependency can't, and tests may do
    /// without their version, so that crates which test each other can be published.
    fn dependencies(&self) -> impl Iterator<Item = (&str, &Value)> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let targets = targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table);
        let tables = std::iter::once(&self.table).chain(targets);
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let lists = tables.flat_map(move |table| {
            kinds
                .into_iter()
                .filter_map(|kind| table.get(kind)?.as_table())
        });
        let all = lists.flatten().map(|(name, value)| (name.as_str(), value));
        all.filter(|(_, value)| value.get("path").is_none())
    }
}

/// Reads each member's manifest and turns what `rule` says, a key to point at
/// and what is wrong, into problems.
fn each_member<'a>(
    house: &House,
    rule: impl for<'m> Fn(&'m Manifest, &Package) -> Vec<(&'m str, String)> + 'a,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in house.metadata.members() {
        let path = house.metadata.manifest_of(package);
        let Some(table) = house
            .source(&path)
            .and_then(|source| source.text.parse().ok())
        else {
            problems.push(Problem::new(path, "the manifest is not tracked: add it"));
            continue;
        };
        let manifest = Manifest { path, table };
        for (key, what) in rule(&manifest, package) {
            problems.push(Problem::new(place(house, &manifest.path, key), what));
        }
    }
    problems
}

fn place(house: &House, path: &str, key: &str) -> String {
    let opens = |line: &str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '=']))
    };
    house
        .source(path)
        .map_or_else(|| format!("{path}:1"), |source| source.place_of(opens))
}

/// True for `{ workspace = true }` and for tables that hold it.
fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tidy::told;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"A crate to try the rules on.\"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\nauthors.workspace = true\nkeywords.workspace = true\ncategories.workspace = true\nreadme.workspace = true\n[dependencies]\nserde = { workspace = true, optional = true }\n[lints]\nworkspace = true\n";

    fn house(manifest: &str) -> House {
        let mut house = House::of(&[("crates/a/Cargo.toml", manifest)]).with(json!({ "packages": [
            { "id": "a", "name": "a", "version": "0.1.0", "manifest_path": "/house/crates/a/Cargo.toml" },
        ]}));
        for (licence, _) in LICENCES {
            house
                .links
                .insert(format!("crates/a/{licence}"), (*licence).to_owned());
        }
        house
    }

    #[test]
    fn a_good_manifest_is_let_through() {
        let house = house(GOOD);
        assert_eq!(members_inherit(&house), []);
        assert_eq!(folders_are_named_after_crates(&house), []);
        assert_eq!(published_crates_are_described(&house), []);
    }

    #[test]
    fn a_manifest_that_goes_its_own_way_is_refused() {
        let bad = GOOD
            .replace("edition.workspace = true", "edition = \"2021\"")
            .replace("[lints]\nworkspace = true\n", "");
        let bad = bad
            + "rand = \"1\"\n[dev-dependencies]\nb = { path = \"../b\" }\n[target.'cfg(unix)'.dependencies]\nlibc = { version = \"1\" }\n";
        let told = told(&members_inherit(&house(&bad)));
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(
            told[0],
            "crates/a/Cargo.toml:1: `[lints] workspace = true` is missing: add it"
        );
        assert_eq!(
            told[1],
            "crates/a/Cargo.toml:5: `edition` differs from the workspace's: write `edition.workspace = true`"
        );
        assert!(
            told[2].starts_with("crates/a/Cargo.toml:14: `rand` is not the workspace's"),
            "{}",
            told[2]
        );
        assert!(
            told[3].starts_with("crates/a/Cargo.toml:18: `libc` is not the workspace's"),
            "{}",
            told[3]
        );
    }

    #[test]
    fn a_folder_with_another_name_is_refused() {
        let house = House::of(&[("crates/b/Cargo.toml", GOOD)]).with(
            json!({ "packages": [{ "name": "a", "manifest_path": "/house/crates/b/Cargo.toml" }] }),
        );
        assert_eq!(
            told(&folders_are_named_after_crates(&house)),
            ["crates/b/Cargo.toml:2: the crate `a` lives in the folder `b`: give both one name"]
        );
    }

    #[test]
    fn a_published_crate_must_say_what_it_is_and_carry_its_licences() {
        let bad = GOOD
            .replace("A crate to try the rules on.", "The .")
            .replace("readme.workspace = true\n", "");
        let mut house = house(&bad);
        house.links.remove("crates/a/LICENSE-MIT");
        assert_eq!(
            told(&published_crates_are_described(&house)),
            [
                "crates/a/Cargo.toml:3: `description` is no sentence: say what the crate is for",
                "crates/a/Cargo.toml:1: `readme.workspace = true` is missing: add it",
                "crates/a/Cargo.toml:1: `LICENSE-MIT` would not be in the package: `ln -s ../../LICENSE-MIT crates/a/`",
            ]
        );

        let private = house_of_private(&bad);
        assert_eq!(published_crates_are_described(&private), []);
    }

    fn house_of_private(manifest: &str) -> House {
        house(&manifest.replace("[dependencies]", "publish = false\n[dependencies]"))
    }

    #[test]
    fn a_second_version_is_noticed() {
        let own = |name: &str, req: &str, kind: Option<&str>| json!({ "name": name, "req": req, "kind": kind, "path": format!("/house/crates/{name}") });
        let house = House::of(&[
            ("Cargo.toml", "[workspace.package]\nversion = \"0.2.0\"\n"),
            ("crates/a/Cargo.toml", "[package]\nversion = \"0.1.0\"\n[dependencies]\nb.workspace = true\nc.workspace = true\n"),
        ])
        .with(json!({ "packages": [
            {
                "name": "a", "version": "0.1.0", "manifest_path": "/house/crates/a/Cargo.toml",
                "dependencies": [own("b", "^0.1.0", None), own("c", "*", None), own("d", "*", Some("dev"))],
            },
            { "name": "b", "version": "0.2.0", "dependencies": [own("c", "^0.2.0", None)] },
        ]}));
        assert_eq!(
            told(&one_version_for_all(&house)),
            [
                "crates/a/Cargo.toml:2: `a` is 0.1.0, but all our crates are 0.2.0: inherit it",
                "crates/a/Cargo.toml:4: `b` is asked for as `^0.1.0`, but all our crates are 0.2.0: change it",
                "crates/a/Cargo.toml:5: `c` is asked for as `*`, but all our crates are 0.2.0: change it",
            ]
        );
        assert_eq!(one_version_for_all(&House::default()).len(), 1);
    }

    #[test]
    fn a_missing_licence_text_and_lock_file_are_noticed() {
        let house = House::of(&[("LICENSE-MIT", "All rights reserved"), ("Cargo.lock", "")]);
        let places: Vec<String> = licence_texts_are_there(&house)
            .into_iter()
            .map(|problem| problem.place)
            .collect();
        assert_eq!(places, ["LICENSE-MIT:1", "LICENSE-APACHE:1"]);
        assert_eq!(licence_texts_are_there(&House::default()).len(), 3);
    }
}
