//! The built-in tasks, for trials: `noop`, `sleep` and `fail`.

use std::time::Duration;

use majordomo::prelude::*;
use majordomo::{TaskRecord, Worker};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// The worker with the built-in tasks.
pub(crate) fn handle(worker: Worker<()>) -> Worker<()> {
    worker.handle::<Noop>().handle::<Sleep>().handle::<Fail>()
}

/// What is known of them, without asking a storage.
pub(crate) fn records() -> [TaskRecord; 3] {
    [
        TaskRecord::of::<Noop>(),
        TaskRecord::of::<Sleep>(),
        TaskRecord::of::<Fail>(),
    ]
}

/// Does nothing. Takes nothing or any object, such as `{"bytes": ".."}` for a payload of some size.
#[derive(Serialize, Deserialize, Task)]
struct Noop(Option<Map<String, Value>>);

impl Run<()> for Noop {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

/// Sleeps for some seconds, tells how far it is, and stops when it is cancelled.
#[derive(Serialize, Deserialize, Task)]
#[serde(deny_unknown_fields)]
struct Sleep {
    /// How long.
    #[schemars(range(min = 0.0, max = 31_536_000.0))]
    seconds: f64,
}

/// How often it tells how far it is.
const TELL: Duration = Duration::from_millis(250);

impl Run<()> for Sleep {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        let wanted = Duration::try_from_secs_f64(self.seconds).map_err(|error| {
            TaskError::permanent(error).context(format!("cannot sleep for {} s", self.seconds))
        })?;
        tracing::info!("sleeping for {wanted:?}");
        let began = Instant::now();
        while let Some(left) = wanted
            .checked_sub(began.elapsed())
            .filter(|left| !left.is_zero())
        {
            let percent = began.elapsed().as_secs_f64() / wanted.as_secs_f64() * 100.0;
            cx.progress(percent, format!("{:.1} s to go", left.as_secs_f64()));
            tokio::select! {
                () = tokio::time::sleep(left.min(TELL)) => {}
                reason = cx.cancelled() => return Err(TaskError::new(format!("told to stop: {reason:?}"))),
            }
        }
        cx.progress(100, "done");
        Ok(())
    }
}

/// Fails, in one of several ways.
#[derive(Serialize, Deserialize, Task)]
#[serde(deny_unknown_fields)]
struct Fail {
    /// The words of the failure.
    #[serde(default = "no_luck")]
    message: String,
    /// How many attempts fail before one completes; all of them if absent.
    #[serde(default)]
    times: Option<u32>,
    /// How it fails.
    #[serde(default)]
    how: How,
}

/// How to fail.
#[derive(Clone, Copy, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// By returning an error.
    #[default]
    Error,
    /// By a panic.
    Panic,
    /// By ending the whole process, to see its jobs recovered.
    Abort,
}

fn no_luck() -> String {
    "failed on request".to_owned()
}

impl Run<()> for Fail {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        if self.times.is_some_and(|times| cx.attempt() > times) {
            return Ok(());
        }
        tracing::info!(attempt = cx.attempt(), "about to fail on request");
        match self.how {
            How::Error => Err(TaskError::new(self.message)),
            How::Panic => panic!("{}", self.message),
            How::Abort => std::process::abort(),
        }
    }
}
