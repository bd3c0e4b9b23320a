//! The worker: claims jobs, runs them, and writes how they ended.
//!
//! - `handlers`: which task is run by what;
//! - `app`: what the tasks run with, shared or made for each attempt;
//! - `settings`: how many, how long, how often, each value checked;
//! - `pump`: the loop that claims and settles, in one call where it can;
//! - `queue`, `appetite`: which queues to ask for how much;
//! - `slots`: what runs, what was claimed ahead, and which endings wait;
//! - `runner`: one slot at work;
//! - `attempt`: one run of one job, under timeout, panic guard and cancellation;
//! - `heartbeat`: leases and progress, on a thread of its own, with the sweeper;
//! - `presence`: what others can know of a worker that runs;
//! - `inline`: one job run here and now;
//! - `pruning`: the pruner, on the same thread;
//! - `trouble`: how often the same warning is given;
//! - `unheard`: what was claimed for it and it never heard of;
//! - `wind_down`: the end of a worker;
//! - `line`: its calls to the storage, each of which ends in time;
//! - `gate`: holds its claims, for tests;
//! - `stepper`: the same without loops or threads, for tests;
//! - `report`: what a step or a cycle did.

mod app;
mod appetite;
mod attempt;
mod gate;
mod handlers;
mod heartbeat;
mod inline;
mod line;
mod presence;
mod pruning;
mod pump;
mod queue;
mod report;
mod runner;
mod settings;
mod shared;
mod slots;
mod stepper;
mod trouble;
mod unheard;
mod wind_down;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Result, Task};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::context::Context;
use crate::retention::Retention;
use crate::run::{Run, RunBlocking};
use crate::shutdown;
use crate::spawner::Spawner;
use crate::task_error;

use app::{Scope, Source};
use handlers::Handlers;
use presence::Presence;
use settings::Settings;
use shared::{Shared, Stop};

pub use gate::Gate;
pub use queue::Queue;
pub use report::Report;
pub use stepper::Stepper;

/// Runs jobs with an application at hand.
///
/// Defaults: 64 jobs at once; the queues of its tasks and `default`; a lease of
/// 30 s renewed every 10 s; a sweep every 5 s; a look for work at least once a
/// second; 5 minutes for an attempt; 30 s to drain at shutdown; every minute a
/// prune of the jobs that ended 7 days ago, or 90 if they are dead.
///
/// # The application
///
/// What tasks need at run time, such as pools, clients and settings, is a plain
/// struct of yours, and `run` gets a reference to it. A task says by its
/// `Run<App>` which application it needs; a worker with another one does not
/// compile, so nothing is found missing at run time.
///
/// - What lives as long as the worker is a field of the application of
///   [`Worker::new`], shared by all attempts.
/// - What belongs to one attempt, such as a database session, is a field of the
///   application of [`Worker::scoped`], which makes a new one for each attempt.
/// - What is used for a moment is made inside `run`.
pub struct Worker<App> {
    client: Client,
    app: Source<App>,
    handlers: Handlers<App>,
    settings: Settings,
    gate: Option<Gate>,
    version: Option<String>,
    spawner: Spawner,
}

impl<App: Send + Sync + 'static> Worker<App> {
    /// A worker on this client's storage that knows no task yet.
    pub fn new(client: &Client, app: App) -> Self {
        Self::shared(client, Arc::new(app))
    }

    /// A worker with an application that others use too.
    #[must_use]
    pub fn shared(client: &Client, app: Arc<App>) -> Self {
        Self::with(client, Source::Shared(app))
    }

    /// A worker that makes a new application for each attempt. It is made within
    /// the attempt's timeout, and dropped once when the attempt is over, also if
    /// it panicked or was dropped itself. If it can't be made, that is the
    /// attempt's failure. What decides about success, such as a commit, belongs
    /// at the end of `run`; for what else has to be awaited at the end there is
    /// [`Worker::scoped_with`].
    ///
    /// ```
    /// # use majordomo_core::{Memory, Task};
    /// # use majordomo_engine::{Client, Context, Result, Run, Worker};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Book { seat: u32 }
    /// # impl Task for Book { type Output = String; const NAME: &'static str = "book"; }
    /// struct Session { actor: String }
    ///
    /// impl Run<Session> for Book {
    ///     async fn run(self, session: &Session, _: &Context) -> Result<String> {
    ///         Ok(format!("seat {} for {}", self.seat, session.actor))
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
    /// let jobs = Client::new(Memory::new());
    /// let worker = Worker::scoped(&jobs, |cx| async move {
    ///     let actor = cx.job().actor.clone().unwrap_or_default();
    ///     Ok(Session { actor })
    /// });
    /// let _running = worker.handle::<Book>().start().await?;
    /// let booked = jobs.enqueue(Book { seat: 7 }).actor("ann").await?;
    /// assert_eq!(booked.result().await?, "seat 7 for ann");
    /// # Ok(()) }
    /// ```
    pub fn scoped<F, M>(client: &Client, make: F) -> Self
    where
        F: Fn(Context) -> M + Send + Sync + 'static,
        M: Future<Output = task_error::Result<App>> + Send + 'static,
    {
        Self::with(client, Source::Scoped(Arc::new(Scope::new(make))))
    }

    /// The same with a last word: `close` gets the application when the attempt
    /// is over, also if it failed, panicked or was dropped at its timeout, and is
    /// awaited for as long as [`Worker::grace`] says. It changes nothing about
    /// how the attempt ended. An attempt that is dropped because its worker must
    /// end at once is not waited for; its application is only dropped.
    pub fn scoped_with<F, M, G, C>(client: &Client, make: F, close: G) -> Self
    where
        F: Fn(Context) -> M + Send + Sync + 'static,
        M: Future<Output = task_error::Result<App>> + Send + 'static,
        G: Fn(App) -> C + Send + Sync + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let scope = Scope::new(make).closed_by(close);
        Self::with(client, Source::Scoped(Arc::new(scope)))
    }

    fn with(client: &Client, app: Source<App>) -> Self {
        Self {
            client: client.clone(),
            app,
            handlers: Handlers::new(),
            settings: Settings::default(),
            gate: None,
            version: None,
            spawner: Spawner::default(),
        }
    }

    /// Runs jobs of this task.
    #[must_use]
    pub fn handle<T: Run<App> + Task>(mut self) -> Self {
        self.handlers.add::<T>();
        self
    }

    /// Runs jobs of this task, which blocks, on threads of their own.
    #[must_use]
    pub fn handle_blocking<T: RunBlocking<App> + Task>(mut self) -> Self {
        self.handlers.add_blocking::<T>();
        self
    }

    /// Takes jobs from this queue, given by its name or as a [`Queue`] with a
    /// limit and a weight; call again to add another. Without any call: from the
    /// queues that its tasks name, and `default`.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<Queue>) -> Self {
        self.settings.queues.push(queue.into());
        self
    }

    /// How many jobs run at once; 64 by default, which suits jobs that mostly wait.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.settings.concurrency = jobs;
        self
    }

    /// How many jobs it may claim ahead of a free slot; as many as run at once
    /// by default, and at least 16; 0 for none. It claims ahead only what would start within
    /// 50 ms at the pace of late, and gives back what could not start for 1 s.
    #[must_use]
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.settings.prefetch = Some(jobs);
        self
    }

    /// What it is called in leases and histories; host, process and a random part by default.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The version of the program, such as `env!("CARGO_PKG_VERSION")`, for
    /// those who look at workers and tasks; none by default.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// How long a lease lasts without a sign of life; 30 s by default. After
    /// that long, plus a sweep, the jobs of a vanished worker run again.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How often leases are renewed; 10 s by default, at most half a lease.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = interval;
        self
    }

    /// How often lost leases are looked for; 5 s by default.
    #[must_use]
    pub fn sweep(mut self, interval: Duration) -> Self {
        self.settings.sweep = interval;
        self
    }

    /// How long finished jobs are kept, of all tasks of the storage; 7 days by
    /// default, dead ones 90. With [`Retention::forever`] this worker removes
    /// only those that have a retention of their own. Give all workers of a
    /// storage the same: where they differ, the shortest counts.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// How often finished jobs that were kept long enough are removed; every minute by default.
    #[must_use]
    pub fn prune_every(mut self, interval: Duration) -> Self {
        self.settings.prune = interval;
        self
    }

    /// The longest time between two looks for work, should every wake be lost; 1 s by default.
    #[must_use]
    pub fn poll(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// How long an attempt may run if neither job nor task says; 5 minutes by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long an attempt that was told to stop may go on before it is
    /// dropped; 5 s by default, at most 1 s of it at shutdown.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How long running jobs may go on at shutdown before they are told to stop; 30 s by default.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.settings.drain = drain;
        self
    }

    /// Puts a gate before its claims, for tests; none by default.
    #[must_use]
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Where the heartbeat runs; on a thread of its own by default. For simulations.
    #[must_use]
    pub fn spawner(mut self, spawner: Spawner) -> Self {
        self.spawner = spawner;
        self
    }

    /// Runs until SIGTERM or Ctrl-C: stops claiming, drains, gives back what is
    /// left. A second signal ends it at once.
    ///
    /// # Errors
    /// If a setting is out of range, two tasks share a name, or the storage
    /// can't be reached at the start. Later errors are tried again for ever.
    pub async fn run(self) -> Result<()> {
        let mut running = self.start().await?;
        tokio::select! {
            biased;
            () = shutdown::signal() => tracing::info!("stopping: no more claims, running jobs may finish"),
            result = running.wait() => return result,
        }
        running.stop();
        tokio::select! {
            biased;
            () = shutdown::signal() => tracing::warn!("stopping at once"),
            result = running.wait() => return result,
        }
        running.stop_now();
        running.wait().await
    }

    /// Runs until `until` is ready, then drains.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_until(self, until: impl Future<Output = ()>) -> Result<()> {
        let mut running = self.start().await?;
        tokio::select! {
            biased;
            () = until => {}
            result = running.wait() => return result,
        }
        running.stop();
        running.wait().await
    }

    /// Starts it in the background.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn start(self) -> Result<Running> {
        let (stop, stopping) = watch::channel(Stop::No);
        let gate = self.gate.as_ref().map(Gate::attend).transpose()?;
        let version = self.version.clone();
        let spawner = self.spawner;
        let shared = Arc::new(self.into_shared()?);
        let name = shared.settings.name.clone();
        // Set once, here: nobody else has this worker yet.
        let _ = shared.since.set(shared.client.storage().now().await?);
        let presence = Presence::enter(&shared, version).await?;
        tracing::info!(
            worker = name,
            storage = shared.client.storage().name(),
            "worker started"
        );
        let heart = heartbeat::start(Arc::clone(&shared), presence.clone(), spawner)?;
        let task = tokio::spawn(async move {
            let told = presence.stop_with(stopping.clone());
            // Both at once; the end of the work is what counts.
            let working = gate::attended(gate, pump::run(shared, heart, stopping));
            tokio::select! {
                biased;
                () = working => {}
                () = async { told.await; std::future::pending().await } => {}
            }
            presence.leave().await;
        });
        Ok(Running {
            name,
            stop,
            task: Some(task),
        })
    }

    /// Turns it into one that runs what is due only when told to, for tests.
    ///
    /// # Errors
    /// If a setting is out of range, or two tasks share a name.
    pub fn stepper(self) -> Result<Stepper<App>> {
        Ok(Stepper::new(Arc::new(self.into_shared()?)))
    }

    fn into_shared(mut self) -> Result<Shared<App>> {
        self.handlers.check()?;
        if self.settings.queues.is_empty() {
            self.settings.queues = self.handlers.queues();
        }
        self.settings.check()?;
        Ok(Shared::new(
            line::client(self.client, self.settings.lease, self.gate),
            self.app,
            self.handlers,
            self.settings,
        ))
    }
}

impl<App> fmt::Debug for Worker<App> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A worker that runs in the background. Dropped, it drains and stops by itself,
/// as long as its runtime lives; await [`Running::wait`] to be sure.
#[derive(Debug)]
pub struct Running {
    name: String,
    stop: watch::Sender<Stop>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    /// What the worker is called in leases and histories.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stops claiming; running jobs get the drain time, then are told to stop,
    /// then given back. Await [`Self::wait`] for the end.
    pub fn stop(&self) {
        self.raise(Stop::Drain);
    }

    /// Tells running jobs to stop and gives them back at once.
    pub fn stop_now(&self) {
        self.raise(Stop::Now);
    }

    /// Waits until the worker has ended.
    ///
    /// # Errors
    /// If its loop panicked, which is a bug in Majordomo.
    pub async fn wait(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else {
            return Ok(());
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Err(source) if source.is_panic() => Err(majordomo_core::Error::new(
                majordomo_core::ErrorKind::Corrupt,
                "the worker's loop ended by a bug",
            )
            .source(source)),
            // Otherwise it was killed, or its runtime ends.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Ends the worker as the death of its process would: nothing more is
    /// written, and no lease is given back. For simulations and tests. An
    /// attempt that blocks a thread goes on until that ends.
    pub fn kill(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    fn raise(&self, stop: Stop) {
        self.stop.send_if_modified(|current| {
            let higher = stop > *current;
            if higher {
                *current = stop;
            }
            higher
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
