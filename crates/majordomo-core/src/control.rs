//! Controls: pause and limits, set by people and enforced by `claim` inside its
//! own transaction, so that they are exact over all workers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::job::Job;
use crate::limits;

/// What a control is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All jobs in this queue.
    Queue(String),
    /// All jobs of this task.
    Task(String),
    /// All jobs with this limit key.
    LimitKey(String),
}

/// What is allowed. The default allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Control {
    /// Nothing is claimed while this is set and its time has not passed.
    pub paused: Option<Pause>,
    /// At most this many run at once, over all workers. 0 is as good as paused.
    pub max_running: Option<u32>,
}

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, and by whom.
    pub note: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Scope {
    /// The name within its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Task(name) | Self::LimitKey(name) => name,
        }
    }

    /// The kind, as storages write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Queue(_) => "queue",
            Self::Task(_) => "task",
            Self::LimitKey(_) => "limit_key",
        }
    }

    /// A scope from its kind and name, if there is such a kind.
    #[must_use]
    pub fn of(kind: &str, name: String) -> Option<Self> {
        match kind {
            "queue" => Some(Self::Queue(name)),
            "task" => Some(Self::Task(name)),
            "limit_key" => Some(Self::LimitKey(name)),
            _ => None,
        }
    }

    /// Whether `job` is within it.
    #[must_use]
    pub fn covers(&self, job: &Job) -> bool {
        match self {
            Self::Queue(name) => *name == job.queue,
            Self::Task(name) => *name == job.task,
            Self::LimitKey(name) => job.limit_key.as_ref() == Some(name),
        }
    }

    /// Refuses a bad name.
    ///
    /// # Errors
    /// As [`limits::check_name`].
    pub fn check(&self) -> Result<()> {
        limits::check_name(self.kind(), self.name())
    }
}

impl Control {
    /// Whether nothing may be claimed at `now`.
    #[must_use]
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.paused
            .as_ref()
            .is_some_and(|pause| pause.until.is_none_or(|until| now < until))
    }

    /// How many more may start if `running` already do; `None` means no limit.
    #[must_use]
    pub fn room(&self, running: u64, now: Timestamp) -> Option<u64> {
        if self.is_paused(now) {
            return Some(0);
        }
        self.max_running
            .map(|most| u64::from(most).saturating_sub(running))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    #[test]
    fn a_pause_ends_when_it_says() {
        let until = time::from_micros(10);
        let control = Control {
            paused: Some(Pause {
                note: String::new(),
                until: Some(until),
            }),
            max_running: Some(3),
        };
        assert_eq!(control.room(1, time::from_micros(9)), Some(0));
        assert_eq!(control.room(1, until), Some(2));
        assert_eq!(control.room(9, until), Some(0));
        assert_eq!(Control::default().room(9, until), None);
    }
}
