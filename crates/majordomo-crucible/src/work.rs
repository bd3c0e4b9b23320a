//! A worker process of the rig, and the work it does.

use std::fs::OpenOptions;
use std::time::Duration;

use majordomo::prelude::*;
use majordomo::url::StorageUrl;

use crate::WorkerArgs;

/// How long a lease lasts in the rig. Short, so that a run takes seconds.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How often lost leases are looked for.
pub(crate) const SWEEP: Duration = Duration::from_millis(500);

/// Takes a moment.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "labour", attempts = 50, backoff = "100ms")]
pub(crate) struct Labour {
    /// How long.
    pub(crate) millis: u64,
}

impl Run<()> for Labour {
    async fn run(self, (): &(), _: &Context) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        Ok(())
    }
}

/// Takes its process with it.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "poison", attempts = 50, backoff = "100ms")]
pub(crate) struct Poison;

impl Run<()> for Poison {
    async fn run(self, (): &(), _: &Context) -> Result<()> {
        std::process::abort();
    }
}

/// Works until it is killed or told to stop.
pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<()> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&args.log)?;
    tracing_subscriber::fmt()
        .with_env_filter("warn,majordomo_engine=info")
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(log))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let url: StorageUrl = args.storage.parse()?;
        let jobs = Client::shared(url.open().await?);
        let worker = Worker::new(&jobs, ())
            .name(&args.name)
            .handle::<Labour>()
            .handle::<Poison>();
        let worker = worker
            .concurrency(8)
            .lease(LEASE)
            .heartbeat(LEASE / 4)
            .sweep(SWEEP);
        worker.drain(Duration::from_secs(10)).run().await?;
        Ok(())
    })
}
