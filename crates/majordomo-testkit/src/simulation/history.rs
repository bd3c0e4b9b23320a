//! What happened in a simulation, in the order in which it happened: what
//! clients asked for and heard, what the storage did, what the tasks did, and
//! what befell the nodes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use majordomo_core::{
    Change, Changed, Clock, Control, Ending, ErrorKind, Inserted, JobId, NewJob, Proof, Renewed,
    Scope, Settled, Timestamp, Verdict,
};
use majordomo_engine::Cancelled;

use super::clock::PausedClock;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// How long after the start, by the time that everything waits by.
    pub passed: Duration,
    /// The storage's time, which may have jumped.
    pub at: Timestamp,
    /// Which node, or which client.
    pub who: String,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client begins an operation of this number.
    Asked(usize, Ask),
    /// A client heard what became of it. An operation without an answer may or
    /// may not have been carried out.
    Heard(usize, Answer),
    /// The storage took a job in, or did not.
    Inserted(Box<NewJob>, Inserted),
    /// The storage gave out jobs.
    Claimed {
        /// How many were asked for, by queue.
        wanted: Vec<(String, usize)>,
        /// How many suspects were asked for.
        suspects: usize,
        /// What was given.
        given: Vec<Given>,
    },
    /// The storage answered a sign of life.
    Renewed {
        /// The job.
        job: JobId,
        /// The token of the attempt.
        token: u64,
        /// Until when the lease lasts, if it does.
        until: Timestamp,
        /// The answer.
        answer: Renewed,
    },
    /// The storage answered an ending.
    Ended {
        /// The job.
        job: JobId,
        /// The token of the attempt.
        token: u64,
        /// By what right.
        proof: Proof,
        /// What it means.
        verdict: Verdict,
        /// The answer.
        answer: Settled,
    },
    /// The storage answered a change of a job.
    Changed(JobId, Change, Changed),
    /// The storage set the control of a scope.
    Controlled(Scope, Control),
    /// The task's code began to run.
    Began(JobId, u64),
    /// The task's code returned, or was dropped.
    Left(JobId, u64, &'static str),
    /// A node started.
    Started,
    /// A node was killed: nothing of it is heard of again.
    Killed,
    /// A node was told to stop.
    Stopping,
    /// A node has stopped.
    Stopped,
    /// A node, or every node, is cut off from the storage.
    CutOff,
    /// It reaches the storage again.
    Joined,
    /// A node that was told to stop is told to stop at once.
    Hurried,
    /// The storage's clock jumped ahead.
    Jumped(Duration),
    /// All faults are over.
    Healed,
    /// There were too many calls for any good reason; nothing is answered any more.
    Spun,
}

/// A job that was given out.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The job.
    pub job: JobId,
    /// The token of the attempt.
    pub token: u64,
    /// The end of the lease.
    pub until: Timestamp,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// To store jobs, all or none.
    Insert(Vec<JobId>),
    /// To cancel a job.
    Cancel(JobId),
    /// To run a finished job again.
    Retry(JobId),
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Jobs were stored.
    Inserted(Vec<Inserted>),
    /// What became of the request to cancel.
    Cancelled(Cancelled),
    /// The job will run again.
    Retried,
    /// It failed with an error of this kind.
    Failed(ErrorKind),
}

impl Event {
    /// The event of an ending and its answer.
    pub(super) fn ended(ending: &Ending, answer: Settled) -> Self {
        Self::Ended {
            job: ending.lease.job,
            token: ending.lease.token,
            proof: ending.proof,
            verdict: ending.verdict.clone(),
            answer,
        }
    }
}

/// What is written down so far.
#[derive(Debug, Default)]
pub(super) struct Entries(Mutex<Vec<Entry>>);

impl Entries {
    pub(super) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where everything is written down. Clones are the same record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) clock: PausedClock,
    entries: Arc<Entries>,
}

impl Record {
    pub(super) fn new(clock: PausedClock, entries: Arc<Entries>) -> Self {
        Self { clock, entries }
    }

    pub(super) fn write(&self, who: &str, event: Event) {
        let entry = Entry {
            passed: self.clock.passed(),
            at: self.clock.now(),
            who: who.to_owned(),
            event,
        };
        let entries = self.entries.0.lock();
        entries.unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub(super) fn take(&self) -> Vec<Entry> {
        self.entries.take()
    }
}

/// The short name of a job in a simulation, by the number in its id.
pub(super) fn short(job: JobId) -> String {
    let number = job.as_bytes()[..4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("job-{number}")
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed.as_secs_f64();
        write!(f, "{passed:>9.3}s  {:<9} {}", self.who, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(number, ask) => write!(f, "asks ({number}): {ask}"),
            Self::Heard(number, answer) => write!(f, "hears ({number}): {answer:?}"),
            Self::Inserted(job, answer) => {
                let (id, priority, due) = (short(job.id), job.priority, job.due);
                write!(
                    f,
                    "inserts {id}, priority {priority}, due {due:?}, expires {:?}: {answer:?}",
                    job.expires
                )
            }
            Self::Claimed { wanted, given, .. } => {
                write!(f, "claims {wanted:?}:")?;
                given
                    .iter()
                    .try_for_each(|given| write!(f, " {}#{}", short(given.job), given.token))
            }
            Self::Renewed {
                job, token, answer, ..
            } => write!(f, "renews {}#{token}: {answer:?}", short(*job)),
            Self::Ended {
                job,
                token,
                proof,
                verdict,
                answer,
            } => {
                let by = if *proof == Proof::Expired {
                    "sweeps"
                } else {
                    "ends"
                };
                write!(f, "{by} {}#{token} as {verdict:?}: {answer:?}", short(*job))
            }
            Self::Changed(job, change, answer) => {
                write!(f, "changes {}, {change:?}: {answer:?}", short(*job))
            }
            Self::Controlled(scope, control) => write!(f, "sets {scope:?} to {control:?}"),
            Self::Began(job, token) => write!(f, "runs {}#{token}", short(*job)),
            Self::Left(job, token, how) => write!(f, "{how} {}#{token}", short(*job)),
            Self::Started => f.write_str("has started"),
            Self::Killed => f.write_str("is killed"),
            Self::Stopping => f.write_str("is told to stop"),
            Self::Stopped => f.write_str("has stopped"),
            Self::CutOff => f.write_str("is cut off from the storage"),
            Self::Hurried => f.write_str("is told to stop at once"),
            Self::Joined => f.write_str("reaches the storage again"),
            Self::Jumped(by) => write!(f, "jumps ahead by {by:?}"),
            Self::Healed => f.write_str("all faults are over"),
            Self::Spun => f.write_str("calls without end"),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(jobs) => {
                let jobs: Vec<String> = jobs.iter().map(|job| short(*job)).collect();
                write!(f, "insert {}", jobs.join(", "))
            }
            Self::Cancel(job) => write!(f, "cancel {}", short(*job)),
            Self::Retry(job) => write!(f, "retry {}", short(*job)),
        }
    }
}
