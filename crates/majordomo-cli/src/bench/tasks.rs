//! The jobs of the bench: one that does nothing, and one that says when it began.

use std::time::Instant;

use majordomo::Worker;
use majordomo::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

/// The queue of all of them.
pub(super) const QUEUE: &str = "bench";

/// What the jobs share: whom to tell that one has begun.
#[derive(Debug)]
pub(super) struct App {
    pub(super) began: UnboundedSender<(u32, Instant)>,
}

/// A worker of these jobs. All else is as it comes.
pub(super) fn worker(client: &majordomo::Client, app: App, concurrency: usize) -> Worker<App> {
    Worker::new(client, app)
        .handle::<Nothing>()
        .handle::<Tell>()
        .queue(QUEUE)
        .concurrency(concurrency)
}

/// Does nothing.
#[derive(Clone, Copy, Serialize, Deserialize, Task)]
#[task(name = "bench-nothing", queue = "bench")]
pub(super) struct Nothing {
    pub(super) number: u32,
}

impl Run<App> for Nothing {
    async fn run(self, _: &App, _: &Context) -> Result<()> {
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
