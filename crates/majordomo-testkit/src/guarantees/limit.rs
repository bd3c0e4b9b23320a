//! Bounds: in time, in size, in number.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use majordomo_core::{By, ErrorKind, Filter, Order, Query, State, Storage, Width, limits, time};
use serde_json::Value;

use super::tasks::{Act, App, client, details, until, worker};
use crate::faulty::{Faulty, Verbs};
use crate::subject::Subject;

/// Jobs whose expiry passes while they wait, or while they wait for a retry.
pub(super) async fn r18_an_expired_job_never_starts(subject: Subject) {
    let minute = Duration::from_secs(60);
    let jobs = client(&subject.storage);
    let app = App::new();
    let stepper = worker(&jobs, &app).stepper().expect("a worker");
    let waiting = jobs
        .enqueue(Act::Return(1))
        .expires_in(minute)
        .await
        .expect("a job is stored");
    let elsewhere = jobs
        .enqueue(Act::Return(1))
        .queue("unwatched")
        .expires_in(minute)
        .await
        .expect("a job is stored");
    let retrying = jobs
        .enqueue(Act::Fail)
        .expires_in(minute)
        .await
        .expect("a job is stored");
    let in_time = jobs
        .enqueue(Act::Return(1))
        .expires_in(2 * minute)
        .await
        .expect("a job is stored");
    let only_retrying = Filter::ids([waiting.id(), in_time.id()]);
    let later = majordomo_core::Change::Reschedule { due: minute.into() };
    jobs.change(&only_retrying, &later)
        .await
        .expect("they are put off");
    assert_eq!(stepper.drain().await.expect("a drain").ran(), 1);
    let from = subject.now().await;
    subject.advance(minute).await;
    let report = stepper.drain().await.expect("a drain");
    assert_eq!(
        (
            report.ran(),
            app.runs_of(waiting.id()),
            app.runs_of(retrying.id())
        ),
        (1, 0, 1)
    );
    for id in [waiting.id(), elsewhere.id(), retrying.id()] {
        let job = details(&*subject.storage, id).await.job;
        assert_eq!(job.state, State::Expired);
        assert!(
            job.ended_at
                .is_some_and(|ended| ended >= job.expires.expect("it has one"))
        );
    }
    assert_eq!(in_time.state().await.expect("a state"), State::Completed);
    let to = time::after(subject.now().await, minute);
    let query = Query {
        by: By::All,
        from,
        to,
        width: Width::Day,
    };
    let expired: u64 = subject
        .storage
        .series(&query)
        .await
        .expect("statistics")
        .iter()
        .map(|b| b.tally.expired)
        .sum();
    assert_eq!(expired, 3, "each is counted once");
}

/// At the limit all is well; one byte over it is a typed error, and the
/// storage was never asked to write.
pub(super) async fn r22_limits_are_typed_errors_before_any_write(subject: Subject) {
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 22));
    let jobs = client(&(Arc::clone(&faulty) as Arc<dyn Storage>));
    let sized = |bytes: usize| {
        let mut job = jobs.enqueue(Act::Return(1)).build().expect("a job");
        job.payload.bytes = format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
        job
    };
    jobs.insert(vec![sized(limits::PAYLOAD)])
        .await
        .expect("the limit itself is allowed");
    let calls = faulty.calls(Verbs::Insert);
    let error = jobs
        .insert(vec![sized(limits::PAYLOAD + 1)])
        .await
        .expect_err("one more is not");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(
        error
            .to_string()
            .contains("1048577 bytes, the limit is 1048576"),
        "{error}"
    );
    let tagged = jobs
        .enqueue(Act::Return(1))
        .tags((0..=limits::TAGS).map(|tag| tag.to_string()));
    assert_eq!(
        tagged.await.expect_err("too many tags").kind(),
        ErrorKind::Invalid
    );
    let long = jobs
        .enqueue(Act::Return(1))
        .metadata("note", Value::String("x".repeat(limits::METADATA)));
    assert_eq!(
        long.await.expect_err("too much metadata").kind(),
        ErrorKind::TooLarge
    );
    let named = jobs
        .enqueue(Act::Return(1))
        .queue("q".repeat(limits::NAME + 1));
    assert_eq!(
        named.await.expect_err("too long a name").kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(
        faulty.calls(Verbs::Insert),
        calls,
        "no call was made for any of them"
    );
}

/// However often an attempt reports, it is written at most four times a second,
/// and the last report is kept.
pub(super) async fn r22_progress_is_written_a_few_times_a_second(subject: Subject) {
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 22));
    let jobs = client(&(Arc::clone(&faulty) as Arc<dyn Storage>));
    let mut running = worker(&jobs, &App::new())
        .start()
        .await
        .expect("a worker starts");
    let began = Instant::now();
    let handle = jobs
        .enqueue(Act::Progress(100_000))
        .await
        .expect("a job is stored");
    let found = until(&*subject.storage, handle.id(), |details| {
        details.job.state == State::Completed
    })
    .await;
    let quarters = began.elapsed().as_millis() / 250 + 2;
    let writes = faulty.calls(Verbs::Renew).made;
    assert!(
        u128::from(writes) <= quarters,
        "{writes} writes in {quarters} quarter seconds"
    );
    assert!(found.history.len() <= limits::HISTORY);
    let last = found.job.progress.expect("the last report is kept");
    assert_eq!(
        (last.percent, last.step.map(|step| step.done)),
        (100.0, Some(100_000))
    );
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// A backlog far larger than the worker: what is claimed is what can start.
pub(super) async fn r23_no_more_is_claimed_than_can_start(subject: Subject) {
    const BACKLOG: usize = 10_000;
    const SLOTS: usize = 8;
    let jobs = client(&subject.storage);
    let app = App::new();
    for _ in 0..BACKLOG / 1000 {
        jobs.enqueue_many((0..1000).map(|_| Act::Wait))
            .await
            .expect("jobs are stored");
    }
    let mut running = worker(&jobs, &app)
        .concurrency(SLOTS)
        .start()
        .await
        .expect("a worker starts");
    app.has_started(SLOTS).await;
    for _ in 0..20 {
        let filter = Filter::all().state(State::Running);
        let page = subject
            .storage
            .find(&filter, Order::default(), None, 1000)
            .await
            .expect("jobs are listed");
        assert_eq!(page.items.len(), SLOTS);
        jobs.enqueue(Act::Wait).await.expect("a job is stored");
    }
    assert_eq!(app.most_running.load(Ordering::SeqCst), SLOTS);
    running.stop_now();
    running.wait().await.expect("the worker ends");
}
