//! The sample tasks of the demo: each does one thing that jobs do in real life.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use majordomo::Worker;
use majordomo::prelude::*;
use tokio::time::sleep;

/// What the sample tasks share.
#[derive(Debug, Default)]
pub(super) struct App {
    /// How often a job that must never start did.
    pub(super) late_calls: AtomicU32,
}

/// The wait before a sample job is tried again.
pub(super) const BACKOFF: Duration = Duration::from_millis(300);

/// The worker with the sample tasks.
pub(super) fn handle(worker: Worker<App>) -> Worker<App> {
    let worker = worker
        .handle::<Quick>()
        .handle::<Flaky>()
        .handle::<Doomed>()
        .handle::<Delayed>();
    worker
        .handle::<Report>()
        .handle::<Endless>()
        .handle::<Late>()
        .handle::<Once>()
}

/// Waits for some milliseconds, and returns them.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-quick", title = "Quick", output = u64, tags("demo"))]
pub(super) struct Quick {
    pub(super) millis: u64,
}

impl Run<App> for Quick {
    async fn run(self, _: &App, _: &Context) -> Result<u64> {
        sleep(Duration::from_millis(self.millis)).await;
        Ok(self.millis)
    }
}

/// Fails its first attempts, then completes.
#[derive(Serialize, Deserialize, Task)]
#[task(
    name = "demo-flaky",
    title = "Flaky",
    attempts = 5,
    backoff = "300ms",
    tags("demo")
)]
pub(super) struct Flaky {
    pub(super) fails: u32,
}

impl Run<App> for Flaky {
    async fn run(self, _: &App, cx: &Context) -> Result<()> {
        if cx.attempt() <= self.fails {
            return Err(TaskError::new(format!(
                "attempt {} found no connection",
                cx.attempt()
            )));
        }
        Ok(())
    }
}

/// Fails at every attempt.
#[derive(Serialize, Deserialize, Task)]
#[task(
    name = "demo-doomed",
    title = "Doomed",
    attempts = 3,
    backoff = "300ms",
    tags("demo")
)]
pub(super) struct Doomed {
    pub(super) account: u32,
}

impl Run<App> for Doomed {
    async fn run(self, _: &App, _: &Context) -> Result<()> {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "no such account");
        Err(TaskError::from(cause).context(format!("cannot bill account {}", self.account)))
    }
}

/// Runs a second or two after it was enqueued.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-delayed", title = "Delayed", tags("demo"))]
pub(super) struct Delayed {
    pub(super) seconds: u64,
}

impl Run<App> for Delayed {
    async fn run(self, _: &App, _: &Context) -> Result<()> {
        Ok(())
    }
}

/// Takes its time, and tells how far it is.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-report", title = "Report", tags("demo"))]
pub(super) struct Report {
    pub(super) pages: u64,
}

impl Run<App> for Report {
    async fn run(self, _: &App, cx: &Context) -> Result<()> {
        for page in 1..=self.pages {
            sleep(Duration::from_millis(50)).await;
            cx.progress_step(page, self.pages, format!("page {page}"));
        }
        Ok(())
    }
}

/// Goes on until it is told to stop.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-endless", title = "Endless", tags("demo"))]
pub(super) struct Endless {}

impl Run<App> for Endless {
    async fn run(self, _: &App, cx: &Context) -> Result<()> {
        cx.progress(1, "waiting to be cancelled");
        let reason = cx.cancelled().await;
        Err(TaskError::new(format!("told to stop: {reason:?}")))
    }
}

/// Is due only after it has expired, so it must never start.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-late", title = "Late", tags("demo"))]
pub(super) struct Late {}

impl Run<App> for Late {
    async fn run(self, app: &App, _: &Context) -> Result<()> {
        app.late_calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Is enqueued twice under one key, and stored once.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "demo-once", title = "Once", unique = "{run}", tags("demo"))]
pub(super) struct Once {
    pub(super) run: String,
}

impl Run<App> for Once {
    async fn run(self, _: &App, _: &Context) -> Result<()> {
        Ok(())
    }
}
