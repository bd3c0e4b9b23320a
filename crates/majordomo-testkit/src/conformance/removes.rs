//! Trials of `remove`: finished jobs go, and nothing else does.

use majordomo_core::{Between, Change, Filter, Inserted, NewJob, State, Verdict, limits};

use super::steps::must;
use crate::samples::{FINISHED, LEASE, MINUTE, claim, ending, job, job_of, jobs};
use crate::subject::Subject;

pub(super) async fn finished_jobs_are_removed_whole(subject: Subject) {
    for verdict in [Verdict::Completed, Verdict::Cancelled, Verdict::Expired] {
        let id = subject.finish(job(), verdict).await;
        assert_eq!(subject.remove(&Filter::id(id)).await, 1);
        assert_eq!(must(subject.storage.get(&[id])).await, [None]);
        assert_eq!(subject.remove(&Filter::id(id)).await, 0);
    }
    assert_eq!(subject.find_ids(&Filter::all()).await, []);
}

pub(super) async fn unfinished_jobs_are_passed_over(subject: Subject) {
    let running = subject.start(job()).await.job;
    let asked = subject.start(job()).await.job;
    subject.change(asked, Change::Cancel).await;
    subject.finish(job(), Verdict::Completed).await;
    let pending = subject.add(job()).await;
    let expected = [running, asked, pending];
    assert_eq!(subject.remove(&Filter::all()).await, 1);
    assert_eq!(subject.find_ids(&Filter::all()).await, expected);
    assert_eq!(
        subject.remove(&Filter::all().state(State::Running)).await,
        0
    );
    assert_eq!(
        subject.remove(&Filter::all().state(State::Pending)).await,
        0
    );
}

pub(super) async fn only_what_matches_is_removed(subject: Subject) {
    let completed = subject.finish(job(), Verdict::Completed).await;
    let cancelled = subject.finish(job(), Verdict::Cancelled).await;
    assert_eq!(
        subject.remove(&Filter::all().state(State::Cancelled)).await,
        1
    );
    assert_eq!(
        subject.find_ids(&Filter::all().finished()).await,
        [completed]
    );
    assert_eq!(subject.remove(&Filter::ids([cancelled])).await, 0);
    assert_eq!(subject.remove(&Filter::ids([])).await, 0);
    assert_eq!(subject.find_ids(&Filter::all()).await, [completed]);
}

pub(super) async fn g113_no_more_than_the_limit_go_at_once(subject: Subject) {
    let waiting = subject.add(job()).await;
    subject
        .change(
            waiting,
            Change::Reschedule {
                due: majordomo_core::When::In(crate::samples::LEASE),
            },
        )
        .await;
    let id = subject.add_all(jobs(5)).await;
    let leases = subject.claim(claim(5)).await.jobs;
    let endings = leases
        .iter()
        .rev()
        .map(|(_, lease)| ending(lease, Verdict::Completed))
        .collect();
    subject.settle_all(endings).await;
    assert_eq!(must(subject.storage.remove(&Filter::all(), 0)).await, 0);
    assert_eq!(must(subject.storage.remove(&Filter::all(), 2)).await, 2);
    let left = subject.find_ids(&Filter::all()).await;
    assert_eq!((left.len(), left[0]), (4, waiting));
    assert!(left[1..].iter().all(|left| id.contains(left)));
    assert_eq!(must(subject.storage.remove(&Filter::all(), 9)).await, 3);
}

pub(super) async fn a_removal_is_cut_to_a_page(subject: Subject) {
    subject.add_all(jobs(limits::PAGE + 1)).await;
    let first = must(
        subject
            .storage
            .change(&Filter::all(), &Change::Cancel, None, 1000),
    )
    .await;
    must(
        subject
            .storage
            .change(&Filter::all(), &Change::Cancel, first.next, 1000),
    )
    .await;
    assert_eq!(
        must(subject.storage.remove(&Filter::all(), usize::MAX)).await,
        limits::PAGE as u64
    );
    assert_eq!(
        must(subject.storage.remove(&Filter::all(), usize::MAX)).await,
        1
    );
}

pub(super) async fn an_emptied_queue_is_a_cancel_and_a_removal(subject: Subject) {
    subject.add_all(jobs(3)).await;
    let other = subject
        .add(majordomo_core::NewJob {
            queue: "other".to_owned(),
            ..job()
        })
        .await;
    let queue = Filter::all().queue(crate::samples::QUEUE);
    must(subject.storage.change(&queue, &Change::Cancel, None, 10)).await;
    assert_eq!(subject.remove(&queue).await, 3);
    assert_eq!(subject.find_ids(&Filter::all()).await, [other]);
}

pub(super) async fn the_id_of_a_removed_job_is_free_again(subject: Subject) {
    let new = job();
    subject.finish(new.clone(), Verdict::Completed).await;
    assert_eq!(subject.remove(&Filter::id(new.id)).await, 1);
    assert_eq!(subject.insert_again(new.clone()).await, Inserted::New);
    let fresh = subject.details(new.id).await;
    assert_eq!(
        (fresh.job.state, fresh.job.token, fresh.attempts),
        (State::Pending, 0, vec![])
    );
}

pub(super) async fn what_asked_to_be_kept_goes_by_its_own_retention(subject: Subject) {
    let keeping = |minutes: u32| NewJob {
        retention: Some(minutes * MINUTE),
        ..job()
    };
    let short = subject.finish(keeping(5), Verdict::Completed).await;
    let long = subject.finish(keeping(10), Verdict::Cancelled).await;
    let other = subject.finish(job(), Verdict::Completed).await;
    let unfinished = subject.add(keeping(5)).await;
    let past = Filter {
        past_retention: true,
        ..Filter::all()
    };
    subject.advance(4 * MINUTE).await;
    assert_eq!(subject.remove(&past).await, 0);
    subject.advance(MINUTE).await;
    assert_eq!(subject.remove(&past).await, 1);
    assert_eq!(must(subject.storage.get(&[short])).await, [None]);
    subject.advance(5 * MINUTE).await;
    assert_eq!(subject.remove(&past.clone().state(State::Dead)).await, 0);
    assert_eq!(subject.remove(&past).await, 1);
    assert_eq!(must(subject.storage.get(&[long])).await, [None]);
    subject.advance(10 * LEASE).await;
    assert_eq!(subject.remove(&past).await, 0);
    assert_eq!(subject.find_ids(&Filter::all()).await, [other, unfinished]);
}

pub(super) async fn g113_jobs_without_a_retention_go_by_when_they_ended(subject: Subject) {
    let ended = |task: &str, retention| NewJob {
        retention,
        ..job_of(task)
    };
    let keeping = subject
        .finish(ended("a", Some(MINUTE)), Verdict::Completed)
        .await;
    for task in ["a", "b", "c"] {
        subject.finish(ended(task, None), Verdict::Completed).await;
    }
    let dead = subject
        .finish(
            ended("a", None),
            crate::samples::dead(majordomo_core::DeadReason::Permanent),
        )
        .await;
    subject.advance(MINUTE).await;
    let to = subject.now().await;
    let late = subject.finish(ended("a", None), Verdict::Completed).await;
    let old = Filter {
        without_retention: true,
        ended: Between {
            from: None,
            to: Some(to),
        },
        ..Filter::all().state(State::Completed)
    };
    let excepting = |tasks: &[&str]| Filter {
        except_tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
        ..old.clone()
    };
    assert_eq!(subject.remove(&excepting(&["a", "b", "c"])).await, 0);
    assert_eq!(subject.remove(&excepting(&["a", "c", "none"])).await, 1);
    assert_eq!(subject.remove(&old.clone().task("c")).await, 1);
    assert_eq!(subject.remove(&old.clone().task("c")).await, 0);
    assert_eq!(subject.remove(&old.clone().tag("none")).await, 0);
    assert_eq!(
        subject
            .remove(&Filter {
                ids: Some(vec![keeping, late, dead]),
                ..old.clone()
            })
            .await,
        0
    );
    assert_eq!(subject.remove(&old).await, 1);
    let mut left = vec![keeping, dead, late];
    left.sort();
    assert_eq!(subject.find_ids(&Filter::all()).await, left);
}

pub(super) async fn every_finished_state_can_be_removed(subject: Subject) {
    for state in FINISHED {
        let verdict = match state {
            State::Completed => Verdict::Completed,
            State::Dead => Verdict::Dead {
                reason: majordomo_core::DeadReason::Poison,
            },
            State::Cancelled => Verdict::Cancelled,
            _ => Verdict::Expired,
        };
        subject.finish(job(), verdict).await;
        assert_eq!(subject.remove(&Filter::all().state(state)).await, 1);
    }
}
