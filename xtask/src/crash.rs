//! The crash rig: `cargo xtask crucible`, and as a proof.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::house;
use crate::proofs::{Bench, PATIENCE, finish};
use crate::steps::{cargo, run, shown};

/// Runs the rig with the words given, which are its own options.
pub(crate) fn crucible(words: &[String]) -> Result<()> {
    let mut rig = rig(&house::root());
    rig.args(words);
    run(&mut rig, "the rig says above what is wrong")
}

/// Runs the rig as it is by default: 10,000 jobs, 4 workers, harm every 500 ms.
pub(crate) fn crash(bench: &Bench) -> Result<()> {
    let mut rig = rig(&bench.root);
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
        "run",
    ]);
    rig
}
