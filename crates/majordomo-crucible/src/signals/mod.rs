//! Trials by signal: real worker processes on one SQLite file are killed, told
//! to stop, or frozen beyond their lease, and what became of their jobs is
//! measured. Each trial fails if a promise of `docs/guarantees.md` is broken.

mod crew;
mod figures;
pub(crate) mod hand;
mod kill;
mod stop;
mod term;

use anyhow::{Context as _, Result, ensure};

use figures::Figures;

/// Which trials, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SignalsArgs {
    /// Which of them; all unless some are named.
    #[arg(value_enum)]
    trials: Vec<Trial>,
    /// A short version of each: fewer jobs, and all times a tenth of the defaults.
    #[arg(long)]
    brisk: bool,
}

/// What is done to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Trial {
    /// Killed: their jobs run again elsewhere.
    Kill,
    /// Told to stop: they drain and give back what is left.
    Term,
    /// Frozen beyond their lease, and thawed after others took over.
    Stop,
}

const ALL: [Trial; 3] = [Trial::Kill, Trial::Term, Trial::Stop];

/// How many broken promises are shown; one cause may break very many.
const SHOWN: usize = 20;

/// Runs the trials, prints the figures, and fails if a promise is broken.
pub(crate) fn run(args: &SignalsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let trials = match args.trials.is_empty() {
        true => &ALL[..],
        false => &args.trials,
    };
    let mut all: Vec<Figures> = Vec::new();
    for trial in trials {
        all.extend(runtime.block_on(async {
            match trial {
                Trial::Kill => kill::run(folder.path(), args.brisk).await,
                Trial::Term => term::run(folder.path(), args.brisk).await,
                Trial::Stop => stop::run(folder.path(), args.brisk).await,
            }
        })?);
    }
    println!("{}", figures::table(&all));
    let broken: Vec<&String> = all.iter().flat_map(|figures| &figures.broken).collect();
    for promise in broken.iter().take(SHOWN) {
        eprintln!("broken: {promise}");
    }
    ensure!(
        broken.is_empty(),
        "{} things are not as promised",
        broken.len()
    );
    Ok(())
}
