//! The command `majordomo`: looks into a job database, changes jobs, runs a
//! worker for trials, shows a demo, and measures.
//!
//! This file parses, dispatches and exits. What each command does is in the
//! module of its name; what all of them share is in `output` (how results are
//! shown), `open` (from a URL to a client) and `exit` (problems and exit codes).

mod args;
mod bench;
mod control;
mod demo;
mod exit;
mod job;
mod migrate;
mod open;
mod output;
mod plain;
mod tasks;
mod work;
mod workers;

use std::process::ExitCode;

use args::{Cli, Command};
use exit::{Exit, Problem};
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail over a help text.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    exit::tell_panics_plainly();
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(problem) => problem.report().into(),
    }
}

fn start(cli: Cli) -> Result<Exit, Problem> {
    output::log(&cli.global, &cli.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<Exit, Problem> {
    let output = Output::new(&cli.global);
    let global = cli.global;
    match cli.command {
        Command::Demo(options) => demo::run(&options, &global, &output).await,
        Command::Worker(options) => work::run(options, &global, &output).await,
        Command::Job(command) => job::run(command, &global, &output).await,
        Command::Queue(command) => control::queue(command, &global, &output).await,
        Command::Task(command) => control::task(command, &global, &output).await,
        Command::Workers => workers::run(&global, &output).await,
        Command::Migrate { command } => migrate::run(command, &global, &output),
        Command::Bench(options) => bench::run(&options, &global, &output).await,
        Command::Completions { shell } => output.raw(&args::completions(shell)),
    }
}
