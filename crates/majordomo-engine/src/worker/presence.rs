//! What others can know of a worker that runs: who it is, what it provides, and
//! that it is alive. Written before the first claim, refreshed from the
//! heartbeat's thread, and taken away when the worker stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use majordomo_core::Result;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, TaskRecord, WorkerRecord};

use super::shared::{Shared, Stop};
use super::trouble::Failures;

/// How often a worker says that it is alive.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long it is believed, by the storage's clock.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long one try to say so may be repeated: the next is never far.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it says which tasks it provides.
const TASKS: Duration = Duration::from_secs(3600);
/// How long a worker that stops tries to say so.
const LEAVING: Duration = Duration::from_secs(1);

/// The presence of one worker.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    client: Client,
    record: WorkerRecord,
    tasks: Vec<TaskRecord>,
    is_stopping: Arc<AtomicBool>,
}

impl Presence {
    /// Registers the worker's tasks, and says that it is there.
    pub(super) async fn enter<App: Send + Sync + 'static>(
        shared: &Shared<App>,
        app_version: Option<String>,
    ) -> Result<Self> {
        let client = shared.client.clone();
        let settings = &shared.settings;
        let mut tasks = shared.handlers.records();
        for record in &mut tasks {
            record.app_version.clone_from(&app_version);
            client.register(record).await?;
        }
        let now = client.now().await?;
        let record = WorkerRecord {
            name: settings.name.clone(),
            started_at: now,
            seen_at: now,
            is_stopping: false,
            majordomo: env!("CARGO_PKG_VERSION").to_owned(),
            app_version,
            tasks: shared.tasks.clone(),
            queues: settings
                .queues
                .iter()
                .map(|queue| queue.name.clone())
                .collect(),
            concurrency: settings.concurrency,
            queue_limits: settings
                .queues
                .iter()
                .filter_map(|queue| Some((queue.name.clone(), queue.concurrency?)))
                .collect(),
            host: super::settings::host(),
            process: std::process::id(),
        };
        client.put_worker(&record, BELIEVED).await?;
        Ok(Self {
            client,
            record,
            tasks,
            is_stopping: Arc::default(),
        })
    }

    /// Says that it is still there, for as long as this is awaited.
    pub(super) async fn stay(&self) {
        self.warn_about_orphans().await;
        let mut tasks_at = Instant::now() + TASKS;
        let mut failures = Failures::default();
        loop {
            sleep(INTERVAL.mul_f64(0.9 + 0.1 * fastrand::f64())).await;
            match self.put().await {
                Ok(()) => failures = Failures::default(),
                Err(error) => {
                    if let Some(since_last) = failures.tell(Instant::now()) {
                        tracing::warn!(%error, since_last, "cannot say that this worker is alive");
                    }
                }
            }
            if Instant::now() >= tasks_at {
                tasks_at = Instant::now() + TASKS;
                self.touch_tasks().await;
            }
        }
    }

    /// Says, once it was told to stop, that it takes no more jobs.
    pub(super) async fn stop_with(&self, mut stopping: watch::Receiver<Stop>) {
        // An error means that nobody can tell it to any more: it stops too.
        let _ = stopping.wait_for(|stop| *stop != Stop::No).await;
        self.is_stopping.store(true, Ordering::SeqCst);
        if let Err(error) = self.put().await {
            tracing::debug!(%error, "cannot say that this worker is stopping");
        }
    }

    /// Says that it has stopped. If it can't, its record ends by itself.
    pub(super) async fn leave(&self) {
        let leaving = async {
            if let Err(error) = self.client.remove_worker(&self.record.name).await {
                tracing::debug!(%error, "cannot say that this worker has stopped");
            }
            self.touch_tasks().await;
        };
        let _ = timeout(LEAVING, leaving).await;
    }

    async fn put(&self) -> Result<()> {
        let record = WorkerRecord {
            is_stopping: self.is_stopping.load(Ordering::SeqCst),
            ..self.record.clone()
        };
        let client = self.client.clone().patience(PATIENCE);
        client.put_worker(&record, BELIEVED).await
    }

    /// So that it is known later when each was last provided.
    async fn touch_tasks(&self) {
        for record in &self.tasks {
            if let Err(error) = self.client.touch(&record.name).await {
                tracing::debug!(%error, "cannot say which tasks are provided");
                return;
            }
        }
    }

    /// One warning for jobs that nobody will run.
    async fn warn_about_orphans(&self) {
        let orphans = match self.client.orphans(&self.record.queues).await {
            Ok(orphans) if orphans.is_empty() => return,
            Ok(orphans) => orphans,
            Err(error) => {
                tracing::debug!(%error, "cannot look for jobs that nobody provides");
                return;
            }
        };
        let listed: Vec<String> = orphans
            .iter()
            .map(|(task, count)| format!("`{task}` ({count})"))
            .collect();
        tracing::warn!(
            tasks = listed.join(", "),
            "jobs are waiting in the queues of this worker for tasks that no live worker provides: \
             start a worker that does, register the task, or cancel them"
        );
    }
}

#[cfg(test)]
mod tests {
    use majordomo_core::{Memory, NewJob, Payload, Storage, Task};
    use serde::{Deserialize, Serialize};

    use super::super::Worker;
    use super::*;
    use crate::context::Context;
    use crate::run::Run;

    #[derive(Serialize, Deserialize)]
    struct Send;

    impl Task for Send {
        type Output = ();
        const NAME: &'static str = "send";
    }

    impl Run<()> for Send {
        async fn run(self, (): &(), _: &Context) -> crate::Result<()> {
            Ok(())
        }
    }

    async fn enter(client: &Client, version: &str) -> Presence {
        let worker = Worker::new(client, ()).handle::<Send>().name("ada");
        let shared = worker.into_shared().unwrap();
        Presence::enter(&shared, Some(version.into()))
            .await
            .unwrap()
    }

    async fn version_of(memory: &Memory, key: &str) -> u64 {
        memory.get_document(key).await.unwrap().unwrap().version
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_says_every_ten_seconds_that_it_is_there_and_every_hour_what_it_provides() {
        let memory = Memory::new();
        let presence = enter(&Client::new(memory.clone()), "1").await;
        assert_eq!(version_of(&memory, "worker/ada").await, 1);
        let _ = timeout(INTERVAL * 3, presence.stay()).await;
        let minutes = version_of(&memory, "worker/ada").await;
        assert!((3..=4).contains(&minutes), "{minutes}");
        assert_eq!(version_of(&memory, "task/send").await, 1);
        let _ = timeout(TASKS + 2 * INTERVAL, presence.stay()).await;
        assert_eq!(version_of(&memory, "task/send").await, 2);
        presence.leave().await;
        assert!(memory.get_document("worker/ada").await.unwrap().is_none());
        assert_eq!(version_of(&memory, "task/send").await, 3);
    }

    #[tokio::test]
    async fn an_older_worker_that_stays_does_not_overwrite_what_a_newer_one_registered() {
        let client = Client::new(Memory::new());
        let old = enter(&client, "1").await;
        enter(&client, "2").await;
        old.leave().await;
        let records = client.task_records().await.unwrap();
        assert_eq!(records["send"].app_version.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn b33_jobs_of_tasks_that_nobody_provides_are_found_with_their_number() {
        let client = Client::new(Memory::new());
        let job = |task: &str, queue: &str| NewJob {
            queue: queue.into(),
            ..NewJob::new(task, Payload::json(&()).unwrap())
        };
        let jobs = vec![
            job("gone", "default"),
            job("gone", "default"),
            job("gone", "elsewhere"),
            job("send", "default"),
        ];
        client.insert(jobs).await.unwrap();
        let presence = enter(&client, "1").await;
        let orphans = client.orphans(&presence.record.queues).await.unwrap();
        let told: Vec<_> = orphans
            .iter()
            .map(|(task, count)| (&**task, count.jobs))
            .collect();
        assert_eq!(told, [("gone", 2)]);
        // Also behind any number of others that will run, if a worker ever registered it.
        presence.leave().await;
        let record = WorkerRecord {
            tasks: vec!["other".into()],
            ..presence.record
        };
        client.put_worker(&record, BELIEVED).await.unwrap();
        let mut behind: Vec<_> = (0..500).map(|_| job("other", "mail")).collect();
        behind.push(job("send", "mail"));
        client.insert(behind).await.unwrap();
        let orphans = client.orphans(&["mail".to_owned()]).await.unwrap();
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans["send"].jobs, 1);
    }
}
