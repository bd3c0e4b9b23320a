//! The crash rig and its trials by signal: `cargo xtask crucible`, `cargo xtask
//! signals`, and both as proofs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::house;
use crate::proofs::{Bench, PATIENCE, finish};
use crate::steps::{cargo, run, shown};

/// Runs the rig with the words given, which are its own options.
pub(crate) fn crucible(words: &[String]) -> Result<()> {
    by_hand("run", words)
}

/// Runs the trials by signal with the words given: which of them, and options.
pub(crate) fn signals(words: &[String]) -> Result<()> {
    by_hand("signals", words)
}

/// Runs the rig as it is by default: 10,000 jobs, 4 workers, harm every 500 ms.
pub(crate) fn crash(bench: &Bench) -> Result<()> {
    as_proof(bench, &["run"])
}

/// Runs the short version of the trials by signal.
pub(crate) fn brisk_signals(bench: &Bench) -> Result<()> {
    as_proof(bench, &["signals", "--brisk"])
}

fn by_hand(what: &str, words: &[String]) -> Result<()> {
    let mut rig = rig(&house::root());
    rig.arg(what).args(words);
    run(&mut rig, "the rig says above what is wrong")
}

fn as_proof(bench: &Bench, words: &[&str]) -> Result<()> {
    let mut rig = rig(&bench.root);
    rig.args(words);
    rig.env("TMPDIR", &bench.folder).stdin(Stdio::null());
    let name = shown(&rig);
    let child = rig
        .spawn()
        .with_context(|| format!("could not start `{name}`"))?;
    let status = finish(child, &name, PATIENCE)?;
    ensure!(
        status.success(),
        "`{name}` ended with {status}: what it said is above"
    );
    Ok(())
}

fn rig(root: &Path) -> Command {
    let mut rig = cargo(root);
    rig.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "majordomo-crucible",
        "--",
    ]);
    rig
}
