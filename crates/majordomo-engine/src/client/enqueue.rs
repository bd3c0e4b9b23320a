//! An enqueue in the making: a value with options that is awaited.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use majordomo_core::job::{Occurrence, Trace};
use majordomo_core::{
    Backoff, Hold, Inserted, JobId, NewJob, OnConflict, Payload, Result, Tags, Task, Timestamp,
    Until, When,
};
use serde::Serialize;
use serde_json::Value;

use super::{Client, Handle};

/// A job that is enqueued when this is awaited. Every option has the default
/// that the task's spec names.
#[must_use = "nothing is enqueued until this is awaited"]
pub struct Enqueue<'a, T> {
    client: &'a Client,
    job: Result<NewJob>,
    task: PhantomData<fn() -> T>,
}

impl<'a, T: Task> Enqueue<'a, T> {
    pub(super) fn new(client: &'a Client, task: &T) -> Self {
        Self {
            client,
            job: job_of(task),
            task: PhantomData,
        }
    }

    /// Runs it no earlier than this long from now, by the storage's clock.
    pub fn after(self, wait: Duration) -> Self {
        self.due(When::In(wait))
    }

    /// Runs it no earlier than at this instant.
    pub fn at(self, instant: Timestamp) -> Self {
        self.due(When::At(instant))
    }

    /// Runs it no earlier than this.
    pub fn due(self, due: impl Into<When>) -> Self {
        self.with(|job| job.due = due.into())
    }

    /// It must not start later than this long from now.
    pub fn expires_in(self, wait: Duration) -> Self {
        self.with(|job| job.expires = Some(When::In(wait)))
    }

    /// It must not start at this instant or later.
    pub fn expires_at(self, instant: Timestamp) -> Self {
        self.with(|job| job.expires = Some(When::At(instant)))
    }

    /// Puts it into this queue.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.with(|job| job.queue = queue.into())
    }

    /// Higher goes first.
    pub fn priority(self, priority: i16) -> Self {
        self.with(|job| job.priority = priority)
    }

    /// How many attempts it gets.
    pub fn attempts(self, attempts: u32) -> Self {
        self.with(|job| job.max_attempts = attempts)
    }

    /// How long to wait between them.
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|job| job.backoff = backoff)
    }

    /// How long an attempt may run.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|job| job.timeout = Some(timeout))
    }

    /// How long it is kept once finished, whatever [`crate::Retention`] says;
    /// counted from its end, and zero until the next prune.
    pub fn retention(self, retention: Duration) -> Self {
        self.with(|job| job.retention = Some(retention))
    }

    /// Only one job of this task and key may be unfinished. If there is one,
    /// nothing is stored, and the handle is that of the existing one.
    pub fn unique(self, key: impl fmt::Display) -> Self {
        self.unique_until(key, Until::Finished)
    }

    /// Like [`Self::unique`], until the job starts, is finished, or for a time.
    pub fn unique_until(self, key: impl fmt::Display, until: Until) -> Self {
        self.hold(Hold::new(unique_key::<T>(key)).until(until))
    }

    /// If a job of this task and key is still waiting, only makes it due when
    /// this one would be (debounce); else enqueues this one.
    pub fn debounce(self, key: impl fmt::Display) -> Self {
        self.hold(
            Hold::new(unique_key::<T>(key))
                .until(Until::Started)
                .on_conflict(OnConflict::Postpone),
        )
    }

    /// Takes a key of any kind.
    pub fn hold(self, hold: Hold) -> Self {
        self.with(|job| job.holds.push(hold))
    }

    /// Adds tags to those of the task.
    pub fn tags<S: AsRef<str>>(self, tags: impl IntoIterator<Item = S>) -> Self {
        self.with(|job| job.tags.extend(tags))
    }

    /// Adds an entry to its metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        let value: Result<Value> = serde_json::to_value(value).map_err(|source| {
            majordomo_core::Error::invalid("cannot write the metadata as JSON").source(source)
        });
        match value {
            Ok(value) => self.with(|job| drop(job.metadata.insert(key.into(), value))),
            Err(error) => {
                self.job = Err(error);
                self
            }
        }
    }

    /// Who asked for it.
    pub fn actor(self, actor: impl Into<String>) -> Self {
        self.with(|job| job.actor = Some(actor.into()))
    }

    /// For whom it is.
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with(|job| job.tenant = Some(tenant.into()))
    }

    /// The key whose limits it shares.
    pub fn limit_key(self, key: impl Into<String>) -> Self {
        self.with(|job| job.limit_key = Some(key.into()))
    }

    /// The trace it belongs to.
    pub fn trace(self, trace: Trace) -> Self {
        self.with(|job| job.trace = Some(trace))
    }

    /// The occurrence of a schedule that it is.
    pub fn occurrence(self, occurrence: Occurrence) -> Self {
        self.with(|job| job.schedule = Some(occurrence))
    }

    /// An id of one's own: enqueueing the same id again stores nothing.
    pub fn id(self, id: JobId) -> Self {
        self.with(|job| job.id = id)
    }

    /// The job itself, without storing it: to inspect it, to insert many
    /// different ones at once, or to carry it elsewhere.
    ///
    /// # Errors
    /// If it would be refused by every storage.
    pub fn build(self) -> Result<NewJob> {
        let job = self.unchecked()?;
        job.check()?;
        Ok(job)
    }

    /// The job as it is, for an insert that checks it.
    pub(super) fn unchecked(self) -> Result<NewJob> {
        self.job
    }

    fn with(mut self, change: impl FnOnce(&mut NewJob)) -> Self {
        if let Ok(job) = &mut self.job {
            change(job);
        }
        self
    }
}

impl<'a, T: Task> IntoFuture for Enqueue<'a, T> {
    type Output = Result<Handle<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let client = self.client;
        let job = self.job;
        Box::pin(async move {
            let job = job?;
            let id = job.id;
            let inserted = client.insert(vec![job]).await?;
            Ok(Handle::of(
                client,
                id,
                inserted.into_iter().next().unwrap_or(Inserted::New),
            ))
        })
    }
}

impl<T> fmt::Debug for Enqueue<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

fn unique_key<T: Task>(key: impl fmt::Display) -> String {
    format!("{}/{key}", T::NAME)
}

fn job_of<T: Task>(task: &T) -> Result<NewJob> {
    let spec = T::spec();
    let mut job = NewJob::new(T::NAME, Payload::json(task)?);
    job.version = T::VERSION;
    job.queue = spec.queue;
    job.priority = spec.priority;
    job.max_attempts = spec.max_attempts;
    job.backoff = spec.backoff;
    job.timeout = spec.timeout;
    job.expires = spec.expires_in.map(When::In);
    job.retention = spec.retention;
    job.tags = Tags::from_iter(spec.tags.iter());
    job.holds = task.unique_key().map(Hold::new).into_iter().collect();
    Ok(job)
}
