//! Jobs, claims, beats and endings for tests: plain ones, to be varied with
//! struct update syntax.

use std::time::Duration;

use majordomo_core::{
    Beat, Change, Claim, DeadReason, Document, Ending, Failure, FailureKind, Hold, JobId, Lease,
    LogLine, NewJob, OnConflict, Payload, Proof, Put, State, Timestamp, Until, Verdict, When,
};
use serde_json::Value;

/// The task of every sample job unless said otherwise.
pub const TASK: &str = "task";
/// The queue of every sample job unless said otherwise.
pub const QUEUE: &str = "default";
/// How long a sample lease lasts. Long, so that a trial on a running clock
/// never meets its end by accident.
pub const LEASE: Duration = Duration::from_secs(3600);
/// One minute: the unit that trials move the time by.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A job of [`TASK`] in [`QUEUE`], due at once.
#[must_use]
pub fn job() -> NewJob {
    job_of(TASK)
}

/// A job of this task in [`QUEUE`], due at once.
#[must_use]
pub fn job_of(task: &str) -> NewJob {
    let payload = Payload {
        codec: majordomo_core::Codec::JSON,
        bytes: br#"{"to":"ann"}"#.to_vec(),
    };
    NewJob::new(task, payload)
}

/// As many plain jobs as asked, in the order of their ids.
#[must_use]
pub fn jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(|_| job()).collect()
}

/// The ids of these jobs, in order.
#[must_use]
pub fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// A job that takes `key`.
#[must_use]
pub fn holding(key: &str, until: Until, on_conflict: OnConflict) -> NewJob {
    NewJob {
        holds: vec![Hold::new(key).until(until).on_conflict(on_conflict)],
        ..job()
    }
}

/// A claim by `worker` of up to `count` jobs of [`TASK`] from [`QUEUE`],
/// suspects included.
#[must_use]
pub fn claim_by(worker: &str, count: usize) -> Claim {
    Claim {
        worker: worker.to_owned(),
        queues: vec![(QUEUE.to_owned(), count)],
        tasks: vec![TASK.to_owned()],
        lease: LEASE,
        suspects: count,
    }
}

/// As [`claim_by`], by some worker.
#[must_use]
pub fn claim(count: usize) -> Claim {
    claim_by("worker", count)
}

/// A claim of all these tasks.
#[must_use]
pub fn claim_of(tasks: &[&str], count: usize) -> Claim {
    Claim {
        tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
        ..claim(count)
    }
}

/// A beat without news that extends the lease by [`LEASE`].
#[must_use]
pub fn beat(lease: &Lease) -> Beat {
    Beat::new(lease.clone(), LEASE)
}

/// An ending by the holder of the lease.
#[must_use]
pub fn ending(lease: &Lease, verdict: Verdict) -> Ending {
    Ending::new(lease.clone(), verdict)
}

/// An ending by a sweeper, with the failure that a sweeper writes.
#[must_use]
pub fn sweep(lease: &Lease, verdict: Verdict) -> Ending {
    let error = Some(Failure::new(FailureKind::LeaseLost, "the worker vanished"));
    Ending {
        proof: Proof::Expired,
        error,
        ..ending(lease, verdict)
    }
}

/// A retry that is due at once.
pub const RETRY: Verdict = Verdict::Retry { due: When::Now };
/// A lost attempt whose job is due at once.
pub const LOST: Verdict = Verdict::Lost { due: When::Now };
/// An operator's retry that is due at once.
pub const AGAIN: Change = Change::Retry { due: When::Now };

/// The verdict that a job is dead for this reason.
#[must_use]
pub fn dead(reason: DeadReason) -> Verdict {
    Verdict::Dead { reason }
}

/// One of each verdict; those with a due time say in a [`MINUTE`].
#[must_use]
pub fn verdicts() -> Vec<Verdict> {
    let soon = When::In(MINUTE);
    vec![
        Verdict::Completed,
        Verdict::Retry { due: soon },
        Verdict::Snooze { due: soon },
        Verdict::Release,
        Verdict::Lost { due: soon },
        dead(DeadReason::Permanent),
        Verdict::Cancelled,
        Verdict::Expired,
    ]
}

/// A failure with this message.
#[must_use]
pub fn failure(message: &str) -> Failure {
    Failure::new(FailureKind::Error, message)
}

/// A log line with this message.
#[must_use]
pub fn line(message: &str) -> LogLine {
    LogLine {
        at: Timestamp::UNIX_EPOCH,
        level: "info".to_owned(),
        message: message.to_owned(),
    }
}

/// A write of a document without condition or end.
#[must_use]
pub fn put(key: &str, value: impl Into<Value>) -> Put {
    Put::new(key, value.into())
}

/// The keys of these documents, in order.
#[must_use]
pub fn keys(documents: &[Document]) -> Vec<&str> {
    documents
        .iter()
        .map(|document| document.key.as_str())
        .collect()
}

/// The states that a job ends in.
pub const FINISHED: [State; 4] = [
    State::Completed,
    State::Dead,
    State::Cancelled,
    State::Expired,
];
