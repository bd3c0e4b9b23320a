//! What `cargo xtask` can be asked to do, and the steps each command takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::crash;
use crate::house::{self, House};
use crate::packages;
use crate::proofs::{self, Bench, PROOFS};
use crate::steps::{Steps, cargo, run, run_and_listen};
use crate::tally::Tally;
use crate::tidy;

/// One command.
#[derive(Debug)]
pub(crate) struct XtaskCommand {
    /// What is typed after `cargo xtask`.
    pub(crate) name: &'static str,
    /// One line for the list of commands.
    pub(crate) about: &'static str,
    /// Does it, with the words that followed the name.
    pub(crate) run: fn(&[String]) -> Result<()>,
}

/// All commands, in the order of the list.
pub(crate) const COMMANDS: &[XtaskCommand] = &[
    XtaskCommand {
        name: "test",
        about: "everything the project can test, as CI does",
        run: test,
    },
    XtaskCommand {
        name: "check",
        about: "the quick part, before a commit: format, clippy, tidy, tests, docs",
        run: check,
    },
    XtaskCommand {
        name: "tidy",
        about: "the rules of the house only",
        run: tidy_up,
    },
    XtaskCommand {
        name: "prove",
        about: "the proofs that run the built command; names after it choose some",
        run: prove,
    },
    XtaskCommand {
        name: "crucible",
        about: "the crash rig alone; its own options follow, such as --jobs and --seed",
        run: crash::crucible,
    },
    XtaskCommand {
        name: "signals",
        about: "what becomes of the jobs of killed, stopped and frozen workers, measured",
        run: crash::signals,
    },
];

fn test(words: &[String]) -> Result<()> {
    no_words("test", words)?;
    let root = house::root();
    let mut steps = Steps::new();
    let mut tally = Tally::default();
    lint(&mut steps, &root)?;
    steps.run("features", || features(&root))?;
    steps.run("tidy", || look(&root))?;
    steps.run("tests", || tests(&root, &mut tally))?;
    steps.run("docs", || docs(&root))?;
    steps.run("packages", || packages::pack(&root))?;
    try_proofs(&mut steps, &root, &[])?;
    steps.close(&tally);
    Ok(())
}

fn check(words: &[String]) -> Result<()> {
    no_words("check", words)?;
    let root = house::root();
    let mut steps = Steps::new();
    let mut tally = Tally::default();
    lint(&mut steps, &root)?;
    steps.run("tidy", || look(&root))?;
    steps.run("tests", || tests(&root, &mut tally))?;
    steps.run("docs", || docs(&root))?;
    steps.close(&tally);
    Ok(())
}

fn tidy_up(words: &[String]) -> Result<()> {
    no_words("tidy", words)?;
    look(&house::root())
}

fn prove(names: &[String]) -> Result<()> {
    let root = house::root();
    let mut steps = Steps::new();
    try_proofs(&mut steps, &root, names)?;
    steps.close(&Tally::default());
    Ok(())
}

fn no_words(name: &str, words: &[String]) -> Result<()> {
    ensure!(
        words.is_empty(),
        "`{}` means nothing to `cargo xtask {name}`: leave it out",
        words.join(" ")
    );
    Ok(())
}

fn lint(steps: &mut Steps, root: &Path) -> Result<()> {
    steps.run("format", || {
        run(
            cargo(root).args(["fmt", "--all", "--check"]),
            "`cargo fmt --all` puts it right",
        )
    })?;
    steps.run("clippy", || {
        run(
            cargo(root)
                .args(["clippy", "--workspace", "--all-targets", "--locked"])
                .args(DENY_WARNINGS),
            "each warning above counts as an error",
        )
    })
}

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Each feature of each crate alone, and each crate without any: what a user
/// who turns features off gets to see.
fn features(root: &Path) -> Result<()> {
    for package in House::read(root)?.metadata.members() {
        if package.features.is_empty() {
            continue;
        }
        let alone = package
            .features
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "default");
        for feature in std::iter::once("").chain(alone) {
            let mut clippy = cargo(root);
            clippy.args(["clippy", "--locked", "--package", &package.name]);
            clippy
                .args(["--no-default-features", "--features", feature])
                .args(DENY_WARNINGS);
            run(
                &mut clippy,
                "the crate must build with each of its features alone, and with none",
            )?;
        }
    }
    Ok(())
}

fn look(root: &Path) -> Result<()> {
    let report = tidy::look_at(&House::read(root)?);
    for note in &report.notes {
        println!("note: {note}");
    }
    if report.problems.is_empty() {
        println!("tidy: {} rules kept", tidy::RULES.len());
        return Ok(());
    }
    for problem in &report.problems {
        eprintln!("{problem}");
    }
    bail!(
        "the house is not tidy: {} to put right",
        report.problems.len()
    )
}

fn tests(root: &Path, tally: &mut Tally) -> Result<()> {
    run_and_listen(
        cargo(root).args(["test", "--workspace", "--locked"]),
        "the first failure is named above",
        |line| tally.hear(line),
    )?;
    tally.check()
}

fn docs(root: &Path) -> Result<()> {
    let mut doc = cargo(root);
    doc.args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    run(&mut doc, "each warning above counts as an error")
}

fn try_proofs(steps: &mut Steps, root: &Path, names: &[String]) -> Result<()> {
    for name in names {
        ensure!(
            PROOFS.iter().any(|(known, _)| known == name),
            "there is no proof `{name}`: the proofs are {}",
            proofs::names()
        );
    }
    let target = House::read(root)?.metadata.target_directory;
    steps.run("build the command", || {
        run(&mut build(root), "the command must build in release mode")
    })?;
    for (name, proof) in PROOFS {
        if names.is_empty() || names.iter().any(|chosen| chosen == name) {
            steps.run(&format!("proof: {name}"), || {
                proof(&Bench::set_up(root, &target, name)?)
            })?;
        }
    }
    Ok(())
}

/// Chosen by its name, as `cargo run` does, so that the README's command finds it
/// built: naming the package would turn on other features of shared guests.
fn build(root: &Path) -> Command {
    let mut build = cargo(root);
    build.args(["build", "--release", "--locked", "--bin", "majordomo"]);
    build
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_word_is_refused_by_name() {
        let error = tidy_up(&["--fast".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`--fast` means nothing to `cargo xtask tidy`: leave it out"
        );
    }

    #[test]
    fn an_unknown_proof_is_refused_before_anything_is_built() {
        let error = prove(&["perpetual-motion".to_owned()]).unwrap_err();
        assert!(
            error.to_string().contains("no proof `perpetual-motion`"),
            "{error}"
        );
    }
}
