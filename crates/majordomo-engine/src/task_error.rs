//! What a task returns when it does not complete: an error to retry, or one of
//! the named values that mean something else.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use majordomo_core::ending::Again;
use majordomo_core::job::{Failure, FailureKind};
use majordomo_core::{Outcome, Timestamp, When};

use crate::context::CancelReason;

/// The most causes that are kept below an error, also if they go round in a circle.
const CAUSES: usize = 100;

/// The result of a task. `?` inside a task means: retry as its backoff says.
pub type Result<T, E = TaskError> = std::result::Result<T, E>;

/// Why a task did not complete. Any error converts into it with `?`.
pub struct TaskError {
    kind: Kind,
    message: String,
    chain: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Failed(Again),
    Snooze(When),
    Cancel,
}

impl TaskError {
    /// A failure in these words, retried as the job's backoff says.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Failed(Again::ByPolicy),
            message: message.into(),
            chain: Vec::new(),
        }
    }

    /// A failure from anything that converts into a boxed error, such as
    /// `anyhow::Error` or a `String`: `.map_err(TaskError::other)?`.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::from_dyn(&*error.into())
    }

    /// A failure that would be the same next time: the job is dead at once.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: Kind::Failed(Again::Never),
            ..Self::other(error)
        }
    }

    /// A failure to be retried after this long, whatever the backoff says. It
    /// counts against the maximum of attempts.
    pub fn retry_after(wait: Duration, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: Kind::Failed(Again::After(wait)),
            ..Self::other(error)
        }
    }

    /// No failure: run again after this long, without counting an attempt.
    #[must_use]
    pub fn snooze(wait: Duration) -> Self {
        Self {
            kind: Kind::Snooze(When::In(wait)),
            ..Self::new("snoozed")
        }
    }

    /// No failure: run again at this instant, without counting an attempt.
    #[must_use]
    pub fn snooze_until(instant: Timestamp) -> Self {
        Self {
            kind: Kind::Snooze(When::At(instant)),
            ..Self::new("snoozed")
        }
    }

    /// The job is to be cancelled.
    pub fn cancel(reason: impl Into<String>) -> Self {
        Self {
            kind: Kind::Cancel,
            ..Self::new(reason)
        }
    }

    /// The same with other words before it, as the outermost cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.chain.insert(0, inner);
        self
    }

    /// The same with the calls that led here, as the innermost cause: for errors
    /// whose words alone don't show where they come from. It is meant for those
    /// few, as it takes some time and most of the 16 KiB that are kept of an error.
    #[must_use]
    pub fn with_backtrace(mut self) -> Self {
        let calls = std::backtrace::Backtrace::force_capture();
        self.chain.push(format!("backtrace:\n{calls}"));
        self
    }

    /// What it means for the attempt.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.kind {
            Kind::Failed(again) => Outcome::Failed(again),
            Kind::Snooze(due) => Outcome::Snoozed(due),
            Kind::Cancel => Outcome::Cancelled,
        }
    }

    /// What is stored of it: nothing for a snooze.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        match self.kind {
            Kind::Snooze(_) => None,
            Kind::Failed(_) | Kind::Cancel => Some(Failure::with_chain(
                FailureKind::Error,
                &self.message,
                self.chain.iter().cloned(),
            )),
        }
    }

    /// What a task that was told to stop returns to say that it did.
    pub(crate) fn told_to_stop(reason: CancelReason) -> Self {
        Self::new(format!("told to stop: {reason}"))
    }

    fn from_dyn(error: &(dyn StdError + 'static)) -> Self {
        let mut chain = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause.filter(|_| chain.len() < CAUSES) {
            chain.push(error.to_string());
            cause = error.source();
        }
        Self {
            chain,
            ..Self::new(error.to_string())
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::from_dyn(&error)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.chain
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails() -> Result<()> {
        let number: i32 = "seven".parse()?;
        Err(TaskError::new(number.to_string()))
    }

    #[test]
    fn a_question_mark_means_retry_and_keeps_the_words() {
        let error = fails().unwrap_err().context("cannot read the amount");
        assert_eq!(error.outcome(), Outcome::Failed(Again::ByPolicy));
        assert_eq!(
            error.to_string(),
            "cannot read the amount: invalid digit found in string"
        );
        assert_eq!(
            error.failure().unwrap().chain,
            ["invalid digit found in string"]
        );
    }

    #[test]
    fn a_chain_without_end_is_cut() {
        #[derive(Debug)]
        struct Circle;
        impl fmt::Display for Circle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("round and round")
            }
        }
        impl StdError for Circle {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(self)
            }
        }
        assert_eq!(TaskError::from(Circle).chain.len(), CAUSES);
    }

    #[test]
    fn the_calls_that_led_to_an_error_are_kept_if_asked_for() {
        let error = TaskError::new("no luck").context("cannot win");
        assert_eq!(error.failure().unwrap().chain, ["no luck"]);
        let failure = error.with_backtrace().failure().unwrap();
        failure.check().unwrap();
        assert_eq!(failure.chain.len(), 2);
        assert!(failure.chain[1].contains("the_calls_that_led_to_an_error_are_kept"));
    }

    #[test]
    fn the_named_values_mean_what_they_say() {
        let wait = Duration::from_secs(3);
        assert_eq!(
            TaskError::permanent("bad").outcome(),
            Outcome::Failed(Again::Never)
        );
        assert_eq!(
            TaskError::retry_after(wait, "busy").outcome(),
            Outcome::Failed(Again::After(wait))
        );
        assert_eq!(
            TaskError::snooze(wait).outcome(),
            Outcome::Snoozed(When::In(wait))
        );
        assert_eq!(TaskError::snooze(wait).failure(), None);
        assert_eq!(
            TaskError::cancel("not needed").outcome(),
            Outcome::Cancelled
        );
    }
}
