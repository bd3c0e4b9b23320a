//! A storage that is away for a while, under a whole worker.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{EndingKind, State, Storage};
use majordomo_engine::Client;

use super::tasks::{Act, App, all_jobs, client, details, until, worker};
use crate::faulty::{Chance, Faulty, Verbs};
use crate::subject::Subject;

const DOWN: Chance = Chance {
    refused: 1.0,
    lost: 0.0,
};
const UP: Chance = Chance {
    refused: 0.0,
    lost: 0.0,
};

fn faulty(subject: &Subject) -> (Arc<Faulty<dyn Storage>>, Client) {
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 24));
    let cut_off = client(&(Arc::clone(&faulty) as Arc<dyn Storage>));
    (faulty, cut_off)
}

fn set_all(faulty: &Faulty<dyn Storage>, chance: Chance) {
    for verbs in Verbs::ALL {
        faulty.set(verbs, chance);
    }
}

/// The first three tries to write an ending fail: the job is completed, and
/// its handler ran once.
pub(super) async fn g25_gx11_an_ending_is_written_in_the_end_and_the_handler_ran_once(
    subject: Subject,
) {
    let (faulty, cut_off) = faulty(&subject);
    let jobs = client(&subject.storage);
    let app = App::new();
    let mut running = worker(&cut_off, &app)
        .start()
        .await
        .expect("a worker starts");
    let id = jobs.enqueue(Act::Wait).await.expect("a job is stored").id();
    app.has_started(1).await;
    faulty.set(Verbs::Settle, DOWN);
    app.gate.send_replace(true);
    let failing = async {
        while faulty.calls(Verbs::Settle).refused < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(super::tasks::PATIENCE, failing)
        .await
        .expect("it is tried again");
    faulty.set(Verbs::Settle, UP);
    let found = until(&*subject.storage, id, |details| {
        details.job.state.is_finished()
    })
    .await;
    assert_eq!(
        (found.job.state, found.job.charged, app.runs_of(id)),
        (State::Completed, 0, 1)
    );
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// The storage is away for longer than a lease, and comes back: the worker that
/// held the leases renews them before anyone is blamed, itself least of all.
pub(super) async fn r24_an_outage_beyond_the_lease_charges_no_job_of_a_living_worker(
    subject: Subject,
) {
    let (faulty, cut_off) = faulty(&subject);
    let jobs = client(&subject.storage);
    let app = App::new();
    let quick = Duration::from_millis(5);
    let living = worker(&cut_off, &app).heartbeat(quick).sweep(quick);
    let mut running = living.start().await.expect("a worker starts");
    let ids: Vec<_> = jobs
        .enqueue_many((0..4).map(|_| Act::Wait))
        .await
        .expect("jobs are stored");
    app.has_started(4).await;
    for _ in 0..3 {
        set_all(&faulty, DOWN);
        let (before, failed) = (faulty.calls(Verbs::Renew).refused, 2);
        subject.advance(Duration::from_secs(60)).await;
        let failing = async {
            while faulty.calls(Verbs::Renew).refused < before + failed {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(super::tasks::PATIENCE, failing)
            .await
            .expect("it is tried again");
        set_all(&faulty, UP);
        let now = subject.now().await;
        for handle in &ids {
            until(&*subject.storage, handle.id(), |details| {
                details
                    .job
                    .lease
                    .as_ref()
                    .is_some_and(|lease| lease.expires > now)
            })
            .await;
        }
    }
    app.gate.send_replace(true);
    for handle in &ids {
        let found = until(&*subject.storage, handle.id(), |details| {
            details.job.state.is_finished()
        })
        .await;
        assert_eq!((found.job.state, found.job.token), (State::Completed, 1));
        assert_eq!((found.job.charged, found.job.crashes), (0, 0));
    }
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// A worker loses a job to a sweep and claims it again while the first attempt
/// still runs: the first one is told, the second one waits for its end, and
/// only the second one's ending counts.
pub(super) async fn r06_a_worker_that_claims_its_own_lost_job_never_runs_it_twice_at_once(
    subject: Subject,
) {
    let (faulty, cut_off) = faulty(&subject);
    let jobs = client(&subject.storage);
    let app = App::new();
    let alone = worker(&cut_off, &app).sweep(Duration::from_secs(3600));
    let mut running = alone.start().await.expect("a worker starts");
    let hog = jobs
        .enqueue(super::tasks::Hog)
        .await
        .expect("a job is stored")
        .id();
    app.has_started(1).await;
    faulty.set(Verbs::Renew, DOWN);
    subject.advance(Duration::from_secs(3600)).await;
    majordomo_engine::sweeper::sweep(&*subject.storage)
        .await
        .expect("a sweep by someone else");
    subject.advance(Duration::from_secs(3600)).await;
    faulty.set(Verbs::Renew, UP);
    until(&*subject.storage, hog, |details| details.job.token == 2).await;
    // Time in which nothing may happen.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        app.runs_of(hog),
        1,
        "the second attempt waits for the end of the first"
    );
    app.gate.send_replace(true);
    let found = until(&*subject.storage, hog, |details| {
        details.job.state.is_finished()
    })
    .await;
    assert_eq!(
        app.most_running.load(std::sync::atomic::Ordering::SeqCst),
        1
    );
    assert_eq!(app.runs_of(hog), 2);
    let kinds: Vec<_> = found
        .attempts
        .iter()
        .map(|attempt| attempt.ending)
        .collect();
    assert_eq!(kinds, [Some(EndingKind::Lost), Some(EndingKind::Completed)]);
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// One reply in five is lost, also those to claims: whatever was claimed unheard
/// is given back without charge, and every job is completed.
pub(super) async fn r24_lost_replies_cost_no_attempt(subject: Subject) {
    const JOBS: usize = 300;
    let (faulty, cut_off) = faulty(&subject);
    let jobs = client(&subject.storage);
    let app = App::new();
    jobs.enqueue_many((0..JOBS).map(|n| Act::Return(n as u64)))
        .await
        .expect("jobs are stored");
    let lossy = Chance {
        refused: 0.0,
        lost: 0.2,
    };
    faulty.set(Verbs::Claim, lossy);
    faulty.set(Verbs::Settle, lossy);
    let mut running = worker(&cut_off, &app)
        .concurrency(3)
        .start()
        .await
        .expect("a worker starts");
    for job in all_jobs(&*subject.storage).await {
        until(&*subject.storage, job.id, |details| {
            details.job.state.is_finished()
        })
        .await;
        let found = details(&*subject.storage, job.id).await;
        assert_eq!(
            (found.job.state, found.job.charged, found.job.crashes),
            (State::Completed, 0, 0)
        );
        assert_eq!(
            app.runs_of(job.id),
            1,
            "it was given back before it began, if at all"
        );
    }
    let lost = faulty.calls(Verbs::Claim).lost + faulty.calls(Verbs::Settle).lost;
    assert!(
        lost > 5,
        "the storage was not faulty enough to show anything"
    );
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// The storage is away while the worker drains, and comes back in time: what
/// was done is not lost with the shutdown.
pub(super) async fn r24_gx12_a_shutdown_after_an_outage_still_writes_what_was_done(
    subject: Subject,
) {
    let (faulty, cut_off) = faulty(&subject);
    let jobs = client(&subject.storage);
    let app = App::new();
    let draining = worker(&cut_off, &app).drain(Duration::from_millis(1));
    let mut running = draining.start().await.expect("a worker starts");
    let id = jobs.enqueue(Act::Wait).await.expect("a job is stored").id();
    app.has_started(1).await;
    faulty.set(Verbs::Settle, DOWN);
    app.gate.send_replace(true);
    let failing = async {
        while faulty.calls(Verbs::Settle).refused < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(super::tasks::PATIENCE, failing)
        .await
        .expect("it is tried again");
    faulty.heal();
    running.stop();
    running.wait().await.expect("the worker ends");
    assert_eq!(
        details(&*subject.storage, id).await.job.state,
        State::Completed
    );
}
