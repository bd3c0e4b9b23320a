//! A job: what a client hands in, what a storage keeps of it, and what can be
//! read about it afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::ending::{DeadReason, EndingKind};
use crate::error::{Error, Result};
use crate::hold::Hold;
use crate::id::JobId;
use crate::lease::Lease;
use crate::limits;
use crate::payload::{Payload, check_value};
use crate::progress::Progress;
use crate::state::State;
use crate::tags::Tags;
use crate::time::{self, When, optional_micros};

/// A job to be stored, complete but for what the storage's clock decides.
///
/// Made by `client.enqueue(..)`; build one by hand with [`NewJob::new`] to
/// inspect it, to insert many, or to carry it elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    /// Made by the client before the first try, so that the insert can be repeated.
    pub id: JobId,
    /// The task's name.
    pub task: String,
    /// The version of the task's payload, from 1.
    pub version: u32,
    /// The arguments.
    pub payload: Payload,
    /// The lane; `default` unless said otherwise.
    pub queue: String,
    /// Higher goes first; 0 by default.
    pub priority: i16,
    /// The earliest time to run.
    pub due: When,
    /// The time after which it must not start; never by default.
    pub expires: Option<When>,
    /// How many attempts may be charged before it is dead; at least 1.
    pub max_attempts: u32,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// How long an attempt may run; the worker's default if absent.
    #[serde(with = "optional_micros")]
    pub timeout: Option<Duration>,
    /// How long it is kept once finished, whatever its workers say; as long as
    /// they say if absent.
    #[serde(with = "optional_micros")]
    pub retention: Option<Duration>,
    /// Keys it takes.
    pub holds: Vec<Hold>,
    /// Labels to find it by.
    pub tags: Tags,
    /// Anything else to keep with it, as JSON.
    pub metadata: BTreeMap<String, Value>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// For whom it is.
    pub tenant: Option<String>,
    /// Jobs of one limit key share the limits that a control sets for it.
    pub limit_key: Option<String>,
    /// The trace it was enqueued in.
    pub trace: Option<Trace>,
    /// The occurrence of a schedule that it is.
    pub schedule: Option<Occurrence>,
}

/// Attempts a job gets unless said otherwise.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 10;
/// A job that was lost with its process this often is a suspect.
pub const SUSPECT: u32 = 2;
/// The queue a job goes to unless said otherwise.
pub const DEFAULT_QUEUE: &str = "default";

impl NewJob {
    /// A job of `task` with the defaults of every other field.
    pub fn new(task: impl Into<String>, payload: Payload) -> Self {
        Self {
            id: JobId::new(),
            task: task.into(),
            version: 1,
            payload,
            queue: DEFAULT_QUEUE.to_owned(),
            priority: 0,
            due: When::Now,
            expires: None,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            backoff: Backoff::default(),
            timeout: None,
            retention: None,
            holds: Vec::new(),
            tags: Tags::none(),
            metadata: BTreeMap::new(),
            actor: None,
            tenant: None,
            limit_key: None,
            trace: None,
            schedule: None,
        }
    }

    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] or [`crate::ErrorKind::TooLarge`], naming the field and the value.
    pub fn check(&self) -> Result<()> {
        limits::check_name("task", &self.task)?;
        limits::check_name("queue", &self.queue)?;
        self.payload.check()?;
        if self.max_attempts == 0 {
            return Err(Error::invalid(format!(
                "a job of `{}` with 0 attempts would never run",
                self.task
            ))
            .hint("give it at least 1"));
        }
        if self.version == 0 {
            return Err(Error::invalid(format!(
                "payload version 0 of `{}`: versions start at 1",
                self.task
            )));
        }
        let names = [
            ("actor", &self.actor),
            ("tenant", &self.tenant),
            ("limit key", &self.limit_key),
        ];
        for (what, name) in names {
            name.as_deref()
                .map_or(Ok(()), |name| limits::check_name(what, name))?;
        }
        if let Some(occurrence) = &self.schedule {
            limits::check_name("schedule", &occurrence.schedule)?;
        }
        self.holds
            .iter()
            .try_for_each(|hold| limits::check_key("key", &hold.key))?;
        check_tags(&self.tags)?;
        check_metadata(&self.metadata)
    }

    /// The job as it is first stored, at `now` by the storage's clock.
    #[must_use]
    pub fn into_job(self, now: Timestamp) -> Job {
        Job {
            id: self.id,
            task: self.task,
            version: self.version,
            payload: self.payload,
            queue: self.queue,
            priority: self.priority,
            due: self.due.resolve(now),
            expires: self.expires.map(|when| when.resolve(now)),
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            timeout: self.timeout,
            retention: self.retention,
            holds: self.holds,
            tags: self.tags,
            metadata: self.metadata,
            actor: self.actor,
            tenant: self.tenant,
            limit_key: self.limit_key,
            trace: self.trace,
            schedule: self.schedule,
            state: State::Pending,
            token: 0,
            charged: 0,
            crashes: 0,
            revision: 1,
            created_at: now,
            changed_at: now,
            started_at: None,
            ended_at: None,
            lease: None,
            cancel_requested: false,
            dead_reason: None,
            error: None,
            progress: None,
        }
    }
}

pub(crate) fn check_tags(tags: &Tags) -> Result<()> {
    if tags.len() > limits::TAGS {
        return Err(Error::invalid(format!(
            "{} tags, the limit is {}",
            tags.len(),
            limits::TAGS
        )));
    }
    tags.iter()
        .try_for_each(|tag| limits::check_name("tag", tag))
}

fn check_metadata(metadata: &BTreeMap<String, Value>) -> Result<()> {
    if metadata.is_empty() {
        return Ok(());
    }
    metadata
        .keys()
        .try_for_each(|key| limits::check_name("metadata key", key))?;
    check_value("the metadata", metadata, limits::METADATA)
}

/// A job as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// See [`NewJob::id`].
    pub id: JobId,
    /// See [`NewJob::task`].
    pub task: String,
    /// See [`NewJob::version`].
    pub version: u32,
    /// See [`NewJob::payload`].
    pub payload: Payload,
    /// See [`NewJob::queue`].
    pub queue: String,
    /// See [`NewJob::priority`].
    pub priority: i16,
    /// The earliest time to run, or to run again.
    pub due: Timestamp,
    /// The time after which no attempt may begin.
    pub expires: Option<Timestamp>,
    /// See [`NewJob::max_attempts`].
    pub max_attempts: u32,
    /// See [`NewJob::backoff`].
    pub backoff: Backoff,
    /// See [`NewJob::timeout`].
    #[serde(with = "optional_micros")]
    pub timeout: Option<Duration>,
    /// See [`NewJob::retention`].
    #[serde(with = "optional_micros")]
    pub retention: Option<Duration>,
    /// See [`NewJob::holds`].
    pub holds: Vec<Hold>,
    /// See [`NewJob::tags`].
    pub tags: Tags,
    /// See [`NewJob::metadata`].
    pub metadata: BTreeMap<String, Value>,
    /// See [`NewJob::actor`].
    pub actor: Option<String>,
    /// See [`NewJob::tenant`].
    pub tenant: Option<String>,
    /// See [`NewJob::limit_key`].
    pub limit_key: Option<String>,
    /// See [`NewJob::trace`].
    pub trace: Option<Trace>,
    /// See [`NewJob::schedule`].
    pub schedule: Option<Occurrence>,

    /// Where it is in its life.
    pub state: State,
    /// How often it was claimed; see [`Lease::token`].
    pub token: u64,
    /// Attempts held against `max_attempts`.
    pub charged: u32,
    /// Leases lost to a process that vanished.
    pub crashes: u32,
    /// Grows with every change but claims and renewals; see [`crate::Edit::if_revision`].
    pub revision: u64,
    /// When it was inserted.
    pub created_at: Timestamp,
    /// When anything but its lease and progress last changed.
    pub changed_at: Timestamp,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was finished.
    pub ended_at: Option<Timestamp>,
    /// The lease it runs under, while it runs.
    pub lease: Option<Lease>,
    /// Whether someone asked a running job to stop.
    pub cancel_requested: bool,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// The error of the latest attempt that failed.
    pub error: Option<Failure>,
    /// The latest report of the latest attempt that made one.
    pub progress: Option<Progress>,
}

impl Job {
    /// Whether a worker may claim it at `now`, as far as the job itself goes.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == State::Pending && self.due <= now
    }

    /// Whether it has not started and must not any more.
    #[must_use]
    pub fn is_past_expiry(&self, now: Timestamp) -> bool {
        self.state == State::Pending && self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it is finished and has been for as long as it asked to be kept.
    #[must_use]
    pub fn is_past_retention(&self, now: Timestamp) -> bool {
        let (true, Some(ended), Some(kept)) =
            (self.state.is_finished(), self.ended_at, self.retention)
        else {
            return false;
        };
        time::after(ended, kept) <= now
    }

    /// Whether it runs under a lease that has run out.
    #[must_use]
    pub fn is_lease_expired(&self, now: Timestamp) -> bool {
        self.state == State::Running
            && self
                .lease
                .as_ref()
                .is_some_and(|lease| lease.expires <= now)
    }

    /// Whether it was lost with its process twice, and so may be what kills
    /// them. Suspects are run one at a time per process, so that they cost no
    /// neighbour an attempt. Once is no suspicion: a power cut loses everything
    /// that runs (decisions/0003).
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= SUSPECT
    }
}

/// A job with everything known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// The job.
    pub job: Job,
    /// Its attempts, oldest first; a running one last. At most
    /// [`limits::ATTEMPTS`]: the first and the latest ones.
    pub attempts: Vec<Attempt>,
    /// Its reports of progress, at most [`limits::HISTORY`].
    pub history: Vec<Progress>,
    /// The latest log lines, at most [`limits::LOG_LINES`].
    pub log: Vec<LogLine>,
    /// What the task saved for its next attempt; gone once it is completed.
    pub checkpoint: Option<Value>,
    /// What the task returned.
    pub output: Option<Value>,
}

impl Details {
    /// A job of which nothing else is known yet.
    #[must_use]
    pub fn of(job: Job) -> Self {
        Self {
            job,
            attempts: Vec::new(),
            history: Vec::new(),
            log: Vec::new(),
            checkpoint: None,
            output: None,
        }
    }
}

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The token it ran under.
    pub token: u64,
    /// Who ran it.
    pub worker: String,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<EndingKind>,
    /// Its error, if it failed.
    pub error: Option<Failure>,
}

/// Adds an attempt to a history, within [`limits::ATTEMPTS`].
pub fn record_attempt(attempts: &mut Vec<Attempt>, attempt: Attempt) {
    attempts.push(attempt);
    if attempts.len() > limits::ATTEMPTS {
        attempts.remove(1);
    }
}

/// Adds log lines to those kept, within [`limits::LOG_LINES`] and [`limits::LOG`];
/// the oldest go first.
pub fn record_log(log: &mut Vec<LogLine>, lines: Vec<LogLine>) {
    log.extend(lines);
    let mut bytes = 0;
    let kept = log
        .iter()
        .rev()
        .take(limits::LOG_LINES)
        .take_while(|line| {
            bytes += line.message.len();
            bytes <= limits::LOG
        })
        .count();
    log.drain(..log.len() - kept);
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// The error's own words.
    pub message: String,
    /// The causes below it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// The sorts of failure, few and stable enough to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The task returned an error.
    Error,
    /// The task panicked.
    Panic,
    /// The task ran longer than its timeout.
    Timeout,
    /// The worker vanished, or lost its lease.
    LeaseLost,
    /// The payload did not decode, or its version is not known here.
    Decode,
}

impl FailureKind {
    /// The name used in storages, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::LeaseLost => "lease_lost",
            Self::Decode => "decode",
        }
    }
}

impl Failure {
    /// A failure with this message, cut to [`limits::ERROR`].
    pub fn new(kind: FailureKind, message: &str) -> Self {
        Self::with_chain(kind, message, [])
    }

    /// A failure with its causes, all together cut to [`limits::ERROR`].
    pub fn with_chain(
        kind: FailureKind,
        message: &str,
        chain: impl IntoIterator<Item = String>,
    ) -> Self {
        let message = limits::shorten(message, limits::ERROR);
        let mut left = limits::ERROR - message.len();
        let mut kept = Vec::new();
        for cause in chain {
            if left < '…'.len_utf8() {
                break;
            }
            let cause = limits::shorten(&cause, left);
            left -= cause.len();
            kept.push(cause);
        }
        Self {
            kind,
            message,
            chain: kept,
        }
    }

    /// Refuses text that is too long.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLarge`] over [`limits::ERROR`].
    pub fn check(&self) -> Result<()> {
        let size = self.message.len() + self.chain.iter().map(String::len).sum::<usize>();
        limits::check("the error's text", size, limits::ERROR)
    }

    /// Whether `text` occurs in the message or in a cause, ASCII case aside.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        std::iter::once(&self.message)
            .chain(&self.chain)
            .any(|part| part.to_ascii_lowercase().contains(&text))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.chain
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// A line that an attempt logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, by the worker's clock.
    pub at: Timestamp,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// What was logged.
    pub message: String,
}

/// Where a job was enqueued, as W3C trace context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The `traceparent` header.
    pub traceparent: String,
    /// The `tracestate` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// The occurrence of a schedule that a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The schedule's name.
    pub schedule: String,
    /// The instant the schedule names, before any jitter or delay.
    pub nominal_at: Timestamp,
    /// Why it was made: `on_time`, `late`, `catch_up`, `backfill` or `manual`.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn job() -> NewJob {
        NewJob::new("send-welcome", Payload::json("ann").unwrap())
    }

    #[test]
    fn bad_values_are_refused_with_their_name() {
        type Spoil = fn(&mut NewJob);
        let table: [(Spoil, &str); 6] = [
            (|job| job.task.clear(), "task is empty"),
            (|job| job.queue = "a\tb".into(), "queue `a\\tb`"),
            (|job| job.max_attempts = 0, "`send-welcome` with 0 attempts"),
            (|job| job.version = 0, "versions start at 1"),
            (|job| job.holds = vec![Hold::new("")], "key is empty"),
            (
                |job| job.tags = (0..60).map(|n| n.to_string()).collect(),
                "60 tags",
            ),
        ];
        for (spoil, expected) in table {
            let mut job = job();
            job.check().unwrap();
            spoil(&mut job);
            let error = job.check().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let mut large = job();
        large
            .metadata
            .insert("k".into(), Value::String("x".repeat(limits::METADATA)));
        assert_eq!(large.check().unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn an_errors_text_is_bounded_to_the_byte() {
        let long = Failure::with_chain(
            FailureKind::Error,
            &"m".repeat(10_000),
            ["c".repeat(10_000), "d".into()],
        );
        long.check().unwrap();
        assert_eq!(long.message.len(), 10_000);
        assert!(long.chain[0].ends_with('…'));
        let mut raw = Failure::new(FailureKind::Error, "");
        raw.message = "x".repeat(limits::ERROR);
        raw.check().unwrap();
        raw.chain.push("x".into());
        assert_eq!(raw.check().unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn the_log_keeps_the_latest_lines_within_both_bounds() {
        let line = |message: String| LogLine {
            at: Timestamp::UNIX_EPOCH,
            level: "info".into(),
            message,
        };
        let mut log = Vec::new();
        record_log(&mut log, (0..600).map(|n| line(n.to_string())).collect());
        assert_eq!(
            (log.len(), log[0].message.as_str()),
            (limits::LOG_LINES, "100")
        );
        record_log(&mut log, vec![line("x".repeat(limits::LOG))]);
        assert_eq!(log.len(), 1);
    }

    #[test]
    fn a_history_of_attempts_keeps_the_first_and_the_latest() {
        let mut attempts = Vec::new();
        for token in 1..=250 {
            let attempt = Attempt {
                token,
                worker: "w".into(),
                started_at: Timestamp::UNIX_EPOCH,
                ended_at: None,
                ending: None,
                error: None,
            };
            record_attempt(&mut attempts, attempt);
        }
        assert_eq!(attempts.len(), limits::ATTEMPTS);
        assert_eq!(
            (attempts[0].token, attempts[1].token, attempts[99].token),
            (1, 152, 250)
        );
    }
}
