//! Documents: small named records that are not jobs. The task registry, the
//! presence of workers, and later schedules and alert rules are kept in them.
//! Nothing about a running attempt ever is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ending::check_json;
use crate::error::Result;
use crate::limits;

/// A stored record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Its name, such as `task/send-welcome`.
    pub key: String,
    /// Its content.
    pub value: Value,
    /// Grows by one with each put, from 1.
    pub version: u64,
    /// When it was first put, by the storage's clock.
    pub created_at: Timestamp,
    /// When it was last put.
    pub changed_at: Timestamp,
    /// When it disappears by itself.
    pub expires: Option<Timestamp>,
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// Its name, at most [`limits::KEY`] bytes.
    pub key: String,
    /// Its content, at most [`limits::DOCUMENT`] bytes of JSON.
    pub value: Value,
    /// Under which condition.
    pub condition: If,
    /// How long it lives from now; for ever if absent.
    pub ttl: Option<Duration>,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum If {
    /// None.
    #[default]
    Any,
    /// There is no such document.
    Absent,
    /// The document is at this version.
    Version(u64),
}

impl If {
    /// Whether it is met by the version there is.
    #[must_use]
    pub fn is_met(self, version: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => version.is_none(),
            Self::Version(wanted) => version == Some(wanted),
        }
    }
}

impl Put {
    /// A write without condition or end.
    pub fn new(key: impl Into<String>, value: Value) -> Self {
        Self {
            key: key.into(),
            value,
            condition: If::Any,
            ttl: None,
        }
    }

    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] or [`crate::ErrorKind::TooLarge`].
    pub fn check(&self) -> Result<()> {
        limits::check_key("document key", &self.key)?;
        check_json("the document", Some(&self.value), limits::DOCUMENT)
    }
}
