//! What the rules look at: the tracked text files, and what cargo knows of the
//! packages. Rules take it as a value, so tests hand them houses made up by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::source::{self, Source};
use crate::steps::{cargo, shown};

/// The project as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// Tracked files, and new ones that git does not ignore. Text only.
    pub(crate) sources: Vec<Source>,
    pub(crate) metadata: Metadata,
    /// The version of the compiler in use, such as `1.95.0`.
    pub(crate) compiler: String,
    /// Symbolic links among the tracked files: from where to where, both
    /// relative to the root.
    pub(crate) links: BTreeMap<String, String>,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

impl House {
    /// Reads the house that stands at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut sources = Vec::new();
        let mut links = BTreeMap::new();
        for path in tracked(root)? {
            let full = root.join(&path);
            if let Ok(target) = full.read_link() {
                links.insert(path.clone(), join(&path, &target.to_string_lossy()));
                continue;
            }
            // Either it was removed and that is not committed yet, or it is not text.
            let Ok(bytes) = std::fs::read(&full) else {
                continue;
            };
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            sources.push(Source::new(path, text));
        }
        source::mark_test_modules(&mut sources);
        Ok(Self {
            sources,
            metadata: Metadata::read(root)?,
            compiler: compiler()?,
            links,
        })
    }

    /// The file at `path`, if it is tracked. A link is followed once.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        let path = self.links.get(path).map_or(path, String::as_str);
        self.sources.iter().find(|source| source.path == path)
    }

    /// The workspace's own manifest.
    pub(crate) fn manifest(&self) -> Option<toml::Table> {
        self.source("Cargo.toml")?.text.parse().ok()
    }
}

/// The path that `target` names as seen from the file `from`, without `..`.
pub(crate) fn join(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What `cargo metadata` says, as far as the rules need it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) resolve: Resolve,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
}

impl Metadata {
    fn read(root: &Path) -> Result<Self> {
        let text = output(cargo(root).args(["metadata", "--format-version", "1", "--locked"]))?;
        serde_json::from_str(&text).context("could not read what `cargo metadata` says")
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.source.is_none())
    }

    /// The manifest of a member, relative to the root.
    pub(crate) fn manifest_of(&self, package: &Package) -> String {
        let path = package.manifest_path.strip_prefix(&self.workspace_root);
        path.unwrap_or(&package.manifest_path)
            .to_string_lossy()
            .replace('\\', "/")
    }

    pub(crate) fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }
}

/// One package, ours or a guest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// The registry it comes from; none for our own.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The registries it may be sent to; none means all.
    pub(crate) publish: Option<Vec<String>>,
}

/// A dependency as it is declared.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// The versions that will do, such as `^1.2`; `*` if none is stated.
    pub(crate) req: String,
    /// Set if it is one of our own.
    pub(crate) path: Option<PathBuf>,
}

impl Dependency {
    pub(crate) fn is_for_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// Who really uses whom, by package id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// One package's edges.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Edge>,
}

/// One edge, of one or more kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Edge {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<EdgeKind>,
}

/// Why an edge is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EdgeKind {
    pub(crate) kind: Option<String>,
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    // CI may run as another user than the one who owns the clone.
    git.current_dir(root)
        .args(["-c", "safe.directory=*", "ls-files", "-z"]);
    git.args([
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]);
    let text = output(&mut git)?;
    Ok(text
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect())
}

fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = output(Command::new(rustc).arg("--version"))?;
    let version = text
        .split_whitespace()
        .nth(1)
        .with_context(|| format!("`{text}` names no version"))?;
    Ok(version.to_owned())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("could not start `{}`", shown(command)))?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` does not speak UTF-8", shown(command)))
}

#[cfg(test)]
impl House {
    /// A house of these files and no packages.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(*path, *text))
            .collect();
        source::mark_test_modules(&mut sources);
        Self {
            sources,
            compiler: "1.95.0".to_owned(),
            ..Self::default()
        }
    }

    /// The same with what cargo would say of its packages. The root is `/house`.
    pub(crate) fn with(mut self, metadata: serde_json::Value) -> Self {
        self.metadata = serde_json::from_value(metadata).unwrap();
        self.metadata.workspace_root = "/house".into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_house_can_be_read() {
        let house = House::read(&root()).unwrap();
        let this = house.source("xtask/src/house.rs").unwrap();
        assert!(this.text.starts_with("//! What the rules look at"));
        let xtask = house
            .metadata
            .members()
            .find(|package| package.name == "xtask")
            .unwrap();
        assert_eq!(house.metadata.manifest_of(xtask), "xtask/Cargo.toml");
        assert!(house.compiler.starts_with("1."), "{}", house.compiler);
    }

    #[test]
    fn a_folder_without_git_is_an_error_that_names_the_call() {
        let error = tracked(Path::new("/")).unwrap_err().to_string();
        assert!(
            error.starts_with("`git -c safe.directory=* ls-files"),
            "{error}"
        );
    }

    #[test]
    fn relative_paths_are_joined() {
        assert_eq!(
            join("crates/a/src/lib.rs", "../../../README.md"),
            "README.md"
        );
        assert_eq!(join("crates/a/LICENSE", "./b/../c"), "crates/a/c");
    }
}
