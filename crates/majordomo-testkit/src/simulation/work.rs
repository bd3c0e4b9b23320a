//! The task of a simulation: each job carries what its attempts do, one after
//! the other, and the last one completes.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{JobId, Task};
use majordomo_engine::{Context, Result, Run, TaskError};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::history::{Event, Record};
use super::wire::Wire;

/// The name of the task.
pub(super) const TASK: &str = "act";

/// What the attempts of a job do. The attempt of token 1 does the first, and so
/// on; from the last on, all do that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Act {
    pub(super) deeds: Vec<Deed>,
}

/// What one attempt does after a while, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Deed {
    pub(super) after: u64,
    pub(super) end: End,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum End {
    /// It completes.
    Complete,
    /// It completes and does not listen when told to stop.
    Stubborn,
    /// It fails.
    Fail,
    /// It fails and says that trying again is of no use.
    Permanent,
    /// It fails and says when to try again, in milliseconds.
    RetryAfter(u64),
    /// It puts itself off, by milliseconds.
    Snooze(u64),
    /// It asks to be cancelled.
    Cancel,
    /// It panics.
    Panic,
    /// It waits to be told to stop.
    Hang,
    /// It waits for ever, whatever it is told.
    Deaf,
    /// It takes its process with it.
    Kill,
}

/// What the tasks of one node share.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) node: String,
    pub(super) record: Record,
    pub(super) wire: Arc<Wire>,
    pub(super) kills: mpsc::UnboundedSender<String>,
}

impl App {
    /// Of a dead node nothing is heard.
    fn write(&self, event: Event) {
        if !self.wire.is_dead() {
            self.record.write(&self.node, event);
        }
    }
}

/// Writes down that the code was left, however it is.
struct Inside<'a> {
    app: &'a App,
    job: JobId,
    token: u64,
    how: &'static str,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.app.write(Event::Left(self.job, self.token, self.how));
    }
}

impl Task for Act {
    type Output = u64;
    const NAME: &'static str = TASK;
}

impl Run<App> for Act {
    async fn run(self, app: &App, cx: &Context) -> Result<u64> {
        let token = cx.job().token;
        app.write(Event::Began(cx.id(), token));
        let mut inside = Inside {
            app,
            job: cx.id(),
            token,
            how: "drops",
        };
        let last = self.deeds.len() - 1;
        let deed = self.deeds[usize::try_from(token - 1).unwrap_or(last).min(last)];
        let result = deed.act(app, cx, token).await;
        inside.how = if result.is_ok() {
            "completes"
        } else {
            "returns from"
        };
        result
    }
}

impl Deed {
    async fn act(self, app: &App, cx: &Context, token: u64) -> Result<u64> {
        let work = async {
            sleep(Duration::from_millis(self.after / 2)).await;
            cx.progress(50, "half way");
            cx.checkpoint(&token)?;
            sleep(Duration::from_millis(self.after / 2)).await;
            Ok::<(), TaskError>(())
        };
        match self.end {
            End::Stubborn => work.await?,
            End::Deaf => std::future::pending().await,
            _ => tokio::select! {
                biased;
                reason = cx.cancelled() => return Err(TaskError::new(format!("told to stop: {reason:?}"))),
                done = work => done?,
            },
        }
        let millis = Duration::from_millis;
        match self.end {
            End::Complete | End::Stubborn | End::Deaf => Ok(token),
            End::Fail => Err(TaskError::new("failed as asked")),
            End::Permanent => Err(TaskError::permanent("failed for good, as asked")),
            End::RetryAfter(wait) => Err(TaskError::retry_after(millis(wait), "failed as asked")),
            End::Snooze(wait) => Err(TaskError::snooze(millis(wait))),
            End::Cancel => Err(TaskError::cancel("cancelled as asked")),
            End::Panic => panic!("panicked as asked"),
            End::Hang => {
                let reason = cx.cancelled().await;
                Err(TaskError::new(format!("told to stop: {reason:?}")))
            }
            End::Kill => {
                let _ = app.kills.send(app.node.clone());
                std::future::pending().await
            }
        }
    }
}
