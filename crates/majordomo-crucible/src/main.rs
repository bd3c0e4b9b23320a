//! The crash rig: real worker processes on one storage, killed and stopped at
//! random while they work, and a checker that proves from the history left
//! behind that nothing was lost and no stale write was accepted.
//!
//! Run it as `cargo xtask crucible`. It starts itself again as its workers.
//! `cargo xtask signals` runs the trials that measure.

mod check;
mod rig;
mod signals;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Kills workers and checks that nothing is lost")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the rig.
    Run(RunArgs),
    /// Kill, stop and freeze workers, and measure what becomes of their jobs.
    Signals(signals::SignalsArgs),
    /// Be one of the rig's workers.
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Be a worker in a trial by signal.
    #[command(hide = true)]
    Hand(signals::hand::HandArgs),
}

/// How to run the rig.
#[derive(Clone, Debug, clap::Args)]
struct RunArgs {
    /// The storage; a SQLite file in a temporary folder unless given.
    #[arg(long)]
    storage: Option<String>,
    /// How many jobs.
    #[arg(long, default_value_t = 10_000)]
    jobs: usize,
    /// How many worker processes.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// How often one of them is killed or stopped.
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    every: Duration,
    /// The longest run before it counts as failed.
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    within: Duration,
    /// What decides who is hit when; printed, so that a run can be repeated.
    #[arg(long)]
    seed: Option<u64>,
}

/// How to be a worker.
#[derive(Clone, Debug, clap::Args)]
struct WorkerArgs {
    #[arg(long)]
    storage: String,
    #[arg(long)]
    name: String,
    /// Where to write that a stale ending was refused.
    #[arg(long)]
    log: PathBuf,
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => rig::run(&args),
        Command::Signals(args) => signals::run(&args),
        Command::Worker(args) => work::run(&args),
        Command::Hand(args) => signals::hand::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
