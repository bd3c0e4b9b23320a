//! What can be said on the command line.

mod control;
mod job;
mod value;

use std::time::Duration;

use clap::{
    ArgMatches, Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use clap_complete::Shell;

use crate::exit::Exit;
use value::{count, duration};

pub(crate) use control::{Change, QueueCommand, TaskCommand};
pub(crate) use job::{Cancel, Chosen, Delete, Enqueue, JobCommand, List, Prune, Retry};

/// Background jobs: enqueue them, run them, look at them, change them.
#[derive(Debug, Parser)]
#[command(name = "majordomo", version, max_term_width = 100, after_help = Exit::list())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The heading of what every command takes.
const EVERYWHERE: &str = "Options of every command";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the jobs are: `sqlite:PATH`, `sqlite:PATH?durability=relaxed` or `memory:`
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "URL", env = "MAJORDOMO_STORAGE", default_value = "sqlite:majordomo.db")]
    pub(crate) storage: String,
    /// How to show results: for people, as one JSON document, or as one JSON object a line
    #[arg(short, long, global = true, help_heading = EVERYWHERE, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// What to log to standard error: `error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter
    /// as in RUST_LOG, which counts if this is absent; else `warn`, and `off` in the demo
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// No colors; the variable NO_COLOR says the same
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) no_color: bool,
    /// Whether the storage was named on the command line itself.
    #[arg(skip)]
    pub(crate) storage_given: bool,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Ndjson,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows what Majordomo does: a worker, some thousand sample jobs, and what became of them
    ///
    /// Its jobs go into a file of its own in the folder for temporary files, unless `--storage` is
    /// given; MAJORDOMO_STORAGE does not count here. The exit code is 0 only if every job ended as
    /// it should.
    Demo(Demo),
    /// Runs a worker with the built-in tasks `noop`, `sleep` and `fail`, until SIGTERM or Ctrl-C
    Worker(Box<Worker>),
    /// Enqueues, shows and changes jobs
    #[command(subcommand)]
    Job(Box<JobCommand>),
    /// Lists, pauses and limits queues, over all workers
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Lists, pauses and limits tasks, over all workers
    #[command(subcommand)]
    Task(TaskCommand),
    /// Lists the workers that run
    Workers,
    /// Brings a database file up to date, or tells whether it is
    Migrate {
        /// What to do
        #[command(subcommand)]
        command: Migrate,
    },
    /// Measures how fast enqueueing, draining and picking up jobs are here
    ///
    /// Works in a fresh file beside the one that `--storage` names, and removes it afterwards. What
    /// else runs on the machine shows in the results.
    Bench(Bench),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `majordomo demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many jobs
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    pub(crate) jobs: u32,
    /// Keep the jobs of earlier runs that ended over an hour ago
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `majordomo bench`
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// How many jobs are enqueued and drained
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(20..=10_000_000))]
    pub(crate) jobs: u32,
    /// How many jobs the worker runs at once
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) concurrency: usize,
    /// How many callers enqueue at once, where many do
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = count)]
    pub(crate) producers: usize,
    /// How long each drained job waits in its handler, as `1ms`; it does nothing unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) work: Option<Duration>,
    /// How many jobs that are due in a year lie beside those that are drained
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) future: u32,
    /// How many jobs are picked up by an idle worker, one every 50 ms
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) samples: u32,
    /// Also do the same by hand on one SQLite table, to compare with
    #[arg(long)]
    pub(crate) raw: bool,
}

/// `majordomo worker`
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Takes jobs from this queue; may be repeated; `default` unless given
    #[arg(long = "queue", value_name = "QUEUE")]
    pub(crate) queues: Vec<String>,
    /// How many jobs run at once; 64 unless given
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// What it is called in histories; host, process and a random part unless given
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long a lease lasts without a sign of life; 30s unless given, or three times a longer
    /// `--heartbeat`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) lease: Option<Duration>,
    /// How often leases are renewed; a third of `--lease` unless given, at most 10s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) heartbeat: Option<Duration>,
    /// How often lost leases are looked for; as long as `--lease` unless given, at most 5s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) sweep: Option<Duration>,
    /// The longest time between two looks for work; 1s unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) poll: Option<Duration>,
    /// How long running jobs may go on once it was told to stop; 30s unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) drain: Option<Duration>,
    /// How long an attempt may run if its job does not say; 5m unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// `majordomo migrate`
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Brings the schema up to date, and makes the file if there is none
    Up,
    /// Tells the version of the schema; exits with 1 if it is not up to date
    Status,
}

impl Cli {
    /// Reads the command line. An error may also be a request for help.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let plain = std::env::args_os().any(|argument| argument == "--no-color");
        let color = if plain {
            ColorChoice::Never
        } else {
            ColorChoice::Auto
        };
        let mut matches = Self::command().color(color).try_get_matches()?;
        let given = is_given(&matches, "storage");
        let mut cli = Self::from_arg_matches_mut(&mut matches)?;
        cli.global.storage_given = given;
        Ok(cli)
    }
}

/// Whether an argument was typed, and does not come from the environment or a default.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let here = matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    here || matches
        .subcommand()
        .is_some_and(|(_, inner)| inner.try_contains_id(id).is_ok() && is_given(inner, id))
}

/// The completion script for a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "majordomo", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        for code in [
            "  0  done",
            "  1  something failed",
            "  2  bad usage",
            "  3  no such job",
            "  4  refused",
        ] {
            assert!(help.contains(code), "{help}");
        }
    }
}
