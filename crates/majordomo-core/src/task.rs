//! A task: a kind of work, as a Rust type with a stable name. This half is
//! plain data; what it does is `Run<App>` in the engine, so that a program that
//! only enqueues links neither the app nor the code.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::job::{DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Failure};
use crate::tags::Tags;
use crate::time::optional_micros;

/// A kind of work. Usually derived; by hand it is this much:
///
/// ```
/// # use majordomo_core::Task;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct SendWelcome { to: String }
///
/// impl Task for SendWelcome {
///     type Output = ();
///     const NAME: &'static str = "send-welcome";
/// }
/// ```
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it returns; kept with the job as JSON.
    type Output: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The stable name that jobs are stored under. Renaming the type does not
    /// matter as long as this stays.
    const NAME: &'static str;

    /// Earlier names, whose stored jobs this task runs too.
    const ALIASES: &'static [&'static str] = &[];

    /// The version of the payload's shape, from 1. A worker that knows only
    /// older versions parks a job of a newer one instead of running it.
    const VERSION: u32 = 1;

    /// What is known of the task, and the defaults of its jobs.
    #[must_use]
    fn spec() -> TaskSpec {
        TaskSpec::default()
    }

    /// The JSON schema of the payload, if it is known.
    #[must_use]
    fn schema() -> Option<Value> {
        None
    }

    /// The key of which only one job may be live, if this job has one.
    #[must_use]
    fn unique_key(&self) -> Option<String> {
        None
    }

    /// A wait of one's own before the next attempt. `None`, the default, leaves
    /// it to the job's backoff. Attempts lost with their worker always do.
    #[must_use]
    fn retry_delay(attempt: u32, failure: &Failure) -> Option<Duration> {
        let _ = (attempt, failure);
        None
    }
}

/// What is known of a task, and the defaults of its jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// A name for people; the stable name if absent.
    pub title: Option<String>,
    /// What it does; the type's doc comment if derived.
    pub description: Option<String>,
    /// Labels of the task and of every job of it.
    pub tags: Tags,
    /// The queue; `default`.
    pub queue: String,
    /// The priority; 0. Higher goes first.
    pub priority: i16,
    /// The attempts a job gets; 10.
    pub max_attempts: u32,
    /// The waits between them.
    pub backoff: Backoff,
    /// How long an attempt may run; the worker's default if absent.
    #[serde(with = "optional_micros")]
    pub timeout: Option<Duration>,
    /// How long after its enqueue a job may still start; for ever if absent.
    #[serde(with = "optional_micros")]
    pub expires_in: Option<Duration>,
    /// How long a finished job is kept; as long as its workers say if absent.
    #[serde(with = "optional_micros")]
    pub retention: Option<Duration>,
}

impl Default for TaskSpec {
    fn default() -> Self {
        Self {
            title: None,
            description: None,
            tags: Tags::none(),
            queue: DEFAULT_QUEUE.to_owned(),
            priority: 0,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            backoff: Backoff::default(),
            timeout: None,
            expires_in: None,
            retention: None,
        }
    }
}
