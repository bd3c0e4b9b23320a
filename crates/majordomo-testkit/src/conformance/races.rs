//! Trials of concurrency: many callers at once, on as many handles as the
//! storage allows, and one truth.

use std::future::Future;
use std::sync::Arc;

use majordomo_core::{
    Change, Changed, Claim, Control, Filter, If, Inserted, JobId, Lease, NewJob, OnConflict, Put,
    Refusal, Renewed, Repeat, Scope, Settled, State, Storage, Until, Verdict, When,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::steps::{assert_ends, must, must_be, only};
use crate::samples::{
    AGAIN, LEASE, LOST, QUEUE, RETRY, beat, claim, claim_by, dead, ending, holding, ids, job, jobs,
    put, sweep,
};
use crate::subject::Subject;

/// Lets `count` callers go at the same moment, each on a handle of its own if
/// there can be more than one, and gives their answers in the order of their numbers.
async fn at_once<T, F>(
    subject: &Subject,
    count: usize,
    call: impl Fn(usize, Arc<dyn Storage>) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let mut calls = JoinSet::new();
    for number in 0..count {
        let (start, calling) = (Arc::clone(&start), call(number, subject.node().await));
        calls.spawn(async move {
            start.wait().await;
            (number, calling.await)
        });
    }
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

pub(super) async fn gx1_claims_at_once_are_disjoint_and_miss_nothing(subject: Subject) {
    let mut id = subject.add_all(jobs(60)).await;
    let claimed = at_once(&subject, 6, |number, storage| async move {
        let mut taken = Vec::new();
        loop {
            let claimed = must(storage.claim(claim_by(&format!("worker-{number}"), 4))).await;
            if claimed.jobs.is_empty() {
                return taken;
            }
            taken.extend(
                claimed
                    .jobs
                    .into_iter()
                    .map(|(_, lease)| (lease.job, lease.token)),
            );
            assert_ends(&taken);
        }
    })
    .await;
    let mut taken: Vec<_> = claimed.concat();
    taken.sort();
    id.sort();
    assert_eq!(taken, id.into_iter().map(|id| (id, 1)).collect::<Vec<_>>());
}

pub(super) async fn one_unique_key_makes_one_job_however_many_ask(subject: Subject) {
    for round in 0..5 {
        let key = format!("key-{round}");
        let answers = at_once(&subject, 8, |_, storage| {
            let new = holding(&key, Until::Finished, OnConflict::Keep);
            async move {
                (
                    new.id,
                    only(must_be(only(
                        must(storage.insert(vec![vec![new]], Repeat::First)).await,
                    ))),
                )
            }
        })
        .await;
        let new: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| *answer == Inserted::New)
            .collect();
        assert_eq!(new.len(), 1, "{answers:?}");
        let winner = new[0].0;
        assert!(
            answers
                .iter()
                .all(|(id, answer)| *id == winner || *answer == Inserted::Existing(winner))
        );
    }
    assert_eq!(subject.find_ids(&Filter::all()).await.len(), 5);
}

pub(super) async fn one_id_makes_one_job_however_often_it_is_sent(subject: Subject) {
    let group = jobs(5);
    let answers = at_once(&subject, 6, |number, storage| {
        let group = group.clone();
        let repeat = if number == 0 {
            Repeat::First
        } else {
            Repeat::Again
        };
        async move { must_be(only(must(storage.insert(vec![group], repeat)).await)) }
    })
    .await;
    for index in 0..group.len() {
        let new = answers
            .iter()
            .filter(|answer| answer[index] == Inserted::New)
            .count();
        assert_eq!(new, 1);
    }
    assert_eq!(subject.find_ids(&Filter::all()).await, ids(&group));
}

pub(super) async fn of_two_endings_at_once_one_is_applied(subject: Subject) {
    for _ in 0..20 {
        let lease = subject.start(job()).await;
        let later = Verdict::Snooze {
            due: When::In(LEASE),
        };
        let verdicts = [
            Verdict::Completed,
            later,
            dead(majordomo_core::DeadReason::Permanent),
        ];
        let settled = at_once(&subject, 3, |number, storage| {
            let ending = ending(&lease, verdicts[number].clone());
            async move { only(must(storage.settle(vec![ending], None)).await.0) }
        })
        .await;
        let applied: Vec<_> = settled
            .iter()
            .filter(|settled| **settled != Settled::Stale)
            .collect();
        assert_eq!(applied.len(), 1, "{settled:?}");
        let details = subject.details(lease.job).await;
        assert_eq!(applied, [&Settled::Applied(details.job.state)]);
        assert_eq!(
            only(details.attempts)
                .ending
                .map(majordomo_core::EndingKind::state),
            Some(details.job.state)
        );
        subject.change(lease.job, Change::Cancel).await;
    }
}

pub(super) async fn of_a_sweep_and_a_renewal_at_once_one_wins(subject: Subject) {
    for _ in 0..20 {
        let lease = subject.start(job()).await;
        subject.advance(LEASE).await;
        let won = at_once(&subject, 2, |number, storage| {
            let lease = lease.clone();
            async move {
                if number == 0 {
                    only(
                        must(storage.settle(vec![sweep(&lease, LOST)], None))
                            .await
                            .0,
                    ) != Settled::Stale
                } else {
                    only(must(storage.renew(vec![beat(&lease)])).await) != Renewed::Lost
                }
            }
        })
        .await;
        let state = subject.job(lease.job).await.state;
        let expected = if won[0] {
            (true, false, State::Pending)
        } else {
            (false, true, State::Running)
        };
        assert_eq!((won[0], won[1], state), expected);
        subject.settle(ending(&lease, Verdict::Completed)).await;
        subject.change(lease.job, Change::Cancel).await;
    }
}

pub(super) async fn of_many_sweepers_at_once_one_counts(subject: Subject) {
    subject.add_all(jobs(10)).await;
    let leases: Vec<Lease> = subject
        .claim(claim(10))
        .await
        .jobs
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    subject.advance(LEASE).await;
    let settled = at_once(&subject, 5, |_, storage| {
        let sweeps = leases.iter().map(|lease| sweep(lease, LOST)).collect();
        async move { must(storage.settle(sweeps, None)).await.0 }
    })
    .await;
    assert!(
        settled
            .iter()
            .flatten()
            .all(|settled| *settled == Settled::Applied(State::Pending))
    );
    for lease in leases {
        let job = subject.job(lease.job).await;
        assert_eq!((job.charged, job.crashes, job.token), (1, 1, 1));
    }
}

pub(super) async fn a_cancel_and_a_claim_at_once_have_one_winner_told_to_both(subject: Subject) {
    for _ in 0..20 {
        let id = subject.add(job()).await;
        let answers = at_once(&subject, 2, |number, storage| async move {
            if number == 0 {
                let page = must(storage.change(&Filter::id(id), &Change::Cancel, None, 1)).await;
                (Some(only(page.items).1), None)
            } else {
                (
                    None,
                    must(storage.claim(claim(1)))
                        .await
                        .jobs
                        .pop()
                        .map(|(_, lease)| lease),
                )
            }
        })
        .await;
        let (cancelled, lease) = (answers[0].0.clone(), answers[1].1.clone());
        let job = subject.job(id).await;
        match lease {
            None => {
                assert_eq!(
                    (cancelled, job.state),
                    (Some(Changed::Done(State::Cancelled)), State::Cancelled)
                );
            }
            Some(lease) => {
                assert_eq!(
                    (cancelled, job.state),
                    (Some(Changed::Done(State::Running)), State::Running)
                );
                assert_eq!(subject.renew(beat(&lease)).await, Renewed::CancelAsked);
                assert_eq!(
                    subject.settle(ending(&lease, RETRY)).await,
                    Settled::Applied(State::Cancelled)
                );
            }
        }
    }
}

pub(super) async fn a_cancel_and_an_ending_at_once_have_one_winner_told_to_both(subject: Subject) {
    for round in 0..20 {
        let verdict = if round % 2 == 0 {
            Verdict::Completed
        } else {
            Verdict::Retry {
                due: When::In(LEASE),
            }
        };
        let lease = subject.start(job()).await;
        let answers = at_once(&subject, 2, |number, storage| {
            let (lease, verdict) = (lease.clone(), verdict.clone());
            async move {
                if number == 0 {
                    let page =
                        must(storage.change(&Filter::id(lease.job), &Change::Cancel, None, 1))
                            .await;
                    (Some(only(page.items).1), None)
                } else {
                    let settled = must(storage.settle(vec![ending(&lease, verdict)], None))
                        .await
                        .0;
                    (None, Some(only(settled)))
                }
            }
        })
        .await;
        let told = (
            answers[0].0.clone().expect("it was asked"),
            answers[1].1.expect("it was asked"),
        );
        let state = subject.job(lease.job).await.state;
        let (applied, done) = (Settled::Applied, Changed::Done);
        let possible = if verdict == Verdict::Completed {
            // An attempt that completes is completed, cancel or not.
            let late = Changed::Refused(Refusal::State(State::Completed));
            [
                (late, applied(State::Completed)),
                (done(State::Running), applied(State::Completed)),
            ]
        } else {
            [
                (done(State::Cancelled), applied(State::Pending)),
                (done(State::Running), applied(State::Cancelled)),
            ]
        };
        assert!(possible.contains(&told), "{told:?}");
        let expected = if verdict == Verdict::Completed {
            State::Completed
        } else {
            State::Cancelled
        };
        assert_eq!(state, expected);
    }
}

pub(super) async fn a_limit_is_exact_over_claimers_at_once(subject: Subject) {
    must(subject.storage.set_control(
        Scope::Queue(QUEUE.to_owned()),
        Control {
            paused: None,
            max_running: Some(7),
        },
    ))
    .await;
    subject.add_all(jobs(50)).await;
    for round in 0..3 {
        let leases = at_once(&subject, 6, |number, storage| async move {
            let claimed = must(storage.claim(claim_by(&format!("worker-{number}"), 3))).await;
            claimed
                .jobs
                .into_iter()
                .map(|(_, lease)| lease)
                .collect::<Vec<_>>()
        })
        .await
        .concat();
        assert_eq!(leases.len(), 7, "round {round}");
        let endings = leases
            .iter()
            .map(|lease| ending(lease, Verdict::Completed))
            .collect();
        subject.settle_all(endings).await;
    }
}

pub(super) async fn settles_that_claim_at_once_lose_no_slot(subject: Subject) {
    let id = subject.add_all(jobs(60)).await;
    let done = at_once(&subject, 4, |number, storage| async move {
        let claim = claim_by(&format!("worker-{number}"), 3);
        let mut running = must(storage.claim(claim.clone())).await.jobs;
        let mut done: Vec<JobId> = Vec::new();
        while !running.is_empty() {
            let endings = running
                .iter()
                .map(|(_, lease)| ending(lease, Verdict::Completed))
                .collect();
            let (settled, then) = must(storage.settle(endings, Some(claim.clone()))).await;
            assert!(
                settled
                    .iter()
                    .all(|settled| *settled == Settled::Applied(State::Completed))
            );
            done.extend(running.iter().map(|(_, lease)| lease.job));
            assert_ends(&done);
            running = then.expect("it was asked to claim").jobs;
        }
        done
    })
    .await;
    let mut done = done.concat();
    done.sort();
    assert_eq!(done, id);
}

pub(super) async fn changes_at_once_give_each_job_one_outcome(subject: Subject) {
    let id = subject.add_all(jobs(40)).await;
    let changed = at_once(&subject, 4, |_, storage| async move {
        let (mut answers, mut after) = (Vec::new(), None);
        loop {
            let page = must(storage.change(&Filter::all(), &Change::Cancel, after, 7)).await;
            answers.extend(page.items);
            assert_ends(&answers);
            after = page.next;
            if after.is_none() {
                return answers;
            }
        }
    })
    .await;
    for id in id {
        let told = changed.iter().flatten().filter(|(told, _)| *told == id);
        let done = told
            .clone()
            .filter(|(_, answer)| *answer == Changed::Done(State::Cancelled))
            .count();
        assert_eq!((told.count(), done), (4, 1));
        assert_eq!(subject.job(id).await.revision, 2);
    }
}

pub(super) async fn an_operators_retry_and_an_insert_at_once_share_no_key(subject: Subject) {
    for round in 0..10 {
        let key = format!("key-{round}");
        let old = subject
            .finish(
                holding(&key, Until::Finished, OnConflict::Keep),
                Verdict::Completed,
            )
            .await;
        let new = NewJob {
            due: When::In(LEASE),
            ..holding(&key, Until::Finished, OnConflict::Keep)
        };
        let taken = at_once(&subject, 2, |number, storage| {
            let new = new.clone();
            async move {
                if number == 0 {
                    let page = must(storage.change(&Filter::id(old), &AGAIN, None, 1)).await;
                    only(page.items).1 == Changed::Done(State::Pending)
                } else {
                    let answers = must(storage.insert(vec![vec![new]], Repeat::First)).await;
                    only(must_be(only(answers))) == Inserted::New
                }
            }
        })
        .await;
        assert!(taken[0] != taken[1], "the key has one holder: {taken:?}");
        subject.change(old, Change::Cancel).await;
    }
}

pub(super) async fn of_puts_on_one_version_one_is_made(subject: Subject) {
    for version in 0..10_u64 {
        let condition = if version == 0 {
            If::Absent
        } else {
            If::Version(version)
        };
        let answers = at_once(&subject, 5, |number, storage| async move {
            let put = Put {
                condition,
                ..put("k", number)
            };
            must(storage.put_document(put))
                .await
                .map(|document| document.version)
        })
        .await;
        let made: Vec<_> = answers.iter().filter(|answer| answer.is_ok()).collect();
        assert_eq!(made, [&Ok(version + 1)]);
        assert!(
            answers
                .iter()
                .all(|answer| *answer == Ok(version + 1) || *answer == Err(Some(version + 1)))
        );
    }
}

pub(super) async fn statistics_lose_nothing_when_many_settle_at_once(subject: Subject) {
    subject.add_all(jobs(60)).await;
    at_once(&subject, 6, |number, storage| async move {
        let claim = Claim {
            worker: format!("worker-{number}"),
            ..claim(2)
        };
        for _ in 0..1000 {
            let claimed = must(storage.claim(claim.clone())).await.jobs;
            if claimed.is_empty() {
                return;
            }
            let endings = claimed
                .iter()
                .map(|(_, lease)| ending(lease, Verdict::Completed))
                .collect();
            must(storage.settle(endings, None)).await;
        }
    })
    .await;
    let now = subject.now().await;
    let query = majordomo_core::Query {
        by: majordomo_core::By::All,
        from: now - LEASE,
        to: now + LEASE,
        width: majordomo_core::Width::Day,
    };
    let completed: u64 = subject
        .series(query)
        .await
        .iter()
        .map(|bucket| bucket.tally.completed)
        .sum();
    assert_eq!(completed, 60);
}
