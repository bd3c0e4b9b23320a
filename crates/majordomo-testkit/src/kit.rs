//! For tests of tasks: a client on a memory storage whose clock the test
//! holds, and assertions about what was enqueued.
//!
//! ```
//! # use majordomo_core::Task;
//! # use majordomo_engine::{Context, Result, Run};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)] struct Remind { who: String }
//! # impl Task for Remind { type Output = (); const NAME: &'static str = "remind"; }
//! # impl Run<()> for Remind { async fn run(self, _: &(), _: &Context) -> Result<()> { Ok(()) } }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! use majordomo_testkit::{assert_enqueued, Kit};
//! use std::time::Duration;
//!
//! const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
//! let kit = Kit::new();
//! let worker = kit.worker(()).handle::<Remind>().stepper()?;
//! kit.jobs.enqueue(Remind { who: "ann".into() }).after(YEAR).await?;
//! assert_enqueued!(kit.jobs, Remind, |task| task.who == "ann");
//! assert_eq!(worker.drain().await?.ran(), 0);
//! kit.advance(YEAR);
//! assert_eq!(worker.drain().await?.ran(), 1);
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{
    Clock, Filter, Job, ManualClock, Memory, Order, State, Task, Timestamp, limits,
};
use majordomo_engine::{Client, Worker};

/// A client on an empty memory storage, and the clock of that storage.
#[derive(Debug)]
pub struct Kit {
    /// The client.
    pub jobs: Client,
    /// The storage's clock.
    pub clock: ManualClock,
}

impl Kit {
    /// A new one, at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            jobs: Client::new(Memory::with_clock(Arc::new(clock.clone()))),
            clock,
        }
    }

    /// A worker on the same storage: add its tasks, then call `stepper()` on it
    /// and `step()` or `drain()` on that.
    #[must_use]
    pub fn worker<App: Send + Sync + 'static>(&self, app: App) -> Worker<App> {
        Worker::new(&self.jobs, app)
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The storage's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Default for Kit {
    fn default() -> Self {
        Self::new()
    }
}

/// The pending jobs of a task, oldest first, with their decoded payloads.
///
/// # Panics
/// If the storage can't be read, or a payload does not decode.
pub async fn enqueued<T: Task>(jobs: &Client) -> Vec<(Job, T)> {
    let filter = Filter::all().state(State::Pending).task(T::NAME);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = jobs
            .find(&filter, Order::default(), after, limits::PAGE)
            .await;
        let page =
            page.unwrap_or_else(|error| panic!("cannot look for jobs of `{}`: {error}", T::NAME));
        for job in page.items {
            let task = job.payload.decode();
            let task = task.unwrap_or_else(|error| {
                panic!("job {} of `{}` does not decode: {error}", job.id, T::NAME)
            });
            found.push((job, task));
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Asserts that a job of a task is waiting, and if a condition is given, that
/// it holds for the task of one of them. Gives that job back.
#[macro_export]
macro_rules! assert_enqueued {
    ($jobs:expr, $task:ty) => {
        $crate::assert_enqueued!($jobs, $task, |_| true)
    };
    ($jobs:expr, $task:ty, $condition:expr) => {{
        let condition: fn(&$task) -> bool = $condition;
        let mut enqueued = $crate::kit::enqueued::<$task>(&$jobs).await;
        let count = enqueued.len();
        let found = enqueued.iter().position(|(_, task)| condition(task));
        let Some(found) = found else {
            panic!(
                "no job of `{}` that fits is waiting, out of {count} of that task",
                <$task as $crate::majordomo_core::Task>::NAME
            );
        };
        enqueued.swap_remove(found).0
    }};
}

/// Asserts that no job of a task is waiting, or none for which the condition holds.
#[macro_export]
macro_rules! refute_enqueued {
    ($jobs:expr, $task:ty) => {
        $crate::refute_enqueued!($jobs, $task, |_| true)
    };
    ($jobs:expr, $task:ty, $condition:expr) => {{
        let condition: fn(&$task) -> bool = $condition;
        let enqueued = $crate::kit::enqueued::<$task>(&$jobs).await;
        if let Some((job, _)) = enqueued.iter().find(|(_, task)| condition(task)) {
            panic!("job {} of `{}` is waiting", job.id, job.task);
        }
    }};
}
