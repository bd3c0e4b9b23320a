//! Storages that behave strangely: they answer late, carry out calls twice, or
//! never answer; and clocks that jump.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Details, JobId, State, Storage};
use majordomo_engine::Client;

use super::tasks::{Act, App, PATIENCE, client, details, until, worker};
use crate::faulty::{Calls, Faulty, Late, Trouble, Verbs};
use crate::subject::Subject;

const QUICK: Duration = Duration::from_millis(5);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// So short that a call without an answer is given up after a second.
const LEASE: Duration = Duration::from_secs(3);

/// A storage, the same one with its oddities, and a job's every trace.
struct Scene {
    subject: Subject,
    faulty: Arc<Faulty<dyn Storage>>,
    app: Arc<App>,
    /// Enqueues without any trouble.
    jobs: Client,
    /// Has all the trouble.
    troubled: Client,
}

impl Scene {
    fn on(subject: Subject) -> Self {
        let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 17));
        Self {
            app: App::new(),
            jobs: client(&subject.storage),
            troubled: client(&(Arc::clone(&faulty) as Arc<dyn Storage>)),
            faulty,
            subject,
        }
    }

    async fn enqueue(&self, count: usize, act: impl Fn(u64) -> Act) -> Vec<JobId> {
        let acts = (0..count).map(|number| act(number as u64));
        let stored = self.jobs.enqueue_many(acts).await;
        let handles = stored.expect("jobs are stored");
        handles.iter().map(|handle| handle.id()).collect()
    }

    async fn ended(&self, id: JobId) -> Details {
        let ended = |details: &Details| details.job.state.is_finished();
        until(&*self.subject.storage, id, ended).await
    }

    /// Like [`Self::ended`], while the clock goes on.
    async fn ended_in_time(&self, id: JobId) -> Details {
        let waiting = async {
            loop {
                let found = details(&*self.subject.storage, id).await;
                if found.job.state.is_finished() {
                    return found;
                }
                self.subject.advance(MINUTE).await;
                tokio::time::sleep(QUICK).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, waiting).await;
        ended.expect("a job ends in time")
    }

    /// Each of them is completed by its first attempt, and no other began.
    async fn all_ran_once(&self, ids: &[JobId]) {
        for id in ids {
            let job = self.ended(*id).await.job;
            assert_eq!(
                (job.state, job.charged, job.crashes, self.app.runs_of(*id)),
                (State::Completed, 0, 0, 1),
                "{job:#?}"
            );
        }
    }

    /// Waits until the calls so far are as wanted.
    async fn calls(&self, verbs: Verbs, wanted: impl Fn(Calls) -> bool) {
        let waiting = async {
            while !wanted(self.faulty.calls(verbs)) {
                tokio::time::sleep(QUICK).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let calls = self.faulty.calls(verbs);
        assert!(waited.is_ok(), "{verbs:?} never came to that: {calls:?}");
    }
}

fn twice() -> Trouble {
    Trouble {
        twice: 1.0,
        ..Trouble::default()
    }
}

fn never_arrives() -> Trouble {
    Trouble {
        never_arrives: 1.0,
        ..Trouble::default()
    }
}

fn never_answered() -> Trouble {
    Trouble {
        never_answered: 1.0,
        ..Trouble::default()
    }
}

/// The clock jumps a year ahead and two years back while jobs run and wait:
/// what runs goes on under its lease, and what is due runs.
pub(super) async fn r17_a_clock_that_jumps_either_way_loses_no_job(subject: Subject) {
    let scene = Scene::on(subject);
    let quick = worker(&scene.jobs, &scene.app)
        .heartbeat(QUICK)
        .sweep(QUICK);
    let mut running = quick.poll(QUICK).start().await.expect("a worker starts");
    let mut ids = scene.enqueue(3, |_| Act::Wait).await;
    scene.app.has_started(3).await;
    let later = scene.jobs.enqueue(Act::Return(0)).after(DAY).await;
    ids.push(later.expect("a job is stored").id());

    scene.subject.advance(YEAR).await;
    scene.all_ran_once(&ids[3..]).await;
    let now = scene.subject.now().await;
    for id in &ids[..3] {
        until(&*scene.subject.storage, *id, |details| {
            let lease = details.job.lease.as_ref();
            lease.is_some_and(|lease| lease.expires > now)
        })
        .await;
    }
    if scene.subject.turn_back(2 * YEAR) {
        ids.extend(scene.enqueue(3, Act::Return).await);
        scene.all_ran_once(&ids[3..]).await;
    }
    scene.app.gate.send_replace(true);
    scene.all_ran_once(&ids).await;
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// Every call takes a while on its way, and so does every answer.
pub(super) async fn r24_answers_that_come_late_cost_no_attempt(subject: Subject) {
    let scene = Scene::on(subject);
    let late = Late {
        from: Duration::ZERO,
        to: QUICK,
    };
    for verbs in Verbs::ALL {
        let trouble = Trouble {
            arrives_late: late,
            answered_late: late,
            ..Trouble::default()
        };
        scene.faulty.set(verbs, trouble);
    }
    let quick = worker(&scene.troubled, &scene.app).heartbeat(QUICK);
    let quick = quick.sweep(QUICK).concurrency(7);
    let mut running = quick.start().await.expect("a worker starts");
    let ids = scene.enqueue(200, Act::Return).await;
    scene.all_ran_once(&ids).await;
    let late = scene.faulty.calls(Verbs::Settle).late;
    assert!(late > 5, "the storage was not late enough to show anything");
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// Every write is carried out twice, and answered once.
pub(super) async fn r24_calls_that_are_carried_out_twice_lose_no_job(subject: Subject) {
    const JOBS: usize = 50;
    let scene = Scene::on(subject);
    for verbs in [Verbs::Insert, Verbs::Renew, Verbs::Settle, Verbs::Operate] {
        scene.faulty.set(verbs, twice());
    }
    let mut ids = Vec::new();
    for number in 0..JOBS as u64 {
        let enqueued = scene.troubled.enqueue(Act::Return(number)).await;
        let handle = enqueued.expect("a job is stored");
        assert!(handle.is_new());
        ids.push(handle.id());
    }
    // All at once, so that no claim in a call that settles twice finds any.
    let wide = worker(&scene.troubled, &scene.app).heartbeat(QUICK);
    let wide = wide.sweep(QUICK).concurrency(2 * JOBS);
    let mut running = wide.start().await.expect("a worker starts");
    scene.all_ran_once(&ids).await;
    assert!(scene.faulty.calls(Verbs::Insert).twice >= JOBS as u64);
    assert!(scene.faulty.calls(Verbs::Settle).twice > 0);
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// A claim is carried out twice, and the worker hears of one of them. The jobs
/// of the other wait until their lease is out, are given back without charge,
/// since nothing ever ran under it, and run.
pub(super) async fn r24_jobs_of_a_claim_that_nobody_heard_of_run_after_their_lease(
    subject: Subject,
) {
    let scene = Scene::on(subject);
    let storage = &*scene.subject.storage;
    let ids = scene.enqueue(60, Act::Return).await;
    scene.faulty.set(Verbs::Claim, twice());
    let narrow = worker(&scene.troubled, &scene.app).heartbeat(QUICK);
    let narrow = narrow.sweep(QUICK).poll(QUICK).concurrency(4);
    let mut running = narrow.start().await.expect("a worker starts");
    scene.calls(Verbs::Claim, |calls| calls.twice > 0).await;
    scene.faulty.set(Verbs::Claim, Trouble::default());
    for id in &ids {
        until(storage, *id, |details| details.job.state != State::Pending).await;
    }
    // Whatever was claimed and heard of has begun once it has asked again.
    let claims = scene.faulty.calls(Verbs::Claim).made;
    scene
        .calls(Verbs::Claim, |calls| calls.made > claims + 2)
        .await;
    let (heard, unheard): (Vec<_>, Vec<_>) =
        ids.into_iter().partition(|id| scene.app.runs_of(*id) > 0);
    scene.all_ran_once(&heard).await;
    assert!(!unheard.is_empty(), "every job was heard of");
    scene.subject.advance(DAY).await;
    for id in unheard {
        let job = scene.ended(id).await.job;
        assert_eq!((job.state, scene.app.runs_of(id)), (State::Completed, 1));
        assert_eq!(
            (job.charged, job.crashes),
            (0, 0),
            "nothing ever ran under that lease"
        );
    }
    running.stop();
    running.wait().await.expect("the worker ends");
}

/// Claims are never answered, whether they were carried out or not: the worker
/// gives them up, gives back what it never heard of, and runs it.
pub(super) async fn r24_a_claim_that_is_never_answered_costs_no_attempt(subject: Subject) {
    let scene = Scene::on(subject);
    for trouble in [never_arrives(), never_answered()] {
        let before = scene.faulty.calls(Verbs::Claim);
        scene.faulty.set(Verbs::Claim, trouble);
        let ids = scene.enqueue(3, Act::Return).await;
        let leased = worker(&scene.troubled, &scene.app)
            .lease(LEASE)
            .heartbeat(QUICK);
        let mut running = leased.start().await.expect("a worker starts");
        // That it asks again shows that it gave up the first one.
        scene
            .calls(Verbs::Claim, |calls| calls.hung >= before.hung + 2)
            .await;
        scene.faulty.set(Verbs::Claim, Trouble::default());
        scene.all_ran_once(&ids).await;
        running.stop();
        running.wait().await.expect("the worker ends");
    }
}

/// Neither the write of an ending nor a heartbeat is answered: each is given up
/// and tried again, the lease is kept, and the handler runs once.
pub(super) async fn r24_an_ending_and_a_heartbeat_that_are_never_answered_cost_no_attempt(
    subject: Subject,
) {
    let scene = Scene::on(subject);
    for trouble in [never_arrives(), never_answered()] {
        scene.app.gate.send_replace(false);
        let started = scene.app.all_runs();
        let ids = scene.enqueue(3, |_| Act::Wait).await;
        let leased = worker(&scene.troubled, &scene.app)
            .lease(LEASE)
            .heartbeat(QUICK);
        let mut running = leased.start().await.expect("a worker starts");
        scene.app.has_started(started + 3).await;
        for verbs in [Verbs::Renew, Verbs::Settle] {
            let before = scene.faulty.calls(verbs);
            scene.faulty.set(verbs, trouble);
            // Only now are there endings to be written.
            scene.app.gate.send_replace(verbs == Verbs::Settle);
            scene
                .calls(verbs, |calls| calls.hung >= before.hung + 2)
                .await;
            scene.faulty.set(verbs, Trouble::default());
        }
        scene.all_ran_once(&ids).await;
        running.stop();
        running.wait().await.expect("the worker ends");
    }
}

/// Nothing is answered any more: a worker that is told to stop does.
pub(super) async fn r24_a_worker_whose_storage_never_answers_still_stops(subject: Subject) {
    let scene = Scene::on(subject);
    let ids = scene.enqueue(2, |_| Act::Wait).await;
    let leased = worker(&scene.troubled, &scene.app)
        .heartbeat(QUICK)
        .sweep(QUICK);
    let leased = leased.drain(QUICK).grace(QUICK);
    let mut running = leased.start().await.expect("a worker starts");
    scene.app.has_started(2).await;
    for verbs in Verbs::ALL {
        scene.faulty.set(verbs, never_answered());
    }
    running.stop();
    let ended = tokio::time::timeout(PATIENCE, running.wait()).await;
    ended.expect("it stops").expect("the worker ends");
    scene.app.gate.send_replace(true);
    let other = worker(&scene.jobs, &scene.app).sweep(QUICK).poll(QUICK);
    let mut other = other.start().await.expect("a worker starts");
    for id in ids {
        let found = scene.ended_in_time(id).await;
        assert_eq!(found.job.state, State::Completed);
    }
    other.stop();
    other.wait().await.expect("the worker ends");
}
