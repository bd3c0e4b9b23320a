//! A worker that moves when the test tells it to, and the test's clock with it.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use majordomo_core::{Clock, Details, JobId, ManualClock, State, time};
use majordomo_engine::{Client, Report, Stepper, Worker};

use super::stuck::Stuck;

/// How long a [`TestWorker`] waits by default.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The most steps of one call: more means that something goes round for ever.
const STEPS: usize = 10_000;

/// Runs jobs when told to, in the caller's own task: no loop, no thread. Made
/// by [`super::Kit::test`].
///
/// Every method gives up after 30 s by tokio's clock, or as long as
/// [`TestWorker::within`] says, and after 10,000 steps. A failure is a [`Stuck`],
/// whose text shows the jobs and what became of their attempts.
pub struct TestWorker<App> {
    stepper: Stepper<App>,
    jobs: Client,
    clock: ManualClock,
    within: Duration,
    so_far: Mutex<Report>,
}

impl<App: Send + Sync + 'static> TestWorker<App> {
    pub(super) fn new(
        worker: Worker<App>,
        jobs: Client,
        clock: ManualClock,
    ) -> majordomo_core::Result<Self> {
        Ok(Self {
            stepper: worker.stepper()?,
            jobs,
            clock,
            within: PATIENCE,
            so_far: Mutex::default(),
        })
    }

    /// How long each of its methods may take; 30 s by default.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Everything it did so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.so_far
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs what is due now, up to the worker's concurrency, each job to its
    /// end. Nothing before its time; the clock stays where it is.
    ///
    /// # Errors
    /// If the storage fails, or a job takes longer than the worker's patience.
    pub async fn step(&self) -> Result<Report, Stuck> {
        self.bounded("a step", None, self.one_step()).await
    }

    /// Steps until nothing is due any more; the clock stays where it is. What
    /// failed and is to be retried later stays pending.
    ///
    /// # Errors
    /// As [`Self::step`]; and if jobs stay due, as one does that snoozes itself
    /// for no time.
    pub async fn drain(&self) -> Result<Report, Stuck> {
        self.bounded("draining", None, self.steps()).await
    }

    /// Runs everything, now and later: drains, moves the clock on to the next
    /// due time, and so on until no job waits for its time any more. So retries,
    /// snoozes and jobs that are a year away are done in no time.
    ///
    /// Jobs that this worker can't run, of other tasks or in paused queues, are
    /// left alone.
    ///
    /// # Errors
    /// As [`Self::drain`]; and if there is no end of it, as with a job that
    /// always enqueues its next one.
    pub async fn run_until_idle(&self) -> Result<Report, Stuck> {
        let all = async {
            let mut report = Report::default();
            for _ in 0..STEPS {
                report.merge(self.steps().await?);
                if !self.skip_to_next() {
                    return Ok(report);
                }
            }
            Err(Fault::Endless)
        };
        self.bounded("running until idle", None, all).await
    }

    /// Runs jobs until this one has ended, moving the clock on as
    /// [`Self::run_until_idle`] does, and tells all about it.
    ///
    /// # Errors
    /// If there is no such job, if nothing is left to run and it has not ended,
    /// or as [`Self::run_until_idle`].
    pub async fn wait_for(&self, id: JobId) -> Result<Details, Stuck> {
        let ended = |state: State| state.is_finished();
        self.until(id, "ended", ended).await
    }

    /// Runs jobs until this one is in this state, and tells all about it. A job
    /// is never seen running here, because a step runs it to its end: start a
    /// worker and use [`super::Kit::wait_for_state`] for that.
    ///
    /// # Errors
    /// As [`Self::wait_for`]; and as soon as it has ended in another state.
    pub async fn wait_for_state(&self, id: JobId, state: State) -> Result<Details, Stuck> {
        self.until(id, state.as_str(), |now| now == state).await
    }

    async fn until(
        &self,
        id: JobId,
        wanted: &str,
        is_wanted: impl Fn(State) -> bool,
    ) -> Result<Details, Stuck> {
        let waiting = async {
            for _ in 0..STEPS {
                let found = self.jobs.job(id).await.map_err(Fault::Storage)?;
                let found = found.ok_or(Fault::NotFound)?;
                let state = found.job.state;
                if is_wanted(state) {
                    return Ok(found);
                }
                if state.is_finished() {
                    return Err(Fault::Otherwise(state));
                }
                if self.one_step().await?.is_idle() && !self.skip_to_next() {
                    return Err(Fault::Idle(state));
                }
            }
            Err(Fault::Endless)
        };
        let what = format!("waiting until job {id} is {wanted}");
        self.bounded(&what, Some(id), waiting).await
    }

    async fn one_step(&self) -> Result<Report, Fault> {
        // A storage that answers at once would give no timeout its turn.
        tokio::task::yield_now().await;
        let report = self.stepper.step().await.map_err(Fault::Storage)?;
        self.so_far
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .merge(report.clone());
        Ok(report)
    }

    async fn steps(&self) -> Result<Report, Fault> {
        let mut report = Report::default();
        for _ in 0..STEPS {
            let step = self.one_step().await?;
            if step.is_idle() {
                return Ok(report);
            }
            report.merge(step);
        }
        Err(Fault::Endless)
    }

    /// Moves the clock on to the next due time, if there is one.
    fn skip_to_next(&self) -> bool {
        let now = self.clock.now();
        let Some(due) = self.stepper.next_due().filter(|due| *due > now) else {
            return false;
        };
        self.clock.advance(time::between(now, due));
        true
    }

    async fn bounded<T>(
        &self,
        what: &str,
        id: Option<JobId>,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Stuck> {
        let fault = match tokio::time::timeout(self.within, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Slow,
        };
        let why = match fault {
            Fault::Storage(error) => {
                let report = Some(self.report());
                return Err(Stuck::failed(&self.jobs, error, report).await);
            }
            Fault::Slow => format!("{what} took longer than {:?}", self.within),
            Fault::Endless => format!(
                "{what} found no end in {STEPS} steps: does a job snooze or enqueue itself for ever?"
            ),
            Fault::NotFound => format!("{what}: there is no such job"),
            Fault::Otherwise(state) => format!("{what}: it ended as {state}"),
            Fault::Idle(state) => {
                format!("{what}: it is {state}, and nothing is left that this worker could run")
            }
        };
        Err(Stuck::at(&self.jobs, why, Some(self.report()), id).await)
    }
}

/// Why a call did not do what it should.
enum Fault {
    Storage(majordomo_core::Error),
    Slow,
    Endless,
    NotFound,
    Otherwise(State),
    Idle(State),
}

impl<App> fmt::Debug for TestWorker<App> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestWorker")
            .field("stepper", &self.stepper)
            .finish_non_exhaustive()
    }
}
