//! What a running attempt knows about itself, and how it speaks to the world.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::payload::check_value;
use majordomo_core::{Details, Job, JobId, LogLine, Progress, Step, Timestamp, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::Client;
use crate::live::Live;
use crate::task_error::{Result, TaskError};

/// Why an attempt should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// The worker shuts down; the job will run again elsewhere.
    Shutdown,
    /// The attempt ran longer than its timeout.
    Timeout,
    /// Someone cancelled the job.
    User,
    /// The lease is gone: another worker may run the job already, and nothing
    /// that this attempt writes counts any more.
    LeaseLost,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "the worker shuts down",
            Self::Timeout => "its timeout is over",
            Self::User => "the job was cancelled",
            Self::LeaseLost => "its lease is lost",
        })
    }
}

/// The context of one attempt. Clones are the same context.
///
/// ```
/// # use majordomo_core::Task;
/// use majordomo_engine::{CancelReason, Context, Result, Run};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Copy { files: Vec<String> }
/// # impl Task for Copy { type Output = usize; const NAME: &'static str = "copy"; }
///
/// impl Run<()> for Copy {
///     async fn run(self, _app: &(), cx: &Context) -> Result<usize> {
///         // What an earlier attempt got done.
///         let done: usize = cx.saved().unwrap_or(0);
///         cx.log("info", format!("attempt {} of job {} starts at {done}", cx.attempt(), cx.id()));
///         for (index, file) in self.files.iter().enumerate().skip(done) {
///             // A shutdown gives the job back; the next attempt goes on from here.
///             cx.stop_if_cancelled()?;
///             cx.progress_step(index as u64 + 1, self.files.len() as u64, file);
///             cx.checkpoint(&(index + 1))?;
///         }
///         assert!(cx.remaining() <= cx.timeout() && !cx.is_last_attempt());
///         assert_eq!((cx.job().task.as_str(), cx.is_cancelled()), ("copy", false));
///         # assert!(tokio::time::timeout(std::time::Duration::ZERO, cx.cancelled()).await.is_err());
///         # assert_eq!(cx.client().job(cx.id()).await?.unwrap().job.id, cx.id());
///         Ok(self.files.len())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// # let jobs = majordomo_engine::Client::new(majordomo_core::Memory::new());
/// # let _worker = majordomo_engine::Worker::new(&jobs, ()).handle::<Copy>().start().await?;
/// # let copy = jobs.enqueue(Copy { files: vec!["a".into(), "b".into()] }).await?;
/// # assert_eq!(copy.result().await?, 2);
/// # let details = copy.details().await?;
/// # assert_eq!(details.log.len(), 1);
/// # assert_eq!(details.job.progress.unwrap().percent, 100.0);
/// # let _ = CancelReason::User;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    details: Arc<Details>,
    timeout: Option<Duration>,
    started: Instant,
    client: Client,
    live: Arc<Live>,
}

impl Context {
    pub(crate) fn new(
        details: Arc<Details>,
        timeout: Option<Duration>,
        client: Client,
        live: Arc<Live>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                details,
                timeout,
                started: Instant::now(),
                client,
                live,
            }),
        }
    }

    /// The job's id: the same at every attempt, so it can serve as a key
    /// against doing something twice.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.job().id
    }

    /// The job as it was claimed.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.inner.details.job
    }

    /// The number of this attempt, from 1, as it counts against the maximum.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job().charged + 1
    }

    /// Whether a failure now would be the last one.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.job().max_attempts
    }

    /// How long this attempt may run, from its start.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.inner.timeout
    }

    /// A client of the same storage, for enqueueing further jobs.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Reports how far the attempt has come: 0 to 100, and what it is doing.
    /// What lies outside is brought to the nearer end; what is no number is
    /// ignored. Never fails and never waits, whatever the storage does: the
    /// latest report waits in memory and is written a few times a second at
    /// most, and with the end of the attempt.
    pub fn progress(&self, percent: impl Into<f64>, note: impl AsRef<str>) {
        let percent = percent.into();
        if percent.is_nan() {
            tracing::debug!(job = %self.id(), "ignored a report of progress that is no number");
            return;
        }
        self.inner
            .live
            .report(Progress::new(percent, note.as_ref()));
    }

    /// Reports steps done of all steps; the percentage follows.
    pub fn progress_step(&self, done: u64, total: u64, note: impl AsRef<str>) {
        self.inner
            .live
            .report(Progress::of_steps(Step { done, total }, note.as_ref()));
    }

    /// Reports how far the attempt has come, with data for whoever shows it, at
    /// most 4 KiB as JSON. Data that is larger or can't be written as JSON is left
    /// out of the report; a report never fails.
    pub fn progress_data<T: Serialize + ?Sized>(
        &self,
        percent: impl Into<f64>,
        note: impl AsRef<str>,
        data: &T,
    ) {
        let report = Progress::new(percent.into(), note.as_ref());
        let data = serde_json::to_value(data).unwrap_or_default();
        let whole = report.clone().data(data);
        let fits = whole.check();
        if let Err(error) = &fits {
            tracing::debug!(job = %self.id(), %error, "left out the data of a report of progress");
        }
        let live = &self.inner.live;
        live.report(if fits.is_ok() { whole } else { report });
    }

    /// From now on the percentage of this attempt only grows: a lower one is
    /// reported as the highest so far, with its own note.
    pub fn progress_only_grows(&self) {
        self.inner.live.only_grow();
    }

    /// Saves something for the next attempt, should this one fail. Written with
    /// the next heartbeat, within a second.
    ///
    /// # Errors
    /// If it can't be written as JSON or is over the limit of 1 MiB.
    pub fn checkpoint<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let value = serde_json::to_value(value)?;
        check_value("the checkpoint", &value, limits::CHECKPOINT)?;
        self.inner.live.save(value);
        Ok(())
    }

    /// What an earlier attempt saved, if it did and if it fits.
    #[must_use]
    pub fn saved<T: DeserializeOwned>(&self) -> Option<T> {
        let value = self.inner.details.checkpoint.clone()?;
        serde_json::from_value(value).ok()
    }

    /// Keeps a line with the job, to be read afterwards: the latest 500 lines of
    /// a job, within 256 KiB. `level` is `error`, `warn`, `info`, `debug` or
    /// `trace`. Never fails and never waits.
    pub fn log(&self, level: &str, message: impl AsRef<str>) {
        let message = limits::shorten(message.as_ref(), limits::ERROR);
        let level = limits::shorten(level, limits::NAME);
        self.inner.live.log(LogLine {
            at: Timestamp::now(),
            level,
            message,
        });
    }

    /// How much of the timeout is left, if there is one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let timeout = self.inner.timeout?;
        Some(timeout.saturating_sub(self.inner.started.elapsed()))
    }

    /// Whether the attempt should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel_reason().is_some()
    }

    /// Why the attempt should stop, if it should.
    #[must_use]
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        self.inner.live.cancel.reason()
    }

    /// Ends the attempt with `?` if it should stop: `cx.stop_if_cancelled()?`.
    ///
    /// # Errors
    /// If it should. Returned from the task, this error is no failure: a job that
    /// was cancelled is cancelled, one that a shutdown stopped is given back
    /// without costing an attempt, and one over its timeout is recorded as that.
    pub fn stop_if_cancelled(&self) -> Result<()> {
        match self.cancel_reason() {
            None => Ok(()),
            Some(reason) => Err(TaskError::told_to_stop(reason)),
        }
    }

    /// Waits until the attempt should stop, and says why. After that it has a
    /// few seconds to return; then it is dropped.
    pub fn cancelled(&self) -> impl Future<Output = CancelReason> + Send + use<> {
        let live = Arc::clone(&self.inner.live);
        async move { live.cancel.told().await }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.inner.live
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
