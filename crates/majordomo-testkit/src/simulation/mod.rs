//! Deterministic simulation: several real workers over a faulty storage, on one
//! thread and a paused clock, where a seed decides everything.
//!
//! Nodes start, stop, are killed and are cut off for longer than their leases;
//! calls are late, refused, or lose their reply; clients enqueue, cancel and
//! retry; the storage's clock jumps; tasks fail, panic, hang, snooze, do not
//! listen, and take their process with them. After a while all faults are over,
//! and every job must be finished. All that happened is written down, and a
//! [checker](check()) says which promises were broken.
//!
//! The same seed gives the same history, to the last byte, so a failure can be
//! replayed. The storage must answer on the caller's own thread, without any
//! clock but the one it is given: [`majordomo_core::Memory`] does.
//!
//! - `plan`: what a seed stands for; `drive`: carries it out;
//! - `node`, `wire`, `work`: a worker, its way to the storage, its tasks;
//! - `history`: what is written down; `check`: what must be true of it.

mod check;
mod clock;
mod drive;
mod history;
mod node;
mod plan;
mod wire;
mod work;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use majordomo_core::{Clock, Storage};

use crate::conformance::quietly;

pub use check::{Broken, check};
pub use drive::Last;
pub use history::{Answer, Ask, Entry, Event, Given};

use history::Entries;

type StorageMaker = Arc<dyn Fn(Arc<dyn Clock>) -> Arc<dyn Storage> + Send + Sync>;
type LinkMaker = Arc<dyn Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync>;

/// How many seeds are tried unless the environment says otherwise.
pub const SEEDS: u64 = 200;

/// How long one seed may take on any machine. Only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is simulated.
#[derive(Clone)]
pub struct Simulation {
    storage: StorageMaker,
    link: LinkMaker,
}

/// What came out of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Everything that happened, in order.
    pub history: Vec<Entry>,
    /// The promises that were broken.
    pub broken: Vec<Broken>,
}

impl Simulation {
    /// Simulates nodes over the storages that `make` makes. They must be empty
    /// and go by the clock that is given.
    pub fn of<S: Storage>(make: impl Fn(Arc<dyn Clock>) -> S + Send + Sync + 'static) -> Self {
        Self {
            storage: Arc::new(move |clock| Arc::new(make(clock))),
            link: Arc::new(|storage| storage),
        }
    }

    /// Puts something of its own between each process and the storage. It is
    /// made when the process starts and dies with it.
    #[must_use]
    pub fn linked<S: Storage>(
        mut self,
        link: impl Fn(Arc<dyn Storage>) -> S + Send + Sync + 'static,
    ) -> Self {
        self.link = Arc::new(move |storage| Arc::new(link(storage)));
        self
    }

    /// Runs one seed, on a thread of its own.
    ///
    /// # Panics
    /// If no thread can be started.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        let (report, ended) = mpsc::channel();
        let entries = Arc::<Entries>::default();
        let (simulation, written) = (self.clone(), Arc::clone(&entries));
        std::thread::Builder::new()
            .name(format!("simulation-{seed}"))
            .spawn(move || {
                // Nobody waits any more if it took too long.
                let _ = report.send(quietly(|| simulation.go(seed, written)));
            })
            .expect("a thread can be started");
        let (history, broken) = match ended.recv_timeout(PATIENCE) {
            Ok(Ok(ran)) => ran,
            Ok(Err(panic)) => {
                let how = format!("the simulation panicked: {panic}");
                (entries.take(), vec![Broken::new("no panic", how)])
            }
            Err(_) => {
                let how = "time stands still: some task is always busy".to_owned();
                (entries.take(), vec![Broken::new("no spin", how)])
            }
        };
        Outcome {
            seed,
            history,
            broken,
        }
    }

    fn go(&self, seed: u64, entries: Arc<Entries>) -> (Vec<Entry>, Vec<Broken>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        // The engine's own random numbers are this thread's.
        fastrand::seed(seed);
        runtime.block_on(async {
            let (history, last) = drive::run(self, seed, entries).await;
            let broken = check(&history, &last);
            (history, broken)
        })
    }

    /// Runs these seeds until one of them breaks a promise.
    #[must_use]
    pub fn first_failure(&self, seeds: Range<u64>) -> Option<Outcome> {
        seeds
            .map(|seed| self.run(seed))
            .find(|outcome| !outcome.broken.is_empty())
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulation")
    }
}

impl Outcome {
    /// The history as text, a line for each entry but for claims that found nothing.
    #[must_use]
    pub fn trace(&self) -> String {
        let found_nothing = |event: &Event| match event {
            Event::Claimed { given, .. } => given.is_empty(),
            _ => false,
        };
        self.history
            .iter()
            .filter(|entry| !found_nothing(&entry.event))
            .map(|entry| format!("{entry}\n"))
            .collect()
    }

    /// What was broken first as text, at most ten.
    #[must_use]
    pub fn report(&self) -> String {
        let told = self.broken.iter().take(10);
        let mut report: String = told.map(|broken| format!("  {broken}\n")).collect();
        if self.broken.len() > 10 {
            report += &format!("  and {} more\n", self.broken.len() - 10);
        }
        report
    }
}

/// Runs the seeds that the environment asks for: one with its trace
/// (`MAJORDOMO_SEED=123`), so many (`MAJORDOMO_SEEDS=10000`), or [`SEEDS`].
/// `replay` is the command that runs this very test.
///
/// # Panics
/// If a promise is broken, with the command that replays it.
pub fn try_seeds(simulation: &Simulation, replay: &str) {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        let number = text.parse::<u64>();
        Some(number.unwrap_or_else(|_| panic!("`{name}` is `{text}`, which is no number")))
    };
    let failed = match number("MAJORDOMO_SEED") {
        Some(seed) => {
            let outcome = simulation.run(seed);
            println!("{}", outcome.trace());
            Some(outcome).filter(|outcome| !outcome.broken.is_empty())
        }
        None => simulation.first_failure(0..number("MAJORDOMO_SEEDS").unwrap_or(SEEDS)),
    };
    if let Some(outcome) = failed {
        panic!(
            "seed {} broke a promise:\n{}replay it with its trace:\n  MAJORDOMO_SEED={} {replay}",
            outcome.seed,
            outcome.report(),
            outcome.seed
        );
    }
}

/// Simulates nodes over a storage, as a `#[test]` of this name.
///
/// The second argument makes an empty storage from a clock. Seeds are the same
/// at each run; see [`simulation::try_seeds`](crate::simulation::try_seeds).
///
/// ```
/// use majordomo_core::Memory;
///
/// majordomo_testkit::simulation!(nodes_over_the_memory_storage, Memory::with_clock);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! simulation {
    ($name:ident, $make:expr) => {
        #[test]
        fn $name() {
            let replay = concat!(
                "cargo test -p ",
                env!("CARGO_PKG_NAME"),
                " ",
                stringify!($name),
                " -- --nocapture"
            );
            let simulation = $crate::simulation::Simulation::of($make);
            $crate::simulation::try_seeds(&simulation, replay);
        }
    };
}
