//! The tasks that promises are tried with, and the app that sees what they do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use majordomo_core::{Details, Filter, Job, JobId, Order, Storage, Task, limits};
use majordomo_engine::{
    CancelReason, Client, Context, Result, Run, RunBlocking, TaskError, Worker,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The longest that a test waits for something that must happen. Only a
/// failure takes that long.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// What the tasks did.
#[derive(Debug)]
pub(super) struct App {
    pub(super) runs: Mutex<BTreeMap<JobId, u32>>,
    pub(super) told: Mutex<Vec<(JobId, CancelReason)>>,
    pub(super) running: AtomicUsize,
    pub(super) most_running: AtomicUsize,
    pub(super) started: watch::Sender<usize>,
    /// Whether those that wait may go on.
    pub(super) gate: watch::Sender<bool>,
}

impl App {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            runs: Mutex::default(),
            told: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            started: watch::Sender::new(0),
            gate: watch::Sender::new(false),
        })
    }

    fn enter(&self, cx: &Context) {
        *self
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(cx.id())
            .or_default() += 1;
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.started.send_modify(|started| *started += 1);
    }

    fn leave(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn runs_of(&self, id: JobId) -> u32 {
        self.runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn all_runs(&self) -> usize {
        *self.started.borrow()
    }

    /// Waits until this many attempts have started in all.
    pub(super) async fn has_started(&self, count: usize) {
        let mut started = self.started.subscribe();
        let wait = started.wait_for(|started| *started >= count);
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "{count} attempts never started"
        );
    }
}

/// Does one thing, whatever its job is meant to show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Act {
    Return(u64),
    Fail,
    Panic,
    Snooze,
    /// Waits for the gate or for being told to stop.
    Wait,
    /// Blocks its thread until the gate opens, although it is async.
    Block,
    Progress(u32),
}

impl Task for Act {
    type Output = u64;
    const NAME: &'static str = "act";
}

impl Run<Arc<App>> for Act {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<u64> {
        app.enter(cx);
        let result = self.act(app, cx).await;
        app.leave();
        result
    }
}

impl Act {
    async fn act(self, app: &App, cx: &Context) -> Result<u64> {
        match self {
            Self::Return(value) => Ok(value),
            Self::Fail => Err(TaskError::new("failed as asked")),
            Self::Panic => {
                app.leave();
                panic!("panicked as asked in {}", cx.id());
            }
            Self::Snooze => Err(TaskError::snooze(Duration::from_secs(60))),
            Self::Wait => {
                let mut gate = app.gate.subscribe();
                tokio::select! {
                    _ = gate.wait_for(|open| *open) => Ok(0),
                    reason = cx.cancelled() => {
                        app.told.lock().unwrap_or_else(PoisonError::into_inner).push((cx.id(), reason));
                        Err(TaskError::new("told to stop"))
                    }
                }
            }
            Self::Block => {
                block(app);
                Ok(0)
            }
            Self::Progress(reports) => {
                for report in 0..reports {
                    cx.progress_step(u64::from(report) + 1, u64::from(reports), "working");
                    tokio::task::yield_now().await;
                }
                Ok(0)
            }
        }
    }
}

/// Blocks its thread, and says so by its trait.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hog;

impl Task for Hog {
    type Output = ();
    const NAME: &'static str = "hog";
}

impl RunBlocking<Arc<App>> for Hog {
    fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        app.enter(cx);
        block(app);
        app.leave();
        Ok(())
    }
}

fn block(app: &App) {
    while !*app.gate.borrow() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A task that only some workers know.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rare;

impl Task for Rare {
    type Output = ();
    const NAME: &'static str = "rare";
}

impl Run<Arc<App>> for Rare {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        app.enter(cx);
        app.leave();
        Ok(())
    }
}

pub(super) fn client(storage: &Arc<dyn Storage>) -> Client {
    Client::shared(Arc::clone(storage)).patience(PATIENCE)
}

/// A worker that knows [`Act`] and [`Hog`].
pub(super) fn worker(client: &Client, app: &Arc<App>) -> Worker<Arc<App>> {
    Worker::new(client, Arc::clone(app))
        .handle::<Act>()
        .handle_blocking::<Hog>()
}

/// All jobs there are.
pub(super) async fn all_jobs(storage: &dyn Storage) -> Vec<Job> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = storage
            .find(&Filter::all(), Order::default(), after, limits::PAGE)
            .await
            .expect("jobs are listed");
        jobs.extend(page.items);
        after = page.next;
        if after.is_none() {
            return jobs;
        }
    }
}

pub(super) async fn details(storage: &dyn Storage, id: JobId) -> Details {
    let mut found = storage.get(&[id]).await.expect("a job is read");
    found.pop().flatten().expect("the job is there")
}

/// Waits until the job is as wanted.
pub(super) async fn until(
    storage: &dyn Storage,
    id: JobId,
    wanted: impl Fn(&Details) -> bool,
) -> Details {
    let wait = async {
        loop {
            let details = details(storage, id).await;
            if wanted(&details) {
                return details;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    assert!(
        found.is_ok(),
        "the job never became as wanted: {:#?}",
        details(storage, id).await
    );
    found.expect("checked above")
}
