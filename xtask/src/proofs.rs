//! Proofs: programs that try the built command as a user would, from outside.
//! Each is a function in a list; add to the list, and `cargo xtask test` runs it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::crash::{brisk_signals, crash};
use crate::documented;
use crate::house::House;
use crate::quick_start::quick_start;
use crate::steps::{cargo, shown};

/// A name and what it runs.
pub(crate) type Proof = (&'static str, fn(&Bench) -> Result<()>);

/// All proofs, in order.
pub(crate) const PROOFS: &[Proof] = &[
    ("documented commands", documented_commands),
    ("demo", demo),
    ("quick start", quick_start),
    ("crash", crash),
    ("signals", brisk_signals),
];

/// The names, for messages.
pub(crate) fn names() -> String {
    PROOFS
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a proof works with.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// The command `majordomo`, built in release mode.
    pub(crate) majordomo: PathBuf,
    /// A folder of the proof's own, empty when it starts, kept after it for those
    /// who want to see what went wrong. It lies in the target folder.
    pub(crate) folder: PathBuf,
}

impl Bench {
    /// Makes the folder of the proof `name` in `target`, the target folder.
    pub(crate) fn set_up(root: &Path, target: &Path, name: &str) -> Result<Self> {
        let folder = target.join("proofs").join(name.replace(' ', "-"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("could not empty `{}`", folder.display()))?;
        }
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("could not make `{}`", folder.display()))?;
        let majordomo = target
            .join("release")
            .join(format!("majordomo{}", std::env::consts::EXE_SUFFIX));
        Ok(Self {
            root: root.to_owned(),
            majordomo,
            folder,
        })
    }
}

/// Longer than any proof takes on a slow machine. A hung program fails, so that
/// CI can say which one it was.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Awaits a program, and ends it when `patience` runs out.
pub(crate) fn finish(mut child: Child, name: &str, patience: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child
            .try_wait()
            .with_context(|| format!("could not await `{name}`"))?
        {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child
                .kill()
                .with_context(|| format!("could not end `{name}`, which hangs"))?;
            child
                .wait()
                .with_context(|| format!("could not await `{name}`"))?;
            bail!(
                "`{name}` did not end within {} s and was killed",
                patience.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Every subcommand that a document names has a help page.
fn documented_commands(bench: &Bench) -> Result<()> {
    let documented = documented::of_majordomo(&House::read(&bench.root)?);
    ensure!(
        !documented.is_empty(),
        "no document names a command of `majordomo`: show at least the demo"
    );
    let mut names: Vec<&str> = documented
        .iter()
        .map(|found| found.subcommand.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let help = Command::new(&bench.majordomo)
            .args([*name, "--help"])
            .output();
        let help =
            help.with_context(|| format!("could not start `{}`", bench.majordomo.display()))?;
        if !help.status.success() {
            let places = documented
                .iter()
                .filter(|found| found.subcommand == *name)
                .map(|found| found.place.as_str());
            let places = places.collect::<Vec<_>>().join(", ");
            bail!("`majordomo {name}` is named in {places}, but there is no such command");
        }
    }
    println!(
        "{} places name {} commands, and all exist: {}",
        documented.len(),
        names.len(),
        names.join(", ")
    );
    Ok(())
}

/// The README's first command, in an empty folder.
fn demo(bench: &Bench) -> Result<()> {
    let mut demo = cargo(&bench.root);
    demo.args(["run", "--release", "--locked", "--manifest-path"])
        .arg(bench.root.join("Cargo.toml"));
    demo.args(["--", "demo"]);
    // Wherever the demo keeps its database, it is in here.
    demo.current_dir(&bench.folder)
        .env("TMPDIR", &bench.folder)
        .stdin(std::process::Stdio::null());
    let name = shown(&demo);
    let status = finish(
        demo.spawn()
            .with_context(|| format!("could not start `{name}`"))?,
        &name,
        PATIENCE,
    )?;
    ensure!(
        status.success(),
        "`{name}` ended with {status}: what it said is above"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_starts_empty_each_time() {
        let target = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let first = Bench::set_up(Path::new("."), &target, "two words").unwrap();
        std::fs::write(first.folder.join("left.db"), "over").unwrap();
        let second = Bench::set_up(Path::new("."), &target, "two words").unwrap();
        assert_eq!(second.folder, target.join("proofs/two-words"));
        assert_eq!(std::fs::read_dir(&second.folder).unwrap().count(), 0);
        std::fs::remove_dir_all(&target).unwrap();
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_named() {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let error = finish(child, "sleep 1000", Duration::ZERO).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sleep 1000` did not end within 0 s and was killed"
        );
        let child = Command::new("true").spawn().unwrap();
        assert!(finish(child, "true", PATIENCE).unwrap().success());
    }
}
