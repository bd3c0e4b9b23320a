//! What a running attempt knows about itself, and how it speaks to the world.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use majordomo_core::payload::check_value;
use majordomo_core::{Details, Job, JobId, Lease, Progress, Step, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::client::Client;
use crate::task_error::Result;

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

/// The context of one attempt. Clones are the same context.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    details: Details,
    timeout: Option<Duration>,
    client: Client,
    live: Arc<Live>,
}

impl Context {
    pub(crate) fn new(
        details: Details,
        timeout: Option<Duration>,
        client: Client,
        live: Arc<Live>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                details,
                timeout,
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
    /// Never fails and never waits; reports are written a few times a second at
    /// most, and always the latest one.
    pub fn progress(&self, percent: impl Into<f64>, note: impl AsRef<str>) {
        self.inner
            .live
            .report(Progress::new(percent.into(), note.as_ref()));
    }

    /// Reports steps done of all steps; the percentage follows.
    pub fn progress_step(&self, done: u64, total: u64, note: impl AsRef<str>) {
        self.inner
            .live
            .report(Progress::of_steps(Step { done, total }, note.as_ref()));
    }

    /// Saves something for the next attempt, should this one fail. Written with
    /// the next heartbeat, within a second.
    ///
    /// # Errors
    /// If it can't be written as JSON or is over the limit of 1 MiB.
    pub fn checkpoint<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let value = serde_json::to_value(value)?;
        check_value("the checkpoint", &value, limits::CHECKPOINT)?;
        self.inner.live.update(|news| news.checkpoint = Some(value));
        Ok(())
    }

    /// What an earlier attempt saved, if it did and if it fits.
    #[must_use]
    pub fn saved<T: DeserializeOwned>(&self) -> Option<T> {
        let value = self.inner.details.checkpoint.clone()?;
        serde_json::from_value(value).ok()
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

    /// Waits until the attempt should stop, and says why. After that it has a
    /// few seconds to return; then it is dropped.
    pub fn cancelled(&self) -> impl Future<Output = CancelReason> + Send + use<> {
        self.inner.live.cancel.listen()
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

/// A running attempt, as its worker sees it: shared by the attempt, the
/// heartbeat and the pump.
pub(crate) struct Live {
    pub(crate) lease: Lease,
    pub(crate) suspect: bool,
    pub(crate) cancel: Cancel,
    news: Mutex<News>,
}

/// What an attempt has to say and is not stored yet.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) progress: Option<Progress>,
    pub(crate) checkpoint: Option<serde_json::Value>,
}

impl Live {
    pub(crate) fn new(lease: Lease, suspect: bool) -> Self {
        Self {
            lease,
            suspect,
            cancel: Cancel::new(),
            news: Mutex::default(),
        }
    }

    /// Takes what is to be written.
    pub(crate) fn take_news(&self) -> News {
        std::mem::take(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written, unless there is newer news.
    pub(crate) fn put_back(&self, old: News) {
        self.update(|news| {
            news.progress = news.progress.take().or(old.progress);
            news.checkpoint = news.checkpoint.take().or(old.checkpoint);
        });
    }

    pub(crate) fn has_news(&self) -> bool {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.progress.is_some() || news.checkpoint.is_some()
    }

    fn report(&self, progress: Progress) {
        self.update(|news| news.progress = Some(progress));
    }

    fn update(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Tells an attempt to stop, once, and why. The first reason stays.
pub(crate) struct Cancel {
    sender: watch::Sender<Option<CancelReason>>,
}

impl Cancel {
    fn new() -> Self {
        Self {
            sender: watch::Sender::new(None),
        }
    }

    pub(crate) fn fire(&self, reason: CancelReason) {
        self.sender.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        *self.sender.borrow()
    }

    pub(crate) fn listen(&self) -> impl Future<Output = CancelReason> + Send + use<> {
        let mut receiver = self.sender.subscribe();
        async move {
            match receiver
                .wait_for(Option::is_some)
                .await
                .map(|reason| *reason)
            {
                Ok(Some(reason)) => reason,
                // The attempt is over, so nobody is left to tell it to stop.
                _ => std::future::pending().await,
            }
        }
    }
}
