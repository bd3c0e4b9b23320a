//! Attempts that fail, panic, hang or block.

use std::sync::atomic::Ordering;
use std::time::Duration;

use majordomo_core::{Backoff, DeadReason, EndingKind, FailureKind, Filter, State};
use majordomo_engine::{NotCompleted, RunBlocking};

use super::tasks::{Act, App, Hog, PATIENCE, all_jobs, client, until, worker};
use crate::subject::Subject;

/// Jobs that fail, panic, time out or snooze, each with its own maximum, while
/// now and then a process vanishes with some of them: the charged attempts are
/// exact, and none began before it was due.
pub(super) async fn r08_attempts_never_exceed_the_maximum_and_no_retry_starts_early(
    subject: Subject,
) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let stepper = worker(&jobs, &app).concurrency(50).stepper();
    let stepper = stepper.expect("a worker");
    let random = &mut fastrand::Rng::with_seed(8);
    let mut snoozing = Vec::new();
    for number in 0..125_u32 {
        let acts = [
            Act::Fail,
            Act::Panic,
            Act::Snooze,
            Act::Return(1),
            Act::Wait,
        ];
        let act = acts[number as usize % 5].clone();
        let snoozes = matches!(act, Act::Snooze);
        let wait = Duration::from_secs(random.u64(1..100));
        let enqueue = jobs
            .enqueue(act)
            .attempts(number % 4 + 1)
            .backoff(Backoff::fixed(wait));
        let handle = enqueue.timeout(Duration::from_millis(50)).await;
        let id = handle.expect("a job is stored").id();
        if snoozes {
            snoozing.push(id);
        }
    }
    for turn in 0..80 {
        if turn % 8 == 3 {
            let ghost = super::crash::claim(&format!("ghost-{turn}"), 3);
            subject.storage.claim(ghost).await.expect("a claim");
        }
        let before = subject.now().await;
        let waiting = all_jobs(&*subject.storage).await.into_iter();
        let waiting = waiting.filter(|job| job.state == State::Pending && job.due > before);
        let waiting: Vec<_> = waiting.collect();
        let counts: Vec<_> = waiting.iter().map(|job| app.runs_of(job.id)).collect();
        stepper.step().await.expect("a step");
        for (job, count) in waiting.iter().zip(counts) {
            assert_eq!(
                app.runs_of(job.id),
                count,
                "job {} ran before it was due",
                job.id
            );
        }
        subject.advance(Duration::from_secs(11)).await;
    }
    subject.advance(Duration::from_secs(3600)).await;
    stepper.step().await.expect("a step");
    for job in all_jobs(&*subject.storage).await {
        let runs = app.runs_of(job.id);
        assert!(job.charged <= job.max_attempts, "{job:?}");
        match (job.state, job.dead_reason) {
            (State::Completed, _) => assert_eq!((runs, job.charged), (1, job.crashes)),
            (State::Dead, Some(DeadReason::Exhausted)) => {
                assert_eq!(job.charged, job.max_attempts);
                let charged_runs = if snoozing.contains(&job.id) { 0 } else { runs };
                assert_eq!(charged_runs + job.crashes, job.max_attempts);
            }
            (State::Dead, reason) => {
                assert_eq!((reason, job.crashes), (Some(DeadReason::Poison), 3));
            }
            (_, _) => {
                assert!(
                    snoozing.contains(&job.id),
                    "only those that snooze go on: {job:?}"
                );
                assert_eq!(job.charged, job.crashes, "a snooze is never charged");
            }
        }
    }
}

/// 10,000 panics: each is recorded with its message, the worker goes on, and
/// memory does not grow with their number.
pub(super) async fn r10_panics_are_contained_and_recorded(subject: Subject) {
    const ROUNDS: usize = 10;
    const EACH: usize = 1000;
    let jobs = client(&subject.storage);
    let app = App::new();
    let mut running = worker(&jobs, &app)
        .concurrency(100)
        .start()
        .await
        .expect("a worker starts");
    let mut resident = Vec::new();
    for _ in 0..ROUNDS {
        let tasks = (0..EACH).map(|_| jobs.enqueue(Act::Panic).attempts(1).build().expect("a job"));
        let tasks: Vec<_> = tasks.collect();
        let ids: Vec<_> = tasks.iter().map(|job| job.id).collect();
        jobs.insert(tasks).await.expect("jobs are stored");
        for id in ids {
            let details = until(&*subject.storage, id, |details| {
                details.job.state == State::Dead
            })
            .await;
            let error = details.job.error.expect("the panic is recorded");
            assert_eq!(
                (error.kind, error.message),
                (FailureKind::Panic, format!("panicked as asked in {id}"))
            );
        }
        jobs.remove(&Filter::all()).await.expect("jobs are removed");
        resident.push(resident_mib());
    }
    assert_eq!(
        jobs.enqueue(Act::Return(7))
            .await
            .expect("a job")
            .result()
            .await
            .expect("it is alive"),
        7
    );
    running.stop();
    running.wait().await.expect("the worker ends");
    assert_eq!(app.all_runs(), ROUNDS * EACH + 1);
    if let (Some(Some(early)), Some(Some(late))) = (resident.get(2), resident.last()) {
        assert!(
            late.saturating_sub(*early) < 32,
            "memory grew from {early} to {late} MiB over 7,000 panics"
        );
    }
}

/// The resident memory of this process in MiB, where the system tells.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}

/// An async handler that blocks its thread: its lease is renewed again and
/// again, and other jobs flow.
pub(super) async fn r11_a_blocked_thread_stops_no_heartbeat_and_no_neighbour(subject: Subject) {
    let lease = Duration::from_secs(30);
    let jobs = client(&subject.storage);
    let app = App::new();
    let worker = worker(&jobs, &app)
        .lease(lease)
        .heartbeat(Duration::from_millis(5))
        .sweep(Duration::from_millis(5));
    let mut running = worker.start().await.expect("a worker starts");
    let blocked = jobs
        .enqueue(Act::Block)
        .await
        .expect("a job is stored")
        .id();
    app.has_started(1).await;
    for _ in 0..5 {
        subject.advance(Duration::from_secs(20)).await;
        let now = subject.now().await;
        let renewed = |details: &majordomo_core::Details| {
            details
                .job
                .lease
                .as_ref()
                .is_some_and(|held| held.expires >= majordomo_core::time::after(now, lease))
        };
        until(&*subject.storage, blocked, renewed).await;
        let neighbour = jobs.enqueue(Act::Return(1)).await.expect("a job is stored");
        let done = tokio::time::timeout(PATIENCE, neighbour.result())
            .await
            .expect("neighbours flow");
        assert_eq!(done.expect("it completes"), 1);
    }
    app.gate.send_replace(true);
    let details = until(&*subject.storage, blocked, |details| {
        details.job.state.is_finished()
    })
    .await;
    assert_eq!(
        (details.job.state, details.job.token),
        (State::Completed, 1),
        "it was never lost"
    );
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// A blocking attempt over its timeout is not run a second time beside itself;
/// an async one is dropped and its slot is free again.
pub(super) async fn r11_a_blocking_attempt_keeps_its_slot_and_lease_until_it_ends(
    subject: Subject,
) {
    fn is_blocking<T: RunBlocking<std::sync::Arc<App>>>() {}
    is_blocking::<Hog>();
    let jobs = client(&subject.storage);
    let app = App::new();
    let worker = worker(&jobs, &app).concurrency(1).grace(Duration::ZERO);
    let mut running = worker.start().await.expect("a worker starts");
    let dropped = jobs
        .enqueue(Act::Wait)
        .timeout(Duration::from_millis(10))
        .attempts(1)
        .await
        .expect("a job");
    assert!(matches!(
        dropped.result().await,
        Err(NotCompleted::Dead(..))
    ));
    let hog = jobs
        .enqueue(Hog)
        .timeout(Duration::from_millis(10))
        .await
        .expect("a job");
    app.has_started(2).await;
    let next = jobs.enqueue(Act::Return(1)).await.expect("a job");
    // Longer than timeout and grace together: time in which nothing may happen.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(hog.state().await.expect("a state"), State::Running);
    assert_eq!(app.runs_of(next.id()), 0, "the slot is taken");
    assert_eq!(app.runs_of(hog.id()), 1);
    app.gate.send_replace(true);
    hog.result()
        .await
        .expect("it completes when its thread does");
    assert_eq!(next.result().await.expect("the slot is free again"), 1);
    assert_eq!(app.most_running.load(Ordering::SeqCst), 1);
    let kinds: Vec<_> = hog
        .details()
        .await
        .expect("details")
        .attempts
        .iter()
        .map(|attempt| attempt.ending)
        .collect();
    assert_eq!(kinds, [Some(EndingKind::Completed)]);
    running.stop();
    running.wait().await.expect("the worker ends");
}
