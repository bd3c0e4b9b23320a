//! Runs steps one after the other, each with its name and time, up to the first
//! that fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tally::Tally;

/// The steps of one command.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Runs one step. Its failure is told with its name.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n=== {name}");
        let started = Instant::now();
        let result = step();
        let took = spell(started.elapsed());
        match result {
            Ok(()) => {
                println!("=== {name}: passed in {took}");
                Ok(())
            }
            Err(error) => Err(error.context(format!("step `{name}` failed after {took}"))),
        }
    }

    /// The last line.
    pub(crate) fn close(&self, tally: &Tally) {
        let took = spell(self.started.elapsed());
        match tally.passed {
            0 => println!("\n{took}: all of it passed"),
            passed => println!("\n{passed} tests passed, {took}: all of it passed"),
        }
    }
}

/// The cargo that runs this program, in the root of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Runs a program to its end; `hint` says what to do if it fails.
pub(crate) fn run(command: &mut Command, hint: &str) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .with_context(|| format!("could not start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}: {hint}", shown(command));
    }
    Ok(())
}

/// Like [`run`], and hands each line of the standard output to `listen` as well
/// as printing it.
pub(crate) fn run_and_listen(
    command: &mut Command,
    hint: &str,
    mut listen: impl FnMut(&str),
) -> Result<()> {
    println!("$ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", shown(command)))?;
    let output = child
        .stdout
        .take()
        .context("the standard output was asked for as a pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line =
            line.with_context(|| format!("could not read what `{}` says", shown(command)))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        listen(&line);
    }
    let status = child
        .wait()
        .with_context(|| format!("could not await `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}: {hint}", shown(command));
    }
    Ok(())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for word in command.get_args() {
        let word = word.to_string_lossy();
        text.push(' ');
        match word.is_empty() || word.contains(' ') {
            true => text.push_str(&format!("'{word}'")),
            false => text.push_str(&word),
        }
    }
    text
}

fn spell(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_with_what_it_says() {
        let error = Steps::new()
            .run("docs", || bail!("no such page"))
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("step `docs` failed after") && text.ends_with(": no such page"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_fails_or_is_missing_is_an_error_with_its_name() {
        let error = run(Command::new("false").arg("two words"), "try again").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`false 'two words'` ended with exit status: 1: try again"
        );
        let error = run(&mut Command::new("no-such-program-here"), "").unwrap_err();
        assert_eq!(error.to_string(), "could not start `no-such-program-here`");
    }

    #[test]
    fn lines_are_heard_and_a_failure_is_told_all_the_same() {
        let mut heard = Vec::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf 'one\\ntwo'; exit 3"]);
        let error = run_and_listen(&mut shell, "look above", |line| heard.push(line.to_owned()))
            .unwrap_err();
        assert_eq!(heard, ["one", "two"]);
        assert!(
            error
                .to_string()
                .ends_with("ended with exit status: 3: look above"),
            "{error}"
        );
    }

    #[test]
    fn times_are_spelled_for_people() {
        assert_eq!(spell(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(spell(Duration::from_secs(754)), "12 min 34 s");
    }
}
