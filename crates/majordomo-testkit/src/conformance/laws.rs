//! Trials of the laws that belong to no single verb: the storage's time, its
//! name, its wakes, what it says about nothing; and the five sentences of the
//! suite that this one grew from, under their own names.

use std::time::Duration;

use majordomo_core::{
    Change, Changed, DeadReason, Filter, Lease, NewJob, Order, Refusal, Repeat, Settled, State,
    Verdict, When,
};

use super::steps::{assert_ends, must, only};
use crate::samples::{LEASE, LOST, MINUTE, RETRY, claim, claim_by, ending, job, jobs, sweep};
use crate::subject::Subject;

pub(super) async fn the_storages_time_is_whole_microseconds_and_never_goes_back(subject: Subject) {
    let mut before = subject.now().await;
    for _ in 0..5 {
        assert_eq!(before.as_nanosecond() % 1000, 0);
        subject.advance(Duration::from_micros(1)).await;
        let now = subject.now().await;
        assert!(now >= before + Duration::from_micros(1));
        before = now;
    }
}

pub(super) async fn gx29_one_clock_decides_everything(subject: Subject) {
    let (lease, window) = subject.timed(subject.start(job())).await;
    let running = subject.job(lease.job).await;
    let claimed = subject.claim(claim(1)).await;
    assert!(claimed.now >= window.to);
    assert!(window.holds(running.created_at) && window.holds(running.started_at));
    assert!(window.after(LEASE).holds(lease.expires));
    let node = subject.node().await;
    let there = must(node.now()).await;
    assert!(there >= claimed.now && there <= subject.now().await);
}

pub(super) async fn a_storage_has_a_name_and_says_what_it_survives(subject: Subject) {
    assert!(!subject.storage.name().is_empty());
    let node = subject.node().await;
    assert_eq!(node.name(), subject.storage.name());
    assert_eq!(node.durability(), subject.storage.durability());
}

pub(super) async fn another_handle_sees_what_was_written(subject: Subject) {
    let node = subject.node().await;
    let id = subject.add(job()).await;
    let seen = must(node.claim(claim(1))).await;
    let lease = only(seen.jobs).1;
    assert_eq!(lease.job, id);
    subject.end(&lease, Verdict::Completed).await;
    let found = must(node.find(&Filter::all(), Order::default(), None, 10)).await;
    assert_eq!(only(found.items).state, State::Completed);
}

pub(super) async fn nothing_is_asked_and_nothing_is_answered(subject: Subject) {
    let storage = &subject.storage;
    assert!(must(storage.insert(vec![], Repeat::Again)).await.is_empty());
    assert_eq!(must(storage.renew(vec![])).await, []);
    assert_eq!(must(storage.settle(vec![], None)).await, (vec![], None));
    assert_eq!(
        must(storage.find(&Filter::all(), Order::default(), None, 10))
            .await
            .items,
        []
    );
    assert_eq!(
        must(storage.change(&Filter::all(), &Change::Cancel, None, 10))
            .await
            .items,
        []
    );
    assert_eq!(must(storage.remove(&Filter::all(), 10)).await, 0);
    assert_eq!(must(storage.list_documents("", None, 10)).await.items, []);
    let claimed = must(storage.claim(claim(5))).await;
    assert_eq!((claimed.jobs, claimed.next_due), (vec![], None));
}

pub(super) async fn an_insert_wakes_a_listener(subject: Subject) {
    let Some(mut wakes) = subject.storage.wakes() else {
        return;
    };
    subject.add(job()).await;
    // The bound only turns a missing wake into a failure instead of a hang.
    let woken = tokio::time::timeout(Duration::from_secs(60), async {
        while !wakes.next().await.work {}
    });
    assert!(woken.await.is_ok(), "an insert wakes nobody");
}

pub(super) async fn g39_concurrent_claims_are_disjoint(subject: Subject) {
    let id = subject.add_all(jobs(100)).await;
    let mut claiming = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let node = subject.node().await;
        claiming.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let claimed = must(node.claim(claim_by(&format!("worker-{worker}"), 7))).await;
                if claimed.jobs.is_empty() {
                    return taken;
                }
                taken.extend(claimed.jobs.into_iter().map(|(_, lease)| lease.job));
                assert_ends(&taken);
            }
        });
    }
    let mut taken = claiming.join_all().await.concat();
    taken.sort();
    assert_eq!(taken, id, "every job is claimed by exactly one");
}

pub(super) async fn g39_an_expired_claim_is_recoverable(subject: Subject) {
    let lost = subject.start(job()).await;
    subject.advance(LEASE).await;
    let expired = subject
        .find(&Filter {
            lease_expired: true,
            ..Filter::all()
        })
        .await;
    let seen: Lease = only(expired).lease.expect("a running job has a lease");
    assert_eq!(seen.token, lost.token);
    assert_eq!(
        subject.settle(sweep(&seen, LOST)).await,
        Settled::Applied(State::Pending)
    );
    let again = subject.take_by("another").await;
    assert_eq!((again.job, again.token), (lost.job, 2));
    subject.end(&again, Verdict::Completed).await;
}

pub(super) async fn g39_completed_and_expired_jobs_are_excluded(subject: Subject) {
    let completed = subject.finish(job(), Verdict::Completed).await;
    let expired = subject
        .add(NewJob {
            expires: Some(When::In(MINUTE)),
            ..job()
        })
        .await;
    subject.advance(MINUTE).await;
    for _ in 0..2 {
        assert_eq!(subject.claim_ids(claim(10)).await, []);
    }
    assert_eq!(subject.job(completed).await.state, State::Completed);
    assert_eq!(subject.job(expired).await.state, State::Expired);
}

pub(super) async fn g39_the_retry_limit_is_terminal(subject: Subject) {
    let id = subject
        .add(NewJob {
            max_attempts: 2,
            ..job()
        })
        .await;
    let lease = subject.take().await;
    subject.end(&lease, RETRY).await;
    let lease = subject.take().await;
    let running = subject.job(id).await;
    assert_eq!((running.charged, running.max_attempts), (1, 2));
    let failed = majordomo_core::Outcome::Failed(majordomo_core::ending::Again::ByPolicy);
    let verdict = majordomo_core::ending::decide(&running, &failed, None, subject.now().await, 0.5);
    assert_eq!(
        verdict,
        Verdict::Dead {
            reason: DeadReason::Exhausted
        }
    );
    subject.end(&lease, verdict).await;
    subject.advance(1000 * LEASE).await;
    assert_eq!(subject.claim_ids(claim(10)).await, []);
    let dead = subject.job(id).await;
    assert_eq!((dead.state, dead.charged, dead.token), (State::Dead, 2, 2));
}

pub(super) async fn g39_cancelling_is_idempotent(subject: Subject) {
    let id = subject.add(job()).await;
    assert_eq!(
        subject.change(id, Change::Cancel).await,
        Changed::Done(State::Cancelled)
    );
    let before = subject.details(id).await;
    subject.advance(MINUTE).await;
    for _ in 0..2 {
        let refused = Changed::Refused(Refusal::State(State::Cancelled));
        assert_eq!(subject.change(id, Change::Cancel).await, refused);
    }
    assert_eq!(subject.details(id).await, before);
    let lease = subject.start(job()).await;
    for _ in 0..3 {
        assert_eq!(
            subject.change(lease.job, Change::Cancel).await,
            Changed::Done(State::Running)
        );
    }
    assert_eq!(
        subject.settle(ending(&lease, Verdict::Cancelled)).await,
        Settled::Applied(State::Cancelled)
    );
}
