//! What people may do to jobs from outside: one or a million, in pages.

use serde::{Deserialize, Serialize};

use jiff::Timestamp;

use crate::error::Result;
use crate::id::JobId;
use crate::job::{Job, check_tags};
use crate::limits;
use crate::payload::Payload;
use crate::state::State;
use crate::tags::Tags;
use crate::time::When;

/// A change to a job that is not made by the worker running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Stop it: a pending job is cancelled, a running one is asked to stop.
    Cancel,
    /// Run a finished job again, with its counters at 0 and its token as it is.
    Retry {
        /// When.
        due: When,
    },
    /// Make a pending job due at another time.
    Reschedule {
        /// When.
        due: When,
    },
    /// Put a pending job into another queue.
    Move {
        /// The queue.
        queue: String,
    },
    /// Give a pending job another priority.
    Priority(i16),
    /// Change what a job carries, unless it is running.
    Edit(Edit),
    /// End a pending job as expired.
    Expire,
}

/// New content for a job; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// Other arguments.
    pub payload: Option<Payload>,
    /// Other tags.
    pub tags: Option<Tags>,
    /// Only if the job is still at this revision.
    pub if_revision: Option<u64>,
}

/// What became of one job of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// Done; the job is now in this state. A running job that was asked to
    /// cancel is still running.
    Done(State),
    /// Not done, and why.
    Refused(Refusal),
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The job is in this state, from which the change is not legal.
    State(State),
    /// The job is at this revision, not at the one that was asked for.
    Revision(u64),
    /// The key `key`, which the job would have to take again, is held by another.
    KeyHeld {
        /// The key.
        key: String,
        /// Its holder.
        by: JobId,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(state) => write!(f, "the job is {state}"),
            Self::Revision(revision) => write!(f, "the job is at revision {revision} by now"),
            Self::KeyHeld { key, by } => write!(f, "its key `{key}` is held by job {by}"),
        }
    }
}

impl Change {
    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// As for the fields of [`crate::NewJob`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Move { queue } => limits::check_name("queue", queue),
            Self::Edit(edit) => {
                edit.payload.as_ref().map_or(Ok(()), Payload::check)?;
                edit.tags.as_ref().map_or(Ok(()), check_tags)
            }
            Self::Cancel
            | Self::Retry { .. }
            | Self::Reschedule { .. }
            | Self::Priority(_)
            | Self::Expire => Ok(()),
        }
    }

    /// Whether `job` may be changed so, as far as the job itself goes.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn admit(&self, job: &Job) -> Result<(), Refusal> {
        let legal = match self {
            Self::Cancel => !job.state.is_finished(),
            Self::Retry { .. } => job.state.is_finished(),
            Self::Reschedule { .. } | Self::Move { .. } | Self::Priority(_) | Self::Expire => {
                job.state == State::Pending
            }
            Self::Edit(_) => job.state != State::Running,
        };
        if !legal {
            return Err(Refusal::State(job.state));
        }
        match self {
            Self::Edit(Edit {
                if_revision: Some(revision),
                ..
            }) if *revision != job.revision => Err(Refusal::Revision(job.revision)),
            _ => Ok(()),
        }
    }

    /// Whether `job` is as this change would have left it, as far as can be
    /// seen: what tells a repeat, after a lost reply, that the first try was made.
    #[must_use]
    pub fn is_met_by(&self, job: &Job) -> bool {
        match self {
            Self::Cancel => {
                job.state == State::Cancelled
                    || (job.state == State::Running && job.cancel_requested)
            }
            Self::Retry { .. } => !job.state.is_finished(),
            // When `Now` or `In` was meant can't be seen any more.
            Self::Reschedule { due } => {
                matches!(due, When::At(_)) && due.resolve(job.created_at) == job.due
            }
            Self::Move { queue } => *queue == job.queue,
            Self::Priority(priority) => *priority == job.priority,
            Self::Edit(edit) => {
                let is_same = |other: &Payload| *other == job.payload;
                edit.payload.as_ref().is_none_or(is_same)
                    && edit.tags.as_ref().is_none_or(|tags| *tags == job.tags)
            }
            Self::Expire => job.state == State::Expired,
        }
    }

    /// Makes an admitted change at `now`. Says whether anything changed: asking
    /// a running job to stop twice changes nothing.
    pub fn apply(&self, job: &mut Job, now: Timestamp) -> bool {
        match self {
            Self::Cancel if job.state == State::Running => {
                if job.cancel_requested {
                    return false;
                }
                job.cancel_requested = true;
            }
            Self::Cancel => finish(job, State::Cancelled, now),
            Self::Expire => finish(job, State::Expired, now),
            Self::Retry { due } => {
                job.state = State::Pending;
                job.due = due.resolve(now);
                (job.charged, job.crashes) = (0, 0);
                (job.ended_at, job.dead_reason, job.progress) = (None, None, None);
                // An expiry that has passed would end the job again before it starts.
                job.expires = job.expires.filter(|expires| *expires > now);
            }
            Self::Reschedule { due } => job.due = due.resolve(now),
            Self::Move { queue } => job.queue.clone_from(queue),
            Self::Priority(priority) => job.priority = *priority,
            Self::Edit(edit) => {
                if let Some(payload) = &edit.payload {
                    job.payload = payload.clone();
                }
                if let Some(tags) = &edit.tags {
                    job.tags = tags.clone();
                }
            }
        }
        job.changed_at = now;
        job.revision += 1;
        true
    }
}

fn finish(job: &mut Job, state: State, now: Timestamp) {
    job.state = state;
    job.ended_at = Some(now);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::NewJob;

    fn job(state: State) -> Job {
        let mut job = NewJob::new("t", Payload::json(&()).unwrap()).into_job(Timestamp::UNIX_EPOCH);
        job.state = state;
        job
    }

    fn changes() -> Vec<Change> {
        vec![
            Change::Cancel,
            Change::Retry { due: When::Now },
            Change::Reschedule { due: When::Now },
            Change::Move { queue: "q".into() },
            Change::Priority(3),
            Change::Edit(Edit::default()),
            Change::Expire,
        ]
    }

    #[test]
    fn every_admitted_change_is_a_legal_transition() {
        for state in State::ALL {
            for change in changes() {
                let mut job = job(state);
                if change.admit(&job).is_ok() {
                    assert!(change.apply(&mut job, Timestamp::UNIX_EPOCH));
                    assert!(
                        job.state == state || state.may_become(job.state),
                        "{change:?} of a {state} job"
                    );
                    assert_eq!(job.revision, 2);
                }
            }
        }
    }

    #[test]
    fn a_change_that_was_made_is_seen_as_met_and_one_that_was_not_is_not() {
        let instant = Timestamp::from_microsecond(5).unwrap();
        let at = Change::Reschedule {
            due: When::At(instant),
        };
        let edit = Change::Edit(Edit {
            payload: Some(Payload::json(&7).unwrap()),
            ..Edit::default()
        });
        let other = changes()
            .into_iter()
            .filter(|change| !matches!(change, Change::Reschedule { .. } | Change::Edit(_)));
        for change in other.chain([at, edit]) {
            let before = match change {
                Change::Retry { .. } => job(State::Dead),
                _ => job(State::Pending),
            };
            let mut after = before.clone();
            change.apply(&mut after, Timestamp::UNIX_EPOCH);
            assert!(change.is_met_by(&after), "{change:?}");
            assert!(!change.is_met_by(&before), "{change:?}");
        }
        let mut running = job(State::Running);
        assert!(!Change::Cancel.is_met_by(&running));
        Change::Cancel.apply(&mut running, Timestamp::UNIX_EPOCH);
        assert!(Change::Cancel.is_met_by(&running));
    }

    #[test]
    fn a_running_job_can_only_be_asked_to_stop() {
        let mut running = job(State::Running);
        for change in changes() {
            assert_eq!(
                change.admit(&running).is_ok(),
                change == Change::Cancel,
                "{change:?}"
            );
        }
        assert!(Change::Cancel.apply(&mut running, Timestamp::UNIX_EPOCH));
        assert!(running.cancel_requested && running.state == State::Running);
        assert!(!Change::Cancel.apply(&mut running, Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn an_edit_of_another_revision_is_refused() {
        let edit = Change::Edit(Edit {
            if_revision: Some(9),
            ..Edit::default()
        });
        assert_eq!(edit.admit(&job(State::Pending)), Err(Refusal::Revision(1)));
    }
}
