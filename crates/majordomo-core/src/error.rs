//! The one error of the storage contract: what kind, what was attempted, why,
//! and what to do next.
//!
//! The [`Class`] is what the engine acts on: a transient error is tried again,
//! an ambiguous one is repeated (every write of the contract can be), a final
//! one is shown to a person. What a *task* returns is not a storage error; see
//! [`crate::job::Failure`] for that.

use std::error::Error as StdError;
use std::fmt;

/// A result with the storage contract's [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, coarsely enough to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The storage can't be reached or is busy. Nothing was written.
    Unavailable,
    /// The write may or may not have happened. Repeat the same call.
    Unknown,
    /// There is no space left. Nothing was written; works again once there is.
    Full,
    /// The input is refused. The message names the value.
    Invalid,
    /// The state of a job does not allow it, or another job holds its key.
    Conflict,
    /// There is no such job, task or document.
    NotFound,
    /// The input exceeds one of [`crate::limits`].
    TooLarge,
    /// The storage holds something this program can't use: a foreign file, a
    /// schema that is newer or not migrated, a read-only folder.
    Incompatible,
    /// Stored data breaks a rule of the storage itself.
    Corrupt,
}

/// What an engine may do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing was written; try again later.
    Transient,
    /// Unknown whether it was written; repeat the same call.
    Ambiguous,
    /// Trying again is of no use.
    Final,
}

impl ErrorKind {
    /// How an engine should treat this kind.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Unavailable | Self::Full => Class::Transient,
            Self::Unknown => Class::Ambiguous,
            Self::Invalid
            | Self::Conflict
            | Self::NotFound
            | Self::TooLarge
            | Self::Incompatible
            | Self::Corrupt => Class::Final,
        }
    }
}

/// An error of a storage, or of input that a storage refuses.
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. The message says what was attempted and with which
    /// value, in lower case.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Input that is refused.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Adds the next step for the person who reads this.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Shorthand for `self.kind().class()`.
    #[must_use]
    pub fn class(&self) -> Class {
        self.kind.class()
    }

    /// What was attempted, without cause and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The next step, if there is one to name.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same error again, for each of several callers that shared one write.
    /// The cause becomes text, because causes can't be cloned.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            hint: self.hint.clone(),
            source: self.source.as_ref().map(|source| source.to_string().into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_what_failed_why_and_what_to_do() {
        let error = Error::new(ErrorKind::Full, "cannot insert 3 jobs")
            .source("database or disk is full")
            .hint("free some space and try again");
        assert_eq!(
            error.to_string(),
            "cannot insert 3 jobs: database or disk is full (hint: free some space and try again)"
        );
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(error.duplicate().to_string(), error.to_string());
    }
}
