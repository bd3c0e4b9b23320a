//! The six states of a job and the only legal transitions, as data.
//!
//! The docs' diagram is drawn from [`TRANSITIONS`], and a property test holds
//! every storage to it. "Scheduled" (pending, due later) and "retrying"
//! (pending, charged at least once) are views, not states.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waiting for its due time, or for a free worker.
    Pending,
    /// Claimed by a worker that holds its lease.
    Running,
    /// Ended well.
    Completed,
    /// Given up, and kept for inspection and redrive.
    Dead,
    /// Stopped on request.
    Cancelled,
    /// Its expiry passed before it started.
    Expired,
}

/// Why a job goes from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A worker claimed it.
    Claim,
    /// Its attempt ended in this way.
    End(crate::ending::EndingKind),
    /// Someone cancelled it before it started.
    Cancel,
    /// Its expiry passed.
    Expire,
    /// Someone edited, moved or rescheduled it.
    Edit,
    /// An operator asked for it to run again.
    Retry,
}

/// Every legal transition: from, to, cause. Removal takes a job from any
/// finished state out of the storage.
pub const TRANSITIONS: &[(State, State, Cause)] = {
    use crate::ending::EndingKind as Kind;
    use State::{Cancelled, Completed, Dead, Expired, Pending, Running};
    &[
        (Pending, Running, Cause::Claim),
        (Pending, Pending, Cause::Edit),
        (Pending, Cancelled, Cause::Cancel),
        (Pending, Expired, Cause::Expire),
        (Running, Completed, Cause::End(Kind::Completed)),
        (Running, Pending, Cause::End(Kind::Retried)),
        (Running, Pending, Cause::End(Kind::Snoozed)),
        (Running, Pending, Cause::End(Kind::Released)),
        (Running, Pending, Cause::End(Kind::Lost)),
        (Running, Dead, Cause::End(Kind::Dead)),
        (Running, Cancelled, Cause::End(Kind::Cancelled)),
        // Claimed, but found expired before its handler began: see decisions/0002.
        (Running, Expired, Cause::End(Kind::Expired)),
        (Completed, Pending, Cause::Retry),
        (Dead, Pending, Cause::Retry),
        (Cancelled, Pending, Cause::Retry),
        (Expired, Pending, Cause::Retry),
    ]
};

impl State {
    /// All states, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether the job is over, unless an operator retries it.
    #[must_use]
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Whether some cause leads from this state to `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        TRANSITIONS.iter().any(|&(a, b, _)| a == self && b == to)
    }

    /// The name used in storages, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!("`{text}` is not a state"))
                    .hint("the states are pending, running, completed, dead, cancelled and expired")
            })
    }
}

/// The transition table as a Mermaid state diagram, for the docs.
#[must_use]
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> pending: insert\n");
    for (from, to, cause) in TRANSITIONS {
        let cause = match cause {
            Cause::Claim => "claim".to_owned(),
            Cause::End(kind) => kind.to_string(),
            Cause::Cancel => "cancel".to_owned(),
            Cause::Expire => "expire".to_owned(),
            Cause::Edit => "edit, reschedule".to_owned(),
            Cause::Retry => "operator's retry".to_owned(),
        };
        text.push_str(&format!("    {from} --> {to}: {cause}\n"));
    }
    for state in State::ALL.into_iter().filter(|state| state.is_finished()) {
        text.push_str(&format!("    {state} --> [*]: remove\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operator_brings_a_finished_job_back() {
        for &(from, to, cause) in TRANSITIONS {
            if from.is_finished() {
                assert_eq!((to, cause), (State::Pending, Cause::Retry));
            }
        }
        assert!(!State::Completed.may_become(State::Dead));
        assert!(!State::Pending.may_become(State::Completed));
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
        assert!(
            "done"
                .parse::<State>()
                .unwrap_err()
                .to_string()
                .contains("`done`")
        );
    }
}
