//! Trials of `remove`: finished jobs go, and nothing else does.

use majordomo_core::{Change, Filter, Inserted, State, Verdict, limits};

use super::steps::must;
use crate::samples::{FINISHED, claim, ending, job, jobs};
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

pub(super) async fn the_oldest_ids_go_first_up_to_the_limit(subject: Subject) {
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
    assert_eq!(
        subject.find_ids(&Filter::all()).await,
        [&[waiting], &id[2..]].concat()
    );
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
