//! Old jobs: what is pruned, and what never is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use majordomo_core::{
    By, DeadReason, Filter, Hold, Inserted, JobId, NewJob, Order, Query, Repeat, State, Storage,
    Until, Verdict, Width, time,
};
use majordomo_engine::pruner::prune;
use majordomo_engine::{Keep, Pruned, Retention};

use super::tasks::{Act, App, PATIENCE, all_jobs, client, until, worker};
use crate::faulty::{Chance, Faulty, Verbs};
use crate::samples::{self, MINUTE};
use crate::subject::Subject;

const HOUR: Duration = Duration::from_secs(3600);

/// Inserts these jobs and ends each so, as the only ones that are due.
async fn finish(subject: &Subject, jobs: Vec<NewJob>, verdict: &Verdict) -> Vec<JobId> {
    let (ids, count) = (samples::ids(&jobs), jobs.len());
    let mut tasks: Vec<_> = jobs.iter().map(|job| job.task.clone()).collect();
    tasks.sort();
    tasks.dedup();
    let storage = &subject.storage;
    let inserted = storage.insert(vec![jobs], Repeat::First).await;
    let inserted = inserted.expect("an insert").remove(0).expect("a group");
    assert!(inserted.iter().all(|inserted| *inserted == Inserted::New));
    let claim = majordomo_core::Claim {
        tasks,
        ..samples::claim(count)
    };
    let claimed = storage.claim(claim).await.expect("a claim").jobs;
    assert_eq!(claimed.len(), count);
    let endings = claimed
        .iter()
        .map(|(_, lease)| samples::ending(lease, verdict.clone()));
    let endings = endings.collect();
    storage.settle(endings, None).await.expect("they are ended");
    ids
}

async fn left(storage: &dyn Storage) -> BTreeSet<JobId> {
    let jobs = all_jobs(storage).await;
    jobs.into_iter().map(|job| job.id).collect()
}

/// Waits until the job is the only one that runs.
async fn only_runs(storage: &dyn Storage, id: JobId) {
    let running = Filter::all().state(State::Running);
    let wait = async {
        loop {
            let page = storage.find(&running, Order::default(), None, 2).await;
            let page = page.expect("jobs are listed");
            if page.items.len() == 1 && page.items[0].id == id {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "other jobs go on running");
}

/// Time flies while jobs are enqueued, run, fail and wait, and several pruners
/// are at work: what goes has ended long enough ago, all else stays and runs.
pub(super) async fn r27_pruning_loses_no_job_while_jobs_are_enqueued_and_run(subject: Subject) {
    const ROUNDS: u64 = 25;
    const QUICK: u64 = 40;
    const SLOTS: usize = 64;
    let retention = Retention::every(HOUR).dead(2 * HOUR);
    let jobs = client(&subject.storage);
    let app = App::new();
    let mut running = worker(&jobs, &app)
        .concurrency(SLOTS)
        .lease(48 * HOUR)
        .retention(retention.clone())
        .prune_every(Duration::from_millis(2))
        .start()
        .await
        .expect("a worker starts");
    let stop = Arc::new(AtomicBool::new(false));
    let mut pruners = Vec::new();
    for _ in 0..3 {
        let (node, retention, stop) = (subject.node().await, retention.clone(), Arc::clone(&stop));
        pruners.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                prune(&*node, &retention).await.expect("a prune");
                tokio::task::yield_now().await;
            }
        }));
    }
    let stored = "a job is stored";
    let held = jobs.enqueue(Act::Wait).await.expect(stored).id();
    let later = jobs.enqueue(Act::Return(1)).after(9999 * HOUR);
    let later = later.await.expect(stored).id();
    let mut enqueued = 1;
    app.has_started(enqueued).await;
    for _ in 0..ROUNDS {
        let quick = jobs.enqueue_many((0..QUICK).map(Act::Return)).await;
        enqueued += quick.expect(stored).len();
        let failing = || jobs.enqueue(Act::Fail).attempts(1);
        failing().await.expect(stored);
        failing().retention(30 * MINUTE).await.expect(stored);
        enqueued += 2;
        app.has_started(enqueued).await;
        subject.advance(10 * MINUTE).await;
    }
    prune(&*subject.storage, &retention).await.expect("a prune");
    // Of what had started after half the rounds, all but a slotful had ended, two hours ago.
    let kept = left(&*subject.storage).await.len();
    assert!(kept < enqueued / 2 + 2 * SLOTS, "{kept} of {enqueued} left");

    only_runs(&*subject.storage, held).await;
    subject.advance(3 * HOUR).await;
    stop.store(true, Ordering::SeqCst);
    for pruner in pruners {
        pruner.await.expect("a pruner ends");
    }
    prune(&*subject.storage, &retention).await.expect("a prune");
    assert_eq!(
        left(&*subject.storage).await,
        BTreeSet::from([held, later]),
        "what is unfinished stays, and what is old goes"
    );
    assert_eq!(app.all_runs(), enqueued, "each job ran, and ran once");
    let finished = |details: &majordomo_core::Details| details.job.state == State::Completed;
    running.stop();
    app.gate.send_replace(true);
    running.wait().await.expect("the worker ends");
    until(&*subject.storage, held, finished).await;
}

/// A prune with much to do is stopped on its way, and a claim is made meanwhile.
pub(super) async fn r27_claims_come_through_in_the_middle_of_a_prune(subject: Subject) {
    const OLD: u64 = 2000;
    for _ in 0..2 {
        let jobs = samples::jobs(OLD as usize / 2);
        finish(&subject, jobs, &Verdict::Completed).await;
    }
    subject.advance(HOUR).await;
    let waiting = vec![vec![samples::job()]];
    let stored = subject.storage.insert(waiting, Repeat::First).await;
    stored.expect("an insert").remove(0).expect("a group");

    let (storage, retention) = (
        Faulty::new(Arc::clone(&subject.storage), 27),
        Retention::every(HOUR),
    );
    let calls = || storage.calls(Verbs::Operate).made;
    let mut pruning = std::pin::pin!(prune(&storage, &retention));
    while calls() < 3 {
        tokio::select! {
            biased;
            done = &mut pruning => panic!("all in {} calls: {done:?}", calls()),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    let claim = subject.storage.claim(samples::claim(1));
    let claimed = tokio::time::timeout(PATIENCE, claim).await;
    let claimed = claimed.expect("the claim is answered").expect("a claim");
    assert_eq!(claimed.jobs.len(), 1);
    let pruned = pruning.await.expect("a prune");
    assert_eq!(pruned, Pruned { removed: OLD });
    assert_eq!(left(&*subject.storage).await.len(), 1);
}

/// One job of each state, of a task that is named and one that is not, with
/// and without a retention of its own; the pruner comes every half hour.
pub(super) async fn r27_g113_each_finished_job_is_kept_as_long_as_it_its_task_or_its_state_says(
    subject: Subject,
) {
    let retention = Retention::every(2 * HOUR)
        .dead(4 * HOUR)
        .expired(Keep::Forever)
        .task("brief", Retention::every(HOUR).dead(3 * HOUR))
        .task("lasting", Retention::forever());
    retention.check().expect("a retention");
    let dead = Verdict::Dead {
        reason: DeadReason::Permanent,
    };
    let verdicts = [
        Verdict::Completed,
        dead,
        Verdict::Cancelled,
        Verdict::Expired,
    ];
    let mut ids = Vec::new();
    for verdict in &verdicts {
        let mut jobs = Vec::new();
        for task in ["brief", "lasting", "plain"] {
            for own in [None, Some(HOUR / 2), Some(5 * HOUR)] {
                jobs.push(NewJob {
                    retention: own,
                    ..samples::job_of(task)
                });
            }
        }
        ids.extend(finish(&subject, jobs, verdict).await);
    }
    let unfinished = NewJob {
        retention: Some(Duration::ZERO),
        ..samples::job()
    };
    let unfinished_id = unfinished.id;
    let group = vec![vec![unfinished]];
    let inserted = subject.storage.insert(group, Repeat::First).await;
    inserted.expect("an insert").remove(0).expect("a group");
    let jobs = all_jobs(&*subject.storage).await;
    assert_eq!(jobs.len(), ids.len() + 1);
    for _ in 0..12 {
        subject.advance(HOUR / 2).await;
        prune(&*subject.storage, &retention).await.expect("a prune");
        let now = subject.now().await;
        let expected: BTreeSet<JobId> = jobs
            .iter()
            .filter(|job| !retention.is_past(job, now))
            .map(|job| job.id)
            .collect();
        assert_eq!(left(&*subject.storage).await, expected);
    }
    let kept = all_jobs(&*subject.storage).await;
    // Without an own retention: those of the lasting task, and the expired plain one.
    assert_eq!(kept.len(), 4 + 1 + 1);
    assert!(kept.iter().any(|job| job.id == unfinished_id));
}

/// More old jobs than go in one call; a pruner that is dropped on the way, one
/// whose call fails, and then several at once.
pub(super) async fn r27_pruners_at_once_that_fail_or_die_remove_each_old_job_once(
    subject: Subject,
) {
    const OLD: usize = 4000;
    let retention = Retention::every(HOUR);
    for retention in [None, Some(HOUR), None, Some(HOUR)] {
        let job = |_| NewJob {
            retention,
            ..samples::job()
        };
        let jobs = (0..OLD / 4).map(job).collect();
        finish(&subject, jobs, &Verdict::Completed).await;
    }
    subject.advance(HOUR).await;
    let young = finish(&subject, samples::jobs(10), &Verdict::Completed).await;

    tokio::select! {
        biased;
        done = prune(&*subject.storage, &retention) => panic!("all in one go: {done:?}"),
        () = tokio::task::yield_now() => {}
    }
    let lost = Chance {
        refused: 0.0,
        lost: 1.0,
    };
    let faulty = Faulty::new(Arc::clone(&subject.storage), 27).with(Verbs::Operate, lost);
    prune(&faulty, &retention)
        .await
        .expect_err("a reply is lost");
    let before = left(&*subject.storage).await.len();
    assert!((OLD / 2..OLD).contains(&before), "{before} jobs left");

    let mut pruners = Vec::new();
    for _ in 0..4 {
        let (node, retention) = (subject.node().await, retention.clone());
        pruners.push(tokio::spawn(async move {
            let pruned = prune(&*node, &retention).await;
            pruned.expect("a prune").removed
        }));
    }
    let mut removed = 0;
    for pruner in pruners {
        removed += pruner.await.expect("a pruner ends");
    }
    assert_eq!(removed, (before - young.len()) as u64, "each goes once");
    assert_eq!(left(&*subject.storage).await, young.into_iter().collect());
    let again = prune(&*subject.storage, &retention).await;
    assert_eq!(again.expect("a prune"), Pruned::default());
}

/// A key held for a time goes on being held, and the statistics go on counting.
pub(super) async fn r27_what_a_pruned_job_held_and_counted_stays(subject: Subject) {
    let holding = || NewJob {
        holds: vec![
            Hold::new("for a day").until(Until::For(24 * HOUR)),
            Hold::new("until finished"),
        ],
        ..samples::job()
    };
    let from = subject.now().await;
    let first = finish(&subject, vec![holding()], &Verdict::Completed).await[0];
    subject.advance(HOUR).await;
    let pruned = prune(&*subject.storage, &Retention::every(HOUR)).await;
    assert_eq!(pruned.expect("a prune"), Pruned { removed: 1 });
    let again = async || {
        let inserted = subject
            .storage
            .insert(vec![vec![holding()]], Repeat::First)
            .await;
        inserted.expect("an insert").remove(0).expect("a group")[0]
    };
    assert_eq!(again().await, Inserted::Existing(first));
    let query = Query {
        by: By::All,
        from,
        to: time::after(from, 24 * HOUR),
        width: Width::Day,
    };
    let series = subject.storage.series(&query).await.expect("statistics");
    let completed: u64 = series.iter().map(|bucket| bucket.tally.completed).sum();
    assert_eq!(completed, 1);
    subject.advance(23 * HOUR).await;
    assert_eq!(again().await, Inserted::New);
}

/// A worker whose storage refuses every removal for a while, next to one that
/// removes nothing by itself.
pub(super) async fn r27_a_worker_prunes_by_itself_and_goes_on_after_failures(subject: Subject) {
    let refused = Chance {
        refused: 1.0,
        lost: 0.0,
    };
    let faulty = Arc::new(Faulty::new(Arc::clone(&subject.storage), 27));
    let old = finish(&subject, samples::jobs(3), &Verdict::Completed).await;
    let own = NewJob {
        retention: Some(2 * HOUR),
        ..samples::job()
    };
    finish(&subject, vec![own], &Verdict::Completed).await;
    let jobs = client(&(Arc::clone(&faulty) as Arc<dyn Storage>));
    let start = async |retention| {
        let worker = worker(&jobs, &App::new())
            .retention(retention)
            .prune_every(Duration::from_millis(2));
        worker.start().await.expect("a worker starts")
    };
    let becomes = async |what: &str, holds: &(dyn Fn(usize) -> bool + Sync)| {
        let wait = async {
            while !holds(left(&*subject.storage).await.len()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "never: {what}");
    };

    let mut running = start(Retention::every(HOUR)).await;
    faulty.set(Verbs::Operate, refused);
    subject.advance(HOUR).await;
    let tries = || faulty.calls(Verbs::Operate).refused;
    becomes("it tries again", &|_| tries() > 3).await;
    assert_eq!(left(&*subject.storage).await.len(), old.len() + 1);
    faulty.heal();
    becomes("it removes what is old", &|left| left == 1).await;
    running.stop();
    running.wait().await.expect("the worker ends");

    let forever = finish(&subject, samples::jobs(2), &Verdict::Completed).await;
    let mut running = start(Retention::forever()).await;
    subject.advance(9999 * HOUR).await;
    let all_but_own = |left| left == forever.len();
    becomes("the one with a retention of its own goes", &all_but_own).await;
    let calls = || faulty.calls(Verbs::Operate).made;
    let before = calls();
    becomes("it prunes again", &|_| calls() > before + 2).await;
    assert_eq!(left(&*subject.storage).await, forever.into_iter().collect());
    running.stop();
    running.wait().await.expect("the worker ends");
}
