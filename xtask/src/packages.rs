//! Packs the crates as for publishing: what others get must resolve without this
//! workspace, and hold the README and the licences.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::house::{House, Package};
use crate::steps::{cargo, run, shown};

/// What every package holds.
const CONTENTS: &[&str] = &[
    "Cargo.toml",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "src/",
];

/// Packs all crates that are published, and looks at what is in them. Nothing is
/// sent anywhere.
pub(crate) fn pack(root: &Path) -> Result<()> {
    let house = House::read(root)?;
    let names: Vec<&str> = published(&house)
        .map(|package| package.name.as_str())
        .collect();
    let mut pack = cargo(root);
    pack.args(["package", "--no-verify", "--allow-dirty", "--locked"]);
    for name in &names {
        pack.args(["--package", name]);
    }
    run(&mut pack, "what can't be packed can't be published")?;

    for name in &names {
        let mut list = cargo(root);
        list.args([
            "package",
            "--list",
            "--allow-dirty",
            "--locked",
            "--package",
            name,
        ]);
        let output = list
            .output()
            .with_context(|| format!("could not start `{}`", shown(&list)))?;
        ensure!(
            output.status.success(),
            "`{}` ended with {}",
            shown(&list),
            output.status
        );
        let missing = missing(&String::from_utf8_lossy(&output.stdout));
        ensure!(
            missing.is_empty(),
            "the package of `{name}` would be without {}",
            missing.join(", ")
        );
    }
    println!("{} packages hold all they should", names.len());
    Ok(())
}

/// `publish = false` is an empty list of registries in what cargo says.
fn published(house: &House) -> impl Iterator<Item = &Package> {
    let members = house.metadata.members();
    members.filter(|package| {
        package
            .publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    })
}

fn missing(list: &str) -> Vec<&'static str> {
    let is_in = |wanted: &str| {
        list.lines()
            .any(|line| line == wanted || (wanted.ends_with('/') && line.starts_with(wanted)))
    };
    CONTENTS
        .iter()
        .copied()
        .filter(|wanted| !is_in(wanted))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_package_lacks_is_named() {
        assert_eq!(
            missing("Cargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nsrc/lib.rs\n"),
            [""; 0]
        );
        assert_eq!(
            missing("Cargo.toml\nLICENSE-APACHE\nlib.rs\n"),
            ["README.md", "LICENSE-MIT", "src/"]
        );
    }

    #[test]
    fn private_crates_are_not_packed() {
        let house = House::default().with(json!({ "packages": [
            { "name": "a", "publish": null },
            { "name": "b", "publish": [] },
            { "name": "c", "source": "registry" },
        ]}));
        let names: Vec<&str> = published(&house)
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(names, ["a"]);
    }
}
