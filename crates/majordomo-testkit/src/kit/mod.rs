//! For tests of tasks: a client on a memory storage whose clock the test
//! holds, workers that move when told to, and assertions about what was enqueued.
//!
//! | a test of | takes |
//! |---|---|
//! | what a task does, retries and delays included | [`Kit::test`]: a [`TestWorker`] that steps |
//! | code that enqueues and expects the job to be done | [`Kit::inline`] |
//! | code that enqueues, without running anything | [`assert_enqueued!`](crate::assert_enqueued) |
//! | a real worker with its loops and threads | a [`majordomo_engine::Gate`] |
//!
//! ```
//! # use majordomo_core::{State, Task};
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
//! let worker = kit.test(kit.worker(()).handle::<Remind>())?;
//! let job = kit.jobs.enqueue(Remind { who: "ann".into() }).after(YEAR).await?;
//! assert_enqueued!(kit.jobs, Remind, |task| task.who == "ann");
//! assert_eq!(worker.drain().await?.ran(), 0);
//! kit.advance(YEAR);
//! assert_eq!(worker.drain().await?.completed(), 1);
//! assert_eq!(job.state().await?, State::Completed);
//! # Ok(()) }
//! ```

mod inline;
mod stuck;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{
    Clock, Details, Filter, Job, JobId, ManualClock, Memory, Order, Result, State, Storage, Task,
    Timestamp, limits,
};
use majordomo_engine::{Client, Worker};

pub use inline::{Inline, Ran};
pub use stuck::Stuck;
pub use worker::{PATIENCE, TestWorker};

/// How often a job of a started worker is looked at.
const LOOK: Duration = Duration::from_millis(5);

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
        Self::on(Memory::with_clock(Arc::new(clock.clone())), clock)
    }

    /// One on a storage that takes its time from this clock.
    pub fn on(storage: impl Storage, clock: ManualClock) -> Self {
        Self {
            jobs: Client::new(storage),
            clock,
        }
    }

    /// A worker on the same storage: add its tasks, then give it to
    /// [`Self::test`], or start it.
    #[must_use]
    pub fn worker<App: Send + Sync + 'static>(&self, app: App) -> Worker<App> {
        Worker::new(&self.jobs, app)
    }

    /// Makes a worker move only when told to.
    ///
    /// # Errors
    /// If a setting is out of range, or two tasks share a name.
    pub fn test<App: Send + Sync + 'static>(&self, worker: Worker<App>) -> Result<TestWorker<App>> {
        TestWorker::new(worker, self.jobs.clone(), self.clock.clone())
    }

    /// Waits until a worker that was started has brought this job into this
    /// state, no longer than `within` by tokio's clock. States that pass quickly
    /// may go unseen. Moves no clock.
    ///
    /// # Errors
    /// [`Stuck`] shows the jobs: if there is no such job, it ended in another
    /// state, the time is over, or the storage fails.
    pub async fn wait_for_state(
        &self,
        id: JobId,
        state: State,
        within: Duration,
    ) -> Result<Details, Stuck> {
        let is_wanted = |now| now == state;
        self.until(id, state.as_str(), is_wanted, within).await
    }

    /// Waits until a worker that was started has brought this job to its end, in
    /// whatever way, no longer than `within` by tokio's clock.
    ///
    /// # Errors
    /// As [`Self::wait_for_state`].
    pub async fn wait_for(&self, id: JobId, within: Duration) -> Result<Details, Stuck> {
        self.until(id, "ended", State::is_finished, within).await
    }

    async fn until(
        &self,
        id: JobId,
        wanted: &str,
        is_wanted: impl Fn(State) -> bool,
        within: Duration,
    ) -> Result<Details, Stuck> {
        let what = format!("waiting until job {id} is {wanted}");
        let waiting = async {
            loop {
                let Some(details) = self.jobs.job(id).await? else {
                    return Ok(Err(format!("{what}: there is no such job")));
                };
                let state = details.job.state;
                if is_wanted(state) {
                    return Ok(Ok(details));
                }
                if state.is_finished() {
                    return Ok(Err(format!("{what}: it ended as {state}")));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let why = match tokio::time::timeout(within, waiting).await {
            Ok(Ok(Ok(details))) => return Ok(details),
            Ok(Ok(Err(why))) => why,
            Ok(Err(error)) => return Err(Stuck::failed(&self.jobs, error, None).await),
            Err(_) => format!("{what} took longer than {within:?}"),
        };
        Err(Stuck::at(&self.jobs, why, None, Some(id)).await)
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
