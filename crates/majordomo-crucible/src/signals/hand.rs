//! A hand: a worker process of the trials by signal, and the work it does. It
//! keeps a diary of when its attempts began and when they were told to stop.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use majordomo::prelude::*;
use majordomo::url::StorageUrl;
use majordomo::{CancelReason, Timestamp};

/// How to be a hand.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HandArgs {
    #[arg(long)]
    storage: String,
    #[arg(long)]
    name: String,
    #[arg(long = "queue", required = true)]
    queues: Vec<String>,
    /// The file to keep the diary in.
    #[arg(long)]
    diary: PathBuf,
    #[arg(long)]
    concurrency: usize,
    #[arg(long, value_parser = humantime::parse_duration)]
    lease: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    heartbeat: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    sweep: Duration,
    #[arg(long, value_parser = humantime::parse_duration)]
    drain: Duration,
}

/// Takes its time, and gives back the token that it ran under.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(name = "shift", output = u64)]
pub(super) struct Shift {
    /// How many milliseconds its first attempt takes.
    pub(super) first: u64,
    /// How many each further one takes.
    pub(super) again: u64,
    /// Whether it goes on reporting its token as its progress.
    pub(super) reports: bool,
}

/// How often a shift reports.
const REPORT: Duration = Duration::from_millis(100);

impl Run<Diary> for Shift {
    async fn run(self, diary: &Diary, cx: &Context) -> Result<u64> {
        let token = cx.job().token;
        let millis = if token == 1 { self.first } else { self.again };
        let over = tokio::time::sleep(Duration::from_millis(millis));
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                reason = cx.cancelled() => {
                    if reason == CancelReason::LeaseLost {
                        diary.note(cx, token)?;
                    }
                    return Err(TaskError::new(format!("told to stop: {reason:?}")));
                }
                () = &mut over => return Ok(token),
                () = tokio::time::sleep(REPORT), if self.reports => {
                    cx.progress(0, token.to_string());
                }
            }
        }
    }
}

/// Where a hand notes that an attempt heard of its lost lease.
#[derive(Debug)]
pub(super) struct Diary(Mutex<File>);

impl Diary {
    fn note(&self, cx: &Context, token: u64) -> std::io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Timestamp::now().as_microsecond();
        writeln!(file, "{at} {} {token}", cx.id())
    }
}

/// Works until it is killed or told to stop.
pub(crate) fn run(args: &HandArgs) -> anyhow::Result<()> {
    let open = |path: &PathBuf| OpenOptions::new().create(true).append(true).open(path);
    tracing_subscriber::fmt()
        .with_env_filter("warn,majordomo_engine=info")
        .with_ansi(false)
        .with_writer(Mutex::new(open(&args.diary.with_extension("log"))?))
        .init();
    let diary = Diary(Mutex::new(open(&args.diary)?));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let url: StorageUrl = args.storage.parse()?;
        let jobs = Client::shared(url.open().await?);
        let worker = Worker::new(&jobs, diary).name(&args.name).handle::<Shift>();
        let worker = worker
            .concurrency(args.concurrency)
            .lease(args.lease)
            .heartbeat(args.heartbeat)
            .sweep(args.sweep)
            .drain(args.drain);
        let worker = args.queues.iter().fold(worker, Worker::queue);
        worker.run().await?;
        Ok(())
    })
}
