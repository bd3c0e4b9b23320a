//! The whole way of a job, whatever happens on it: it runs, it ends as it may,
//! and none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Backoff, Details, EndingKind, JobId, State, Storage, When};
use majordomo_engine::sweeper;

use super::crash::claim;
use super::tasks::{Act, App, all_jobs, client, details, worker};
use crate::faulty::{Faulty, Late, Trouble, Verbs};
use crate::subject::Subject;

const MINUTE: Duration = Duration::from_secs(60);

/// Enqueued, run, completed, read back.
pub(super) async fn g73_a_job_is_enqueued_run_and_completed(subject: Subject) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let mut running = worker(&jobs, &app).start().await.expect("a worker starts");
    let handle = jobs.enqueue(Act::Return(73)).await.expect("it is stored");
    assert_eq!(handle.result().await.expect("its result"), 73);
    let Details { job, attempts, .. } = details(&*subject.storage, handle.id()).await;
    assert_eq!((job.state, job.token), (State::Completed, 1));
    assert!(job.started_at.is_some() && job.ended_at.is_some() && job.lease.is_none());
    let endings: Vec<_> = attempts.iter().map(|attempt| attempt.ending).collect();
    assert_eq!(endings, [Some(EndingKind::Completed)]);
    assert_eq!(app.runs_of(handle.id()), 1);
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// A task that fails and wants no wait at all, on a clock that stands still: it
/// is not run again in a circle.
pub(super) async fn gx13_a_retry_without_a_wait_waits_all_the_same(subject: Subject) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let stepper = worker(&jobs, &app).stepper().expect("a worker");
    for backoff in [Backoff::fixed(Duration::ZERO), Backoff::list([])] {
        let job = jobs.enqueue(Act::Fail).attempts(5).backoff(backoff);
        let id = job.await.expect("it is stored").id();
        for run in 1..=5 {
            let from = subject.now().await;
            stepper.drain().await.expect("a drain");
            assert_eq!(app.runs_of(id), run, "one run, however long it is drained");
            let job = details(&*subject.storage, id).await.job;
            let over = job.state == State::Dead && run == 5;
            assert!(over || job.due > from, "{} at {from}", job.due);
            subject.advance(MINUTE).await;
        }
        let job = details(&*subject.storage, id).await.job;
        assert_eq!(job.state, State::Dead);
    }
}

/// Whoever asked for a job may lose interest at any moment. What was claimed for
/// nobody is not lost: it runs after its lease, like that of a vanished worker.
pub(super) async fn g30_a_claim_that_is_dropped_at_any_moment_loses_no_job(subject: Subject) {
    const JOBS: usize = 1500;
    let late = Late {
        from: Duration::ZERO,
        to: Duration::from_millis(1),
    };
    let trouble = Trouble {
        arrives_late: late,
        answered_late: late,
        ..Trouble::default()
    };
    let slow = Faulty::new(Arc::clone(&subject.storage), 30).with(Verbs::Claim, trouble);
    let jobs = client(&subject.storage);
    let app = App::new();
    let tasks = (0..JOBS).map(|n| Act::Return(n as u64));
    jobs.enqueue_many(tasks).await.expect("they are stored");
    let mut random = fastrand::Rng::with_seed(30);
    let (mut dropped, mut heard) = (0, 0);
    for number in 0..JOBS {
        let worker = format!("w{number}");
        let claim = slow.claim(claim(&worker, 1));
        let patience = Duration::from_micros(random.u64(0..4000));
        match tokio::time::timeout(patience, claim).await {
            Ok(claimed) => heard += claimed.expect("a claim").jobs.len(),
            Err(_) => dropped += 1,
        }
    }
    assert!(
        dropped > 100 && heard > 100,
        "{dropped} dropped, {heard} heard"
    );
    // Also those that were heard of are left alone from here on.
    subject.advance(2 * MINUTE).await;
    sweeper::sweep(&*subject.storage).await.expect("a sweep");
    let stepper = worker(&jobs, &app).stepper().expect("a worker");
    for _ in 0..5 {
        subject.advance(60 * MINUTE).await;
        stepper.drain().await.expect("a drain");
    }
    let all = all_jobs(&*subject.storage).await;
    assert_eq!(all.len(), JOBS);
    for job in all {
        assert_eq!((job.state, app.runs_of(job.id)), (State::Completed, 1));
        assert!(job.crashes <= 1, "it was leased to nobody once at most");
    }
}

/// Jobs that do anything, workers that vanish, people who cancel and retry:
/// whenever one looks, each job is in a state that it may be in, came there on a
/// way that there is, and does not run on beyond its lease.
pub(super) async fn g81_after_any_attempt_a_job_is_in_a_legal_state(subject: Subject) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let stepper = worker(&jobs, &app)
        .timeout(Duration::from_millis(20))
        .grace(Duration::from_millis(1))
        .stepper()
        .expect("a worker");
    let mut random = fastrand::Rng::with_seed(81);
    let mut before = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for round in 0..60 {
        for _ in 0..random.usize(0..4) {
            let act = match random.u8(0..12) {
                0..=3 => Act::Return(1),
                4..=7 => Act::Fail,
                8 | 9 => Act::Snooze,
                10 => Act::Progress(3),
                _ => Act::Wait,
            };
            let backoff = Backoff::fixed(Duration::from_secs(random.u64(0..90)));
            let job = jobs.enqueue(act).attempts(random.u32(1..4));
            let job = job.backoff(backoff).expires_in(10 * MINUTE);
            job.await.expect("it is stored");
        }
        let ids: Vec<JobId> = before.keys().copied().collect();
        if let Some(id) = random.choice(ids.iter()) {
            // Some of these changes come too late or too early, as they do.
            let _ = match random.bool() {
                true => jobs.cancel(*id).await.map(drop),
                false => jobs.retry(*id, When::Now).await.map(drop),
            };
        }
        if round % 3 == 0 {
            let vanishing = claim("vanishing", random.usize(1..3));
            subject.storage.claim(vanishing).await.expect("a claim");
            check(&subject, &mut before, &mut seen).await;
        }
        stepper.drain().await.expect("a drain");
        check(&subject, &mut before, &mut seen).await;
        subject
            .advance(Duration::from_secs(random.u64(1..90)))
            .await;
        sweeper::sweep(&*subject.storage).await.expect("a sweep");
        check(&subject, &mut before, &mut seen).await;
        let now = subject.now().await;
        for job in all_jobs(&*subject.storage).await {
            let over = job.lease.is_some_and(|lease| lease.expires <= now);
            assert!(!over, "job {} runs beyond its lease", job.id);
        }
    }
    assert_eq!(seen.len(), State::ALL.len(), "only {seen:?} were reached");
}

/// Looks at each job, and at where it was when last looked at.
async fn check(
    subject: &Subject,
    before: &mut BTreeMap<JobId, State>,
    seen: &mut BTreeSet<String>,
) {
    for job in all_jobs(&*subject.storage).await {
        let state = job.state;
        let runs = state == State::Running;
        assert_eq!(job.lease.is_some(), runs, "{state} with {:?}", job.lease);
        assert_eq!(job.ended_at.is_some(), state.is_finished(), "{job:#?}");
        assert_eq!(job.dead_reason.is_some(), state == State::Dead, "{job:#?}");
        assert!(job.charged <= job.max_attempts, "{job:#?}");
        let was = before.insert(job.id, state).unwrap_or(State::Pending);
        assert!(can_reach(was, state), "from {was} to {state}");
        seen.insert(state.to_string());
    }
}

/// Whether one can get from one state to another in a few legal steps, as
/// between two looks several may be made.
fn can_reach(from: State, to: State) -> bool {
    let through = |middle: &State| from.may_become(*middle) && middle.may_become(to);
    from == to || from.may_become(to) || State::ALL.iter().any(through)
}
