//! Jobs side by side: what one of them does costs no other, each hears why it
//! should stop, and what became of each is on record.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use majordomo_core::{
    Backoff, By, Cursor, EndingKind, FailureKind, Filter, Job, JobId, ManualClock, Memory, Order,
    Page, Query, State, Storage, Task, Width, limits, time,
};
use majordomo_engine::sweeper::sweep;
use majordomo_engine::{
    CancelReason, Client, Context, NotCompleted, Result, Run, RunBlocking, Running, TaskError,
    Worker,
};
use majordomo_testkit::Faulty;
use majordomo_testkit::faulty::{Chance, Verbs};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What the tasks did.
#[derive(Default)]
struct App {
    runs: Mutex<BTreeMap<JobId, u32>>,
    live: AtomicUsize,
    most_live: AtomicUsize,
    told: Mutex<Vec<CancelReason>>,
    started: watch::Sender<u32>,
}

impl App {
    async fn has_started(&self, attempts: u32) {
        let mut started = self.started.subscribe();
        started.wait_for(|count| *count >= attempts).await.unwrap();
    }

    fn enter(&self, cx: &Context) -> Leave<'_> {
        *self.runs.lock().unwrap().entry(cx.id()).or_default() += 1;
        let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_live.fetch_max(live, Ordering::SeqCst);
        self.started.send_modify(|count| *count += 1);
        Leave(self)
    }
}

/// Counts an attempt as live until its code is really gone.
struct Leave<'a>(&'a App);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum Act {
    Return,
    Panic,
    Fail,
    Cancel,
    SnoozeOnce,
    FailOnce,
    /// Waits for its token and says what it was told.
    Wait,
    /// Hangs, whatever it is told.
    Ignore,
}

impl Task for Act {
    type Output = ();
    const NAME: &'static str = "act";
}

impl Run<Arc<App>> for Act {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        let _leave = app.enter(cx);
        match self {
            Self::SnoozeOnce if cx.job().token == 1 => Err(TaskError::snooze(Duration::ZERO)),
            Self::FailOnce if cx.job().token == 1 => Err(TaskError::new("not yet")),
            Self::Return | Self::SnoozeOnce | Self::FailOnce => Ok(()),
            Self::Panic => panic!("a bug in attempt {}", cx.attempt()),
            Self::Fail => {
                let file: Result<_, std::io::Error> = std::fs::read("/no such folder/file");
                file.map_err(|error| {
                    TaskError::other(error).context(format!("attempt {}", cx.attempt()))
                })?;
                Ok(())
            }
            Self::Cancel => Err(TaskError::cancel("not needed any more")),
            Self::Wait => {
                let reason = cx.cancelled().await;
                app.told.lock().unwrap().push(reason);
                cx.stop_if_cancelled()
            }
            Self::Ignore => std::future::pending().await,
        }
    }
}

/// Blocks its thread for longer than its timeout, until it is told to stop.
#[derive(Serialize, Deserialize)]
struct Block;

impl Task for Block {
    type Output = ();
    const NAME: &'static str = "block";
}

impl RunBlocking<Arc<App>> for Block {
    fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        let _leave = app.enter(cx);
        while !cx.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        cx.stop_if_cancelled()
    }
}

const SOON: Duration = Duration::from_millis(10);

fn worker(jobs: &Client) -> (Worker<Arc<App>>, Arc<App>) {
    let app = Arc::new(App::default());
    let worker = Worker::new(jobs, Arc::clone(&app))
        .handle::<Act>()
        .handle_blocking::<Block>()
        .grace(SOON);
    (worker, app)
}

async fn end(mut running: Running) {
    running.stop_now();
    running.wait().await.unwrap();
}

#[tokio::test]
async fn g10_a_handler_hears_that_its_job_was_cancelled() {
    let jobs = Client::new(Memory::new());
    let (worker, app) = worker(&jobs);
    let running = worker.start().await.unwrap();
    let handle = jobs.enqueue(Act::Wait).await.unwrap();
    app.has_started(1).await;
    handle.cancel().await.unwrap();
    assert!(matches!(
        handle.result().await,
        Err(NotCompleted::Cancelled)
    ));
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::User]);
    end(running).await;
}

#[tokio::test]
async fn g10_a_handler_hears_of_its_timeout() {
    let jobs = Client::new(Memory::new());
    let (worker, app) = worker(&jobs);
    let running = worker
        .grace(Duration::from_secs(3600))
        .start()
        .await
        .unwrap();
    let handle = jobs
        .enqueue(Act::Wait)
        .timeout(SOON)
        .attempts(1)
        .await
        .unwrap();
    let error = handle.wait().await.unwrap().job.error.unwrap();
    assert_eq!(error.kind, FailureKind::Timeout);
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::Timeout]);
    end(running).await;
}

#[tokio::test]
async fn g10_a_handler_hears_of_a_shutdown() {
    let jobs = Client::new(Memory::new());
    let (worker, app) = worker(&jobs);
    let mut running = worker.drain(Duration::ZERO).start().await.unwrap();
    let handle = jobs.enqueue(Act::Wait).await.unwrap();
    app.has_started(1).await;
    running.stop();
    running.wait().await.unwrap();
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::Shutdown]);
    let details = handle.details().await.unwrap();
    assert_eq!(details.attempts[0].ending, Some(EndingKind::Released));
}

#[tokio::test]
async fn g10_a_handler_hears_that_its_lease_is_lost() {
    let down = Chance {
        refused: 1.0,
        lost: 0.0,
    };
    let clock = ManualClock::default();
    let memory = Memory::with_clock(Arc::new(clock.clone()));
    let faulty = Arc::new(Faulty::new(Arc::new(memory.clone()), 10));
    let cut_off = Client::shared(Arc::clone(&faulty) as Arc<dyn Storage>);
    let jobs = Client::new(memory);
    let (old, app) = worker(&cut_off);
    let quick = old.heartbeat(Duration::from_millis(1)).name("old");
    let running = quick.start().await.unwrap();
    let handle = jobs.enqueue(Act::Wait).await.unwrap();
    app.has_started(1).await;
    for verbs in Verbs::ALL {
        faulty.set(verbs, down);
    }
    // A renewal that is under way still counts, so it may take two of these.
    while handle.state().await.unwrap() == State::Running {
        clock.advance(Duration::from_secs(60));
        sweep(&**jobs.storage()).await.unwrap();
    }
    faulty.heal();
    while app.told.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*app.told.lock().unwrap(), [CancelReason::LeaseLost]);
    let details = handle.details().await.unwrap();
    assert_eq!(details.attempts[0].ending, Some(EndingKind::Lost));
    end(running).await;
}

/// One slot, so the second job only runs if the first one's is given up.
#[tokio::test]
async fn g57_a_handler_that_ignores_its_token_is_dropped_and_its_slot_is_free() {
    let jobs = Client::new(Memory::new());
    let (worker, app) = worker(&jobs);
    let running = worker.concurrency(1).start().await.unwrap();
    let hangs = jobs
        .enqueue(Act::Ignore)
        .timeout(SOON)
        .attempts(1)
        .await
        .unwrap();
    app.has_started(1).await;
    let next = jobs.enqueue(Act::Return).await.unwrap();
    next.result().await.unwrap();
    let attempt = hangs.details().await.unwrap().attempts.remove(0);
    assert_eq!(attempt.error.unwrap().kind, FailureKind::Timeout);
    assert_eq!(app.live.load(Ordering::SeqCst), 0);
    end(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gx18_a_job_over_its_timeout_never_has_two_live_attempts() {
    async fn attempts<T: Task>(jobs: &Client, task: T) -> usize {
        let job = jobs.enqueue(task).timeout(SOON).attempts(4);
        let job = job.backoff(Backoff::fixed(Duration::ZERO)).await.unwrap();
        job.wait().await.unwrap().attempts.len()
    }
    let jobs = Client::new(Memory::new());
    let (worker, app) = worker(&jobs);
    let running = worker.start().await.unwrap();
    assert_eq!(attempts(&jobs, Act::Ignore).await, 4);
    assert_eq!(attempts(&jobs, Block).await, 4);
    assert_eq!(app.most_live.load(Ordering::SeqCst), 1);
    end(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g62_gx10_one_bad_job_of_a_hundred_leaves_the_others_to_complete_once() {
    let faulty = Arc::new(Faulty::new(Arc::new(Memory::new()), 62));
    let jobs = Client::shared(Arc::clone(&faulty) as Arc<dyn Storage>);
    let (worker, app) = worker(&jobs);
    let tasks = (0..100).map(|number| {
        if number == 50 {
            Act::Panic
        } else {
            Act::Return
        }
    });
    let built = tasks.map(|task| jobs.enqueue(task).attempts(1).build().unwrap());
    let built: Vec<_> = built.collect();
    let ids: Vec<_> = built.iter().map(|job| job.id).collect();
    jobs.insert(built).await.unwrap();
    // The first tries to write their endings fail too, for all of them.
    let half = Chance {
        refused: 0.5,
        lost: 0.0,
    };
    faulty.set(Verbs::Settle, half);
    let running = worker.concurrency(100).start().await.unwrap();
    for (number, id) in ids.into_iter().enumerate() {
        let details = jobs.handle::<Act>(id).wait().await.unwrap();
        let expected = if number == 50 {
            State::Dead
        } else {
            State::Completed
        };
        assert_eq!((details.job.state, details.attempts.len()), (expected, 1));
        assert_eq!(app.runs.lock().unwrap()[&id], 1);
    }
    end(running).await;
}

#[tokio::test]
async fn g67_every_attempt_is_on_record_with_worker_token_times_and_error() {
    let jobs = Client::new(Memory::new());
    let (worker, _) = worker(&jobs);
    let running = worker.name("tester").start().await.unwrap();
    let at_once = Backoff::fixed(Duration::ZERO);
    let fails = jobs.enqueue(Act::Fail).attempts(3).backoff(at_once.clone());
    let fails = fails.await.unwrap().wait().await.unwrap();
    let panics = jobs.enqueue(Act::Panic).attempts(2).backoff(at_once);
    let panics = panics.await.unwrap().wait().await.unwrap();
    for (index, attempt) in fails.attempts.iter().enumerate() {
        let number = index as u64 + 1;
        let error = attempt.error.as_ref().unwrap();
        assert_eq!((attempt.worker.as_str(), attempt.token), ("tester", number));
        assert!(attempt.ended_at.unwrap() >= attempt.started_at);
        assert_eq!(
            (error.kind, error.message.clone()),
            (FailureKind::Error, format!("attempt {number}"))
        );
        assert!(error.chain[0].contains("os error"), "{:?}", error.chain);
    }
    let messages = panics.attempts.iter().map(|attempt| {
        let error = attempt.error.as_ref().unwrap();
        (error.kind, error.message.as_str())
    });
    let expected =
        ["a bug in attempt 1", "a bug in attempt 2"].map(|text| (FailureKind::Panic, text));
    assert_eq!(
        (fails.attempts.len(), messages.collect::<Vec<_>>()),
        (3, expected.to_vec())
    );
    end(running).await;
}

async fn page(storage: &Memory, filter: &Filter, after: Option<Cursor>, limit: usize) -> Page<Job> {
    let found = storage.find(filter, Order::default(), after, limit);
    found.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn g66_after_ten_thousand_mixed_jobs_the_counters_equal_the_rows() {
    const EACH: usize = 1250;
    let storage = Memory::new();
    let jobs = Client::new(storage.clone());
    let acts = [
        Act::Return,
        Act::Panic,
        Act::Fail,
        Act::Cancel,
        Act::SnoozeOnce,
        Act::FailOnce,
    ];
    for act in acts {
        let job = || {
            let at_once = Backoff::fixed(Duration::ZERO);
            jobs.enqueue(act.clone())
                .attempts(2)
                .backoff(at_once)
                .build()
                .unwrap()
        };
        jobs.insert((0..EACH).map(|_| job()).collect())
            .await
            .unwrap();
    }
    for gone in [
        Filter::all().queue("never run"),
        Filter::all().queue("too late"),
    ] {
        let queue = gone.queues[0].clone();
        let job = || {
            let job = jobs.enqueue(Act::Return).queue(queue.as_str());
            match queue.as_str() {
                "too late" => job.expires_in(Duration::ZERO).build().unwrap(),
                _ => job.build().unwrap(),
            }
        };
        jobs.insert((0..EACH).map(|_| job()).collect())
            .await
            .unwrap();
    }
    let cancel = majordomo_core::Change::Cancel;
    jobs.change(&Filter::all().queue("never run"), &cancel)
        .await
        .unwrap();
    let (worker, _) = worker(&jobs);
    let worker = worker.concurrency(500).sweep(Duration::from_millis(20));
    let running = worker.start().await.unwrap();
    let unfinished = Filter::all().state(State::Pending).state(State::Running);
    while !page(&storage, &unfinished, None, 1).await.items.is_empty() {
        tokio::time::sleep(SOON).await;
    }
    end(running).await;
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = page(&storage, &Filter::all(), after, limits::PAGE).await;
        for job in page.items {
            *rows.entry(job.state.as_str()).or_default() += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let each = EACH as u64;
    let expected = [
        ("cancelled", 2 * each),
        ("completed", 3 * each),
        ("dead", 2 * each),
        ("expired", each),
    ];
    assert_eq!(rows, BTreeMap::from(expected));
    let now = storage.now().await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    let query = Query {
        by: By::All,
        from: majordomo_core::Timestamp::UNIX_EPOCH,
        to: time::after(now, day),
        width: Width::Day,
    };
    let buckets = storage.series(&query).await.unwrap();
    let sum = |count: fn(&majordomo_core::Tally) -> u64| {
        buckets
            .iter()
            .map(|bucket| count(&bucket.tally))
            .sum::<u64>()
    };
    let counted = [
        ("cancelled", sum(|tally| tally.cancelled)),
        ("completed", sum(|tally| tally.completed)),
        ("dead", sum(|tally| tally.dead)),
        ("expired", sum(|tally| tally.expired)),
    ];
    assert_eq!(rows, BTreeMap::from(counted));
    assert_eq!(
        sum(|tally| tally.retried),
        3 * each,
        "a panic, a failure, and one that recovered"
    );
    assert_eq!(
        (sum(|tally| tally.snoozed), sum(|tally| tally.lost)),
        (each, 0)
    );
}
