//! Workers that vanish. Here a process that vanishes is one that claims and
//! never comes back; the crash rig kills real ones.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{
    Beat, Claim, DeadReason, Ending, EndingKind, Progress, Renewed, Settled, State, Storage, Task,
    Verdict,
};
use majordomo_engine::CancelReason;
use majordomo_engine::sweeper::sweep;

use super::tasks::{Act, App, all_jobs, client, details, until, worker};
use crate::faulty::{Chance, Faulty, Verbs};
use crate::samples::beat;
use crate::subject::Subject;

const LEASE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_secs(1);

pub(super) fn claim(worker: &str, count: usize) -> Claim {
    Claim {
        worker: worker.to_owned(),
        queues: vec![("default".to_owned(), count)],
        tasks: vec![Act::NAME.to_owned()],
        lease: LEASE,
        suspects: 1,
    }
}

/// A worker is cut off from the storage; its job is taken over and completed by
/// another one. When it comes back it is told, and nothing of it is accepted.
pub(super) async fn r05_an_attempt_whose_lease_was_taken_over_can_change_nothing(subject: Subject) {
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 5));
    let cut_off = client(&(Arc::clone(&faulty) as Arc<dyn Storage>));
    let jobs = client(&subject.storage);
    let (old_app, new_app) = (App::new(), App::new());
    let old = worker(&cut_off, &old_app)
        .name("old")
        .heartbeat(Duration::from_millis(5))
        .sweep(LEASE);
    let mut old = old
        .grace(Duration::ZERO)
        .start()
        .await
        .expect("a worker starts");
    let id = jobs.enqueue(Act::Wait).await.expect("a job is stored").id();
    old_app.has_started(1).await;
    for verbs in Verbs::ALL {
        faulty.set(
            verbs,
            Chance {
                refused: 1.0,
                lost: 0.0,
            },
        );
    }
    let stale = details(&*subject.storage, id)
        .await
        .job
        .lease
        .expect("it runs under a lease");
    // A renewal that was under way may still arrive, so go far beyond it.
    subject.advance(3 * LEASE).await;
    new_app.gate.send_replace(true);
    let new = worker(&jobs, &new_app)
        .name("new")
        .stepper()
        .expect("a worker");
    // Its wait counts from the end of the lease, so it runs in the same step.
    let step = new.step().await.expect("a step");
    assert_eq!((step.lost, step.count(EndingKind::Completed)), (1, 1));
    let before = details(&*subject.storage, id).await;

    let storage = &subject.storage;
    let mut progress = beat(&stale);
    progress.progress = Some(Progress::new(99.0, "stale"));
    assert_eq!(
        storage.renew(vec![progress]).await.expect("a reply"),
        [Renewed::Lost]
    );
    for verdict in [
        Verdict::Completed,
        Verdict::Snooze { due: STEP.into() },
        Verdict::Cancelled,
        Verdict::Release,
    ] {
        let mut ending = Ending::new(stale.clone(), verdict);
        ending.output = Some("stale".into());
        assert_eq!(
            storage.settle(vec![ending], None).await.expect("a reply").0,
            [Settled::Stale]
        );
    }
    faulty.heal();
    let told = async {
        while old_app.told.lock().expect("no panic").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(
        tokio::time::timeout(super::tasks::PATIENCE, told)
            .await
            .is_ok(),
        "the old worker was never told"
    );
    old.stop();
    old.wait().await.expect("the old worker ends");
    assert_eq!(
        *old_app.told.lock().expect("no panic"),
        [(id, CancelReason::LeaseLost)]
    );
    let after = details(&*subject.storage, id).await;
    assert_eq!(after, before, "nothing of the old attempt was written");
    let kinds: Vec<_> = after
        .attempts
        .iter()
        .map(|attempt| (attempt.worker.as_str(), attempt.ending))
        .collect();
    assert_eq!(
        kinds,
        [
            ("old", Some(EndingKind::Lost)),
            ("new", Some(EndingKind::Completed))
        ]
    );
}

/// 1,000 jobs, one of which takes its process with it each time. Processes run
/// eight at once; each that dies is replaced.
pub(super) async fn r09_a_job_that_kills_its_process_three_times_is_poison_and_its_neighbours_are_not(
    subject: Subject,
) {
    const JOBS: usize = 1000;
    let jobs = client(&subject.storage);
    let storage = &*subject.storage;
    let handles = jobs
        .enqueue_many((0..JOBS).map(|n| Act::Return(n as u64)))
        .await
        .expect("jobs are stored");
    let poison = handles[JOBS / 2].id();
    let (mut kills, mut process, mut idle) = (0, 0, 0);
    while idle < 3 {
        let claimed = storage
            .claim(claim(&format!("process-{process}"), 8))
            .await
            .expect("a claim")
            .jobs;
        assert!(
            claimed
                .iter()
                .filter(|(details, _)| details.job.is_suspect())
                .count()
                <= 1
        );
        if claimed.iter().any(|(details, _)| details.job.id == poison) {
            kills += 1;
            process += 1;
            // Some leases were renewed later than others, so they do not run out together.
            subject.advance(LEASE / 3).await;
            let renewed = claimed.iter().skip(claimed.len() / 2);
            let renewed = renewed
                .map(|(_, lease)| Beat::new(lease.clone(), LEASE))
                .collect();
            storage.renew(renewed).await.expect("beats are written");
            subject.advance(LEASE * 2 / 3).await;
            let early = sweep(storage).await.expect("a sweep");
            assert_eq!(
                early.lost, 0,
                "a process is judged once all of its leases have run out"
            );
            subject.advance(LEASE / 3).await;
            sweep(storage).await.expect("a sweep");
            continue;
        }
        idle = if claimed.is_empty() { idle + 1 } else { 0 };
        if claimed.is_empty() {
            // Let every backoff pass.
            subject.advance(Duration::from_secs(2 * 3600)).await;
        }
        let endings = claimed
            .into_iter()
            .map(|(_, lease)| Ending::new(lease, Verdict::Completed))
            .collect();
        storage
            .settle(endings, None)
            .await
            .expect("endings are written");
    }
    let all = all_jobs(storage).await;
    let count = |state| all.iter().filter(|job| job.state == state).count();
    assert_eq!(
        (kills, count(State::Dead), count(State::Completed)),
        (3, 1, JOBS - 1)
    );
    let dead = details(storage, poison).await.job;
    assert_eq!(
        (dead.dead_reason, dead.crashes),
        (Some(DeadReason::Poison), 3)
    );
}

/// Nothing runs again while the lease lasts; everything does once it is over
/// and swept.
pub(super) async fn r13_gx2_the_jobs_of_a_vanished_worker_run_again_after_lease_and_sweep(
    subject: Subject,
) {
    const JOBS: usize = 100;
    let jobs = client(&subject.storage);
    let tasks = (0..JOBS).map(|n| Act::Return(n as u64));
    let handles = jobs.enqueue_many(tasks).await.expect("jobs are stored");
    let vanished = subject
        .storage
        .claim(claim("vanished", JOBS))
        .await
        .expect("a claim");
    assert_eq!(vanished.jobs.len(), JOBS);
    let app = App::new();
    let rescuer = worker(&jobs, &app)
        .name("rescuer")
        .concurrency(JOBS)
        .stepper()
        .expect("a worker");
    subject.advance(LEASE - STEP).await;
    assert_eq!(rescuer.drain().await.expect("a drain").ran(), 0);
    subject.advance(STEP).await;
    assert_eq!(rescuer.step().await.expect("a step").lost, JOBS as u64);
    // The first wait of the default backoff is 5 s, give or take a tenth.
    subject.advance(6 * STEP).await;
    assert_eq!(
        rescuer
            .drain()
            .await
            .expect("a drain")
            .count(EndingKind::Completed),
        JOBS
    );
    for handle in handles {
        let found = until(&*subject.storage, handle.id(), |details| {
            details.job.state == State::Completed
        })
        .await;
        let kinds: Vec<_> = found
            .attempts
            .iter()
            .map(|attempt| attempt.ending)
            .collect();
        assert_eq!(kinds, [Some(EndingKind::Lost), Some(EndingKind::Completed)]);
        assert_eq!((found.job.charged, found.job.crashes), (1, 1));
    }
}
