//! The storage contract: what the engine needs of a place that keeps jobs.
//!
//! # Laws
//!
//! The conformance suite of `majordomo-testkit` holds every storage to these.
//!
//! 1. **Fence.** Every claim gives the job a new, ever-growing token, never
//!    reset. Every write about a running attempt carries it; a stale one
//!    changes nothing, and the reply says so. See [`Lease`].
//! 2. **Identity.** Ids are made by the client before the first try, so every
//!    write can be repeated after a lost reply.
//! 3. **Time belongs to the storage.** Its clock decides due, lease and expiry
//!    times; callers send [`crate::When`].
//! 4. **Batches answer per item, in order.**
//! 5. **Pages go by key**, never by offset.
//! 6. **No method sleeps or retries.** Errors say transient, ambiguous or
//!    final, and the engine retries. A bounded wait for a lock is no retry.
//! 7. **Due is a time, not a state.**
//! 8. **A conflict is an answer**, never an error that sinks a batch.
//!
//! Not verbs, because they follow from these: rescue, staging of delayed jobs,
//! leader election, dead-letter queues, bulk operations, unique keys and
//! occurrences (both are holds).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::change::{Change, Changed};
use crate::control::{Control, Scope};
use crate::document::{Document, Put};
use crate::ending::{Ending, check_json};
use crate::error::{Error, Result};
use crate::filter::{Cursor, Filter, Order, Page};
use crate::id::JobId;
use crate::job::{Details, Job, LogLine, NewJob};
use crate::lease::Lease;
use crate::limits;
use crate::progress::Progress;
use crate::series::{Bucket, Query};
use crate::state::State;
use crate::wake::Wakes;

/// A place that keeps jobs. See the [module](self) for the laws.
#[async_trait]
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// Stores jobs. Each group is stored whole or not at all; groups do not
    /// depend on each other, so one that is refused sinks no other.
    ///
    /// A job whose id is known, or whose hold conflicts, is answered with
    /// [`Inserted::Existing`] while the rest of its group is stored. A dropped
    /// future or an ambiguous error means "unknown": call again with
    /// [`Repeat::Again`].
    ///
    /// # Errors
    /// The outer error if nothing could be tried; the inner one of a group if
    /// that group was refused.
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>>;

    /// Takes due jobs for a worker: by priority, then due time, then id within
    /// each queue. Controls are enforced here. Jobs found past their expiry
    /// become expired instead.
    ///
    /// # Errors
    /// If the claim could not be made. After an ambiguous one, jobs may be
    /// claimed by nobody who knows; their leases run out.
    async fn claim(&self, claim: Claim) -> Result<Claimed>;

    /// Extends leases, and stores what attempts have to say.
    ///
    /// # Errors
    /// If nothing was written, or if it is unknown. Repeating is harmless.
    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>>;

    /// Writes endings of attempts, and claims again in the same transaction if
    /// `then` says so.
    ///
    /// An ending that was written before and is repeated is answered as applied.
    ///
    /// # Errors
    /// If nothing was written, or if it is unknown. Repeating is harmless.
    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)>;

    /// Lists jobs. `limit` is cut to [`limits::PAGE`].
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>>;

    /// Reads jobs with everything known about them.
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>>;

    /// Changes the jobs that match, from `after` on in the order of ids, at
    /// most `limit` (cut to [`limits::PAGE`]) at a time. Each page is one
    /// transaction; only legal transitions are made.
    ///
    /// # Errors
    /// If nothing was written, or if it is unknown.
    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>>;

    /// Removes finished jobs that match, at most `limit` (cut to
    /// [`limits::PAGE`]), and says how many: fewer than `limit` only if no more
    /// match. Which ones go first is the storage's choice. Unfinished ones are
    /// passed over, holds for a time and statistics stay.
    ///
    /// # Errors
    /// If nothing was written, or if it is unknown.
    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64>;

    /// All controls that are set, ordered by scope.
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn controls(&self) -> Result<Vec<(Scope, Control)>>;

    /// Sets the control of a scope; the default control removes it.
    ///
    /// # Errors
    /// If it is refused or could not be written.
    async fn set_control(&self, scope: Scope, control: Control) -> Result<()>;

    /// Writes a document if its condition is met: `Ok(Ok(..))` is the document
    /// as stored, `Ok(Err(..))` the version that stands in the way, if any.
    ///
    /// # Errors
    /// If it is refused or could not be written.
    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>>;

    /// Reads a document.
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn get_document(&self, key: &str) -> Result<Option<Document>>;

    /// Lists documents whose key starts with `prefix`, by key, after the key
    /// `after`. `limit` is cut to [`limits::PAGE`].
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>>;

    /// Removes a document, and says whether there was one.
    ///
    /// # Errors
    /// If nothing was written, or if it is unknown.
    async fn remove_document(&self, key: &str) -> Result<bool>;

    /// Statistics, ordered by start and name; buckets in which nothing happened are left out.
    ///
    /// # Errors
    /// If the storage can't be read.
    async fn series(&self, query: &Query) -> Result<Vec<Bucket>>;

    /// The time, by the clock that decides everything here.
    ///
    /// # Errors
    /// If the storage can't be reached.
    async fn now(&self) -> Result<Timestamp>;

    /// Push, where the storage has it; `None` means that the engine polls.
    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        None
    }

    /// What to call this storage in messages, without secrets: `memory`, or `sqlite:jobs.db`.
    fn name(&self) -> String;

    /// What an acknowledged write survives.
    fn durability(&self) -> Durability;
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: it is gone with the process.
    Volatile,
    /// The death of any process.
    ProcessCrash,
    /// A power cut.
    PowerLoss,
    /// The loss of a machine.
    Replicated,
}

/// Whether an insert is a first try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// The first try: the ids are new, so only unfinished jobs need be looked at.
    #[default]
    First,
    /// The same again after a lost reply: finished jobs count as well.
    Again,
}

/// What became of one job of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored.
    New,
    /// It is not: this job is there instead. Its own id means that it was stored before.
    Existing(JobId),
}

/// A request for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who asks.
    pub worker: String,
    /// How many from each queue; each queue at most once.
    pub queues: Vec<(String, usize)>,
    /// The tasks that the worker knows, aliases included. Others are left alone.
    pub tasks: Vec<String>,
    /// How long the leases last.
    pub lease: Duration,
    /// How many of the jobs may be suspects ([`Job::is_suspect`]): a worker
    /// runs one at a time.
    pub suspects: usize,
}

impl Claim {
    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`], naming the value.
    pub fn check(&self) -> Result<()> {
        limits::check_name("worker", &self.worker)?;
        if self.lease.is_zero() {
            return Err(Error::invalid("a lease of no time would be lost at once"));
        }
        for (index, (queue, _)) in self.queues.iter().enumerate() {
            limits::check_name("queue", queue)?;
            if self.queues[..index]
                .iter()
                .any(|(earlier, _)| earlier == queue)
            {
                return Err(Error::invalid(format!(
                    "the queue `{queue}` is asked for twice in one claim"
                )));
            }
        }
        Ok(())
    }
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    /// The storage's time.
    pub now: Timestamp,
    /// The jobs, running, each under its lease.
    pub jobs: Vec<(Details, Lease)>,
    /// When the next job of these queues and tasks is due, if fewer were found
    /// than asked for and one is waiting for its time. A hint for the timer.
    pub next_due: Option<Timestamp>,
}

/// A sign of life of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// The attempt.
    pub lease: Lease,
    /// How much longer the lease lasts from now.
    pub extend: Duration,
    /// How far it has come, if there is news.
    pub progress: Option<Progress>,
    /// What it logged since the last beat.
    pub log: Vec<LogLine>,
    /// What it saved for its next attempt.
    pub checkpoint: Option<Value>,
}

impl Beat {
    /// A beat with no news.
    #[must_use]
    pub fn new(lease: Lease, extend: Duration) -> Self {
        Self {
            lease,
            extend,
            progress: None,
            log: Vec::new(),
            checkpoint: None,
        }
    }

    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLarge`] or [`crate::ErrorKind::Invalid`], naming the field.
    pub fn check(&self) -> Result<()> {
        self.progress.as_ref().map_or(Ok(()), Progress::check)?;
        check_json(
            "the checkpoint",
            self.checkpoint.as_ref(),
            limits::CHECKPOINT,
        )
    }
}

/// The answer to one beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The lease is extended.
    Kept,
    /// The lease is extended, and someone wants the job to stop.
    CancelAsked,
    /// The lease is gone; nothing was written.
    Lost,
}

/// The answer to one ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is written, now or by an earlier call; the job went to this state.
    Applied(State),
    /// The lease is gone; nothing was written.
    Stale,
}
