//! The identity of a job, made by the client before its first try (law 2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A job's id: a UUIDv7 (RFC 9562), so ids made later sort later.
///
/// The order within one process is strict. Its time part is the client's clock
/// and is only good for sorting; the storage's clock decides everything else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "an id that differs at each call is no default"
    )]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The id as its 16 bytes, which sort as the id does.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text).map(Self).map_err(|source| {
            Error::invalid(format!("`{text}` is not a job id"))
                .source(source)
                .hint("a job id is a UUID such as `01937b2e-5c1a-7cc3-98c4-dc0c0c07398f`")
        })
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_sequential_calls_sort_by_time() {
        let ids: Vec<JobId> = (0..10_000).map(|_| JobId::new()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(ids[7].to_string().parse::<JobId>().unwrap(), ids[7]);
    }

    #[test]
    fn a_bad_id_is_named_in_the_error() {
        let error = "job-7".parse::<JobId>().unwrap_err();
        assert!(
            error.to_string().contains("`job-7` is not a job id"),
            "{error}"
        );
    }
}
