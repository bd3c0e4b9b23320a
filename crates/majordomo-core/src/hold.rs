//! Holds: one mechanism for unique keys and windows, idempotency keys and
//! schedule occurrences. A hold says that its key is taken, by whom, and until
//! when; it is written in the same transaction as the job.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::{self, micros};

/// A key that a job takes when it is inserted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What is held; at most [`crate::limits::KEY`] bytes.
    pub key: String,
    /// How long it is held.
    pub until: Until,
    /// What happens if another job holds it already.
    pub on_conflict: OnConflict,
}

/// How long a key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until the job starts, or ends without having started. A retry never takes it again.
    Started,
    /// Until the job is finished. An operator's retry takes it again.
    #[default]
    Finished,
    /// For this long from the insert, even if the job is removed before.
    For(#[serde(with = "micros")] Duration),
}

/// What an insert does about a key that another job holds. The answer is
/// always [`crate::Inserted::Existing`] with the holder's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The holder stays as it is.
    #[default]
    Keep,
    /// A holder that is still pending takes over everything of the new job but
    /// its id and its holds; any other holder stays as it is.
    Replace,
    /// A holder that is still pending is due when the new job would have been
    /// (debounce); any other holder stays as it is.
    Postpone,
}

impl Hold {
    /// Holds `key` until the job is finished, and keeps the holder on conflict.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            until: Until::default(),
            on_conflict: OnConflict::default(),
        }
    }

    /// Sets how long the key is held.
    #[must_use]
    pub fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    /// Sets what happens on conflict.
    #[must_use]
    pub fn on_conflict(mut self, on_conflict: OnConflict) -> Self {
        self.on_conflict = on_conflict;
        self
    }

    /// When the hold ends by itself, if it was written at `now`; `None` if an event ends it.
    #[must_use]
    pub fn ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.until {
            Until::Started | Until::Finished => None,
            Until::For(duration) => Some(time::after(now, duration)),
        }
    }
}
