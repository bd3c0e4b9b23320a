//! What a task does, with the user's own application in hand.

use std::future::Future;

use majordomo_core::Task;

use crate::context::Context;
use crate::task_error::Result;

/// The behaviour of a task. Apart from [`Task`], which is its data, so that a
/// program that only enqueues links neither the app nor the code.
///
/// ```
/// # use majordomo_engine::{Context, Result, Run};
/// # use majordomo_core::Task;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct SendWelcome { to: String }
/// # impl Task for SendWelcome { type Output = (); const NAME: &'static str = "send-welcome"; }
/// struct App { sender: String }
///
/// impl Run<App> for SendWelcome {
///     async fn run(self, app: &App, cx: &Context) -> Result<()> {
///         cx.progress(50, "sending");
///         println!("{} writes to {}", app.sender, self.to);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the task `{Self}` can't be run with the application `{App}`",
    label = "a worker with the application `{App}` can't handle this task",
    note = "implement `Run<{App}>` for it, or give the worker the application that it is implemented for"
)]
pub trait Run<App>: Task {
    /// Runs one attempt. An error means: retry as the backoff says, unless it
    /// is one of the named values of [`crate::TaskError`]. A panic counts as an error.
    fn run(self, app: &App, cx: &Context) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// The behaviour of a task that blocks its thread. It runs on a thread of its
/// own; since a thread can't be stopped, it keeps its slot and its lease until
/// it returns, and should look at [`Context::is_cancelled`] from time to time.
///
/// There is one exception. A worker that shuts down gives its lease back once
/// drain and grace are over, so that another worker need not wait for the lease
/// to run out. The thread ends with its program; in a program that lives on, the
/// next attempt may run beside it, and nothing it returns is written.
#[diagnostic::on_unimplemented(
    message = "the blocking task `{Self}` can't be run with the application `{App}`",
    note = "implement `RunBlocking<{App}>` for it, or give the worker the application that it is implemented for"
)]
pub trait RunBlocking<App>: Task {
    /// Runs one attempt; see [`Run::run`].
    ///
    /// # Errors
    /// Whatever makes the attempt fail.
    fn run(self, app: &App, cx: &Context) -> Result<Self::Output>;
}
