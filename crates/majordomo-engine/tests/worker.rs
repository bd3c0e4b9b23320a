//! A worker and a client on the memory storage: what users see of them.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use majordomo_core::{Backoff, DeadReason, EndingKind, FailureKind, Memory, State, Task};
use majordomo_engine::{
    CancelReason, Cancelled, Client, Context, NotCompleted, Result, Run, RunBlocking, TaskError,
    Worker,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Counts what its tasks do.
#[derive(Default)]
struct App {
    ran: AtomicUsize,
    started: Notify,
    told: std::sync::Mutex<Vec<CancelReason>>,
}

#[derive(Serialize, Deserialize)]
struct Double(i64);

impl Task for Double {
    type Output = i64;
    const NAME: &'static str = "double";
}

impl Run<Arc<App>> for Double {
    async fn run(self, app: &Arc<App>, _: &Context) -> Result<i64> {
        app.ran.fetch_add(1, Ordering::SeqCst);
        self.0
            .checked_mul(2)
            .ok_or_else(|| TaskError::permanent("too large"))
    }
}

#[derive(Serialize, Deserialize)]
enum Odd {
    Panic,
    Fail,
    Hang,
    Ignore,
    Progress,
}

impl Task for Odd {
    type Output = ();
    const NAME: &'static str = "odd";
}

impl Run<Arc<App>> for Odd {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        app.started.notify_one();
        match self {
            Self::Panic => panic!("a bug in job {}", cx.attempt()),
            Self::Fail => Err(TaskError::new("no luck")),
            Self::Hang => {
                let reason = cx.cancelled().await;
                app.told.lock().unwrap().push(reason);
                Err(TaskError::new("told to"))
            }
            Self::Ignore => std::future::pending().await,
            Self::Progress => {
                cx.progress(50, "half");
                cx.cancelled().await;
                cx.progress(75, "more");
                Ok(())
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Block;

impl Task for Block {
    type Output = String;
    const NAME: &'static str = "block";
}

impl RunBlocking<Arc<App>> for Block {
    fn run(self, _: &Arc<App>, cx: &Context) -> Result<String> {
        Ok(format!("attempt {}", cx.attempt()))
    }
}

fn client() -> Client {
    Client::new(Memory::new())
}

fn worker(client: &Client) -> (Worker<Arc<App>>, Arc<App>) {
    let app = Arc::new(App::default());
    let worker = Worker::new(client, Arc::clone(&app))
        .handle::<Double>()
        .handle::<Odd>()
        .handle_blocking::<Block>()
        .grace(Duration::from_millis(20));
    (worker, app)
}

#[tokio::test]
async fn a_typed_call_comes_back_as_a_typed_result() {
    let jobs = client();
    let (worker, app) = worker(&jobs);
    let mut running = worker.start().await.unwrap();
    let handle = jobs.enqueue(Double(21)).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 42);
    let many = jobs.enqueue_many((0..200).map(Double)).await.unwrap();
    for (index, handle) in many.iter().enumerate() {
        assert_eq!(handle.result().await.unwrap(), index as i64 * 2);
    }
    assert_eq!(
        jobs.enqueue(Block).await.unwrap().result().await.unwrap(),
        "attempt 1"
    );
    running.stop();
    running.wait().await.unwrap();
    assert_eq!(app.ran.load(Ordering::SeqCst), 201);
    assert!(jobs.task_records().await.unwrap().contains_key("double"));
}

#[tokio::test]
async fn a_permanent_error_ends_the_job_at_once() {
    let jobs = client();
    let (worker, _) = worker(&jobs);
    let _running = worker.start().await.unwrap();
    let handle = jobs.enqueue(Double(i64::MAX)).await.unwrap();
    let error = handle.result().await.unwrap_err();
    assert_eq!(error.to_string(), "the job is dead (permanent): too large");
    assert_eq!(handle.details().await.unwrap().attempts.len(), 1);
}

#[tokio::test]
async fn failures_are_retried_until_the_attempts_are_used_up() {
    let jobs = client();
    let (worker, _) = worker(&jobs);
    let _running = worker.start().await.unwrap();
    let backoff = Backoff::fixed(Duration::from_millis(1));
    for (task, kind, words) in [
        (Odd::Fail, FailureKind::Error, "no luck"),
        (Odd::Panic, FailureKind::Panic, "a bug in job 3"),
    ] {
        let handle = jobs
            .enqueue(task)
            .attempts(3)
            .backoff(backoff.clone())
            .await
            .unwrap();
        let details = handle.wait().await.unwrap();
        assert_eq!(
            (details.job.state, details.job.dead_reason),
            (State::Dead, Some(DeadReason::Exhausted))
        );
        let kinds: Vec<_> = details
            .attempts
            .iter()
            .map(|attempt| attempt.ending.unwrap())
            .collect();
        assert_eq!(
            kinds,
            [EndingKind::Retried, EndingKind::Retried, EndingKind::Dead]
        );
        let error = details.job.error.unwrap();
        assert_eq!((error.kind, error.message.as_str()), (kind, words));
    }
}

#[tokio::test]
async fn gx19_a_running_job_hears_that_it_was_cancelled() {
    let jobs = client();
    let (worker, app) = worker(&jobs);
    let _running = worker.start().await.unwrap();
    for task in [Odd::Hang, Odd::Ignore] {
        let handle = jobs.enqueue(task).await.unwrap();
        app.started.notified().await;
        assert_eq!(handle.cancel().await.unwrap(), Cancelled::Requested);
        assert!(matches!(
            handle.result().await,
            Err(NotCompleted::Cancelled)
        ));
        assert_eq!(
            handle.cancel().await.unwrap(),
            Cancelled::AlreadyFinished(State::Cancelled)
        );
    }
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::User]);
}

#[tokio::test]
async fn a_hanging_attempt_is_told_and_then_dropped_at_its_timeout() {
    let jobs = client();
    let (worker, app) = worker(&jobs);
    let _running = worker.start().await.unwrap();
    for task in [Odd::Hang, Odd::Ignore] {
        let handle = jobs
            .enqueue(task)
            .attempts(1)
            .timeout(Duration::from_millis(20))
            .await
            .unwrap();
        let details = handle.wait().await.unwrap();
        assert_eq!(details.job.state, State::Dead);
        assert_eq!(details.job.error.unwrap().kind, FailureKind::Timeout);
    }
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::Timeout]);
}

#[tokio::test]
async fn g70_a_shutdown_gives_running_jobs_back_without_costing_an_attempt() {
    let jobs = client();
    let (worker, app) = worker(&jobs);
    let mut running = worker
        .drain(Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    let handle = jobs.enqueue(Odd::Hang).await.unwrap();
    app.started.notified().await;
    running.stop();
    running.wait().await.unwrap();
    let job = handle.details().await.unwrap().job;
    assert_eq!((job.state, job.charged, job.token), (State::Pending, 0, 1));
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::Shutdown]);
}

#[tokio::test]
async fn progress_is_seen_while_the_job_runs_and_the_last_report_is_kept() {
    let jobs = client();
    let (worker, _) = worker(&jobs);
    let _running = worker.start().await.unwrap();
    let handle = jobs.enqueue(Odd::Progress).await.unwrap();
    let mut watch = handle.watch();
    let half = loop {
        let details = watch.next().await.unwrap().unwrap();
        if let Some(progress) = details.job.progress {
            break progress;
        }
    };
    assert_eq!((half.percent, half.note.as_deref()), (50.0, Some("half")));
    handle.cancel().await.unwrap();
    let details = handle.wait().await.unwrap();
    assert_eq!(
        details.job.state,
        State::Completed,
        "an accepted completion goes before a requested cancel"
    );
    assert_eq!(details.job.progress.unwrap().percent, 75.0);
}

#[tokio::test]
async fn g18_two_tasks_of_one_name_are_refused_with_both_named() {
    #[derive(Serialize, Deserialize)]
    struct Other;
    impl Task for Other {
        type Output = ();
        const NAME: &'static str = "other";
        const ALIASES: &'static [&'static str] = &["double"];
    }
    impl Run<Arc<App>> for Other {
        async fn run(self, _: &Arc<App>, _: &Context) -> Result<()> {
            Ok(())
        }
    }
    let (worker, _) = worker(&client());
    let error = worker
        .handle::<Other>()
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`double` is taken twice: by `worker::Double` and by `worker::"),
        "{error}"
    );
}

#[tokio::test]
async fn g6_g56_a_delayed_job_starts_when_due_without_a_poll() {
    let jobs = client();
    let (worker, _) = worker(&jobs);
    // Were it found by polling, this would take an hour.
    let _running = worker
        .poll(Duration::from_secs(3600))
        .start()
        .await
        .unwrap();
    let handle = jobs
        .enqueue(Double(1))
        .after(Duration::from_millis(30))
        .await
        .unwrap();
    handle.result().await.unwrap();
    let job = handle.details().await.unwrap().job;
    assert!(job.started_at.unwrap() >= job.due);
}

#[tokio::test]
async fn gx30_a_busy_queue_does_not_starve_a_job_that_comes_due_in_another() {
    let jobs = client();
    let (worker, _) = worker(&jobs);
    let worker = worker.queue("busy").queue("quiet").concurrency(1);
    let mut running = worker
        .poll(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let backlog = (0..5000).map(|n| jobs.enqueue(Double(n)).queue("busy").build().unwrap());
    let last = {
        let backlog: Vec<_> = backlog.collect();
        let last = backlog[4999].id;
        jobs.insert(backlog).await.unwrap();
        jobs.handle::<Double>(last)
    };
    let quiet = jobs
        .enqueue(Double(1))
        .queue("quiet")
        .after(Duration::from_millis(20))
        .await
        .unwrap();
    quiet.result().await.unwrap();
    assert_eq!(
        last.state().await.unwrap(),
        State::Pending,
        "it did not have to wait for the whole backlog"
    );
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_handle_is_dropped_ends_although_there_is_work_left() {
    let jobs = client();
    let (worker, app) = worker(&jobs);
    let backlog = (0..20_000).map(|n| jobs.enqueue(Double(n)).build().unwrap());
    let backlog: Vec<_> = backlog.collect();
    let last = jobs.handle::<Double>(backlog[19_999].id);
    jobs.insert(backlog).await.unwrap();
    drop(worker.start().await.unwrap());
    let ended = async {
        // The worker holds the other one.
        while Arc::strong_count(&app) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap();
    assert_eq!(last.state().await.unwrap(), State::Pending);
}
