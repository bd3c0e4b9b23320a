//! The jobs of the bench: one that does nothing, or waits for as long as it was
//! told, and one that says when it began.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use majordomo::Worker;
use majordomo::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

/// The queue of all of them.
pub(super) const QUEUE: &str = "bench";

/// The tag of jobs that are not drained.
pub(super) const LATER: &str = "later";

/// What the jobs share: whom to tell that one has begun.
#[derive(Debug)]
pub(super) struct App {
    pub(super) began: UnboundedSender<(u32, Instant)>,
    /// How long a job that does nothing waits.
    pub(super) work: Option<Duration>,
    /// How long they really waited in all, in nanoseconds.
    pub(super) worked: AtomicU64,
}

/// A worker of these jobs. All else is as it comes.
pub(super) fn worker(
    client: &majordomo::Client,
    app: &Arc<App>,
    concurrency: usize,
) -> Worker<App> {
    Worker::shared(client, Arc::clone(app))
        .handle::<Nothing>()
        .handle::<Tell>()
        .queue(QUEUE)
        .concurrency(concurrency)
}

/// Does nothing, or waits.
#[derive(Clone, Copy, Serialize, Deserialize, Task)]
#[task(name = "bench-nothing", queue = "bench")]
pub(super) struct Nothing {
    pub(super) number: u32,
}

impl Run<App> for Nothing {
    async fn run(self, app: &App, _: &Context) -> Result<()> {
        if let Some(work) = app.work {
            let began = Instant::now();
            tokio::time::sleep(work).await;
            let worked = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            app.worked.fetch_add(worked, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Says when it began.
#[derive(Clone, Copy, Serialize, Deserialize, Task)]
#[task(name = "bench-tell", queue = "bench")]
pub(super) struct Tell {
    pub(super) number: u32,
}

impl Run<App> for Tell {
    async fn run(self, app: &App, _: &Context) -> Result<()> {
        let began = Instant::now();
        // Nobody listens any more once the bench is interrupted.
        let _ = app.began.send((self.number, began));
        Ok(())
    }
}
