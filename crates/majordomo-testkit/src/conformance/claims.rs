//! Trials of `claim`: which jobs are taken, in which order, and what a lease is.

use majordomo_core::job::SUSPECT;
use majordomo_core::{Claim, Filter, JobId, NewJob, Settled, State, Verdict, When};

use super::steps::only;
use crate::samples::{
    LEASE, LOST, MINUTE, QUEUE, RETRY, TASK, claim, claim_by, claim_of, ending, job, job_of, jobs,
    sweep,
};
use crate::subject::Subject;

pub(super) async fn gx30_claims_go_by_priority_then_due_then_id(subject: Subject) {
    let now = subject.now().await;
    let at = |minutes: u32| When::At(now - minutes * MINUTE);
    let [a, b, c, d, e, f] =
        [(0, 1), (0, 3), (7, 1), (7, 2), (-1, 9), (7, 2)].map(|(priority, minutes)| NewJob {
            priority,
            due: at(minutes),
            ..job()
        });
    let expected = [d.id, f.id, c.id, b.id, a.id, e.id];
    subject.add_all(vec![f, e, d, c, b, a]).await;
    let first = subject.claim_ids(claim(4)).await;
    let rest = subject.claim_ids(claim(4)).await;
    assert_eq!([first, rest].concat(), expected);
}

pub(super) async fn gx30_equal_jobs_are_claimed_in_the_order_of_their_ids(subject: Subject) {
    let mut group = jobs(20);
    let expected: Vec<JobId> = group.iter().map(|job| job.id).collect();
    let due = When::At(subject.now().await);
    group.iter_mut().for_each(|job| job.due = due);
    group.reverse();
    subject.add_all(group).await;
    for id in expected {
        assert_eq!(subject.claim_ids(claim(1)).await, [id]);
    }
}

pub(super) async fn a_claim_takes_no_more_than_asked(subject: Subject) {
    subject.add_all(jobs(5)).await;
    assert_eq!(subject.claim_ids(claim(0)).await, []);
    assert_eq!(subject.claim_ids(claim(3)).await.len(), 3);
    assert_eq!(subject.claim_ids(claim(3)).await.len(), 2);
    assert_eq!(subject.claim_ids(claim(3)).await, []);
}

pub(super) async fn each_queue_gives_the_number_asked_of_it(subject: Subject) {
    for queue in ["a", "b", "c"] {
        let group = jobs(3).into_iter().map(|job| NewJob {
            queue: queue.to_owned(),
            ..job
        });
        subject.add_all(group.collect()).await;
    }
    let queues = vec![
        ("b".to_owned(), 2),
        ("a".to_owned(), 1),
        ("none".to_owned(), 5),
    ];
    let claimed = subject.claim(Claim { queues, ..claim(0) }).await;
    let count = |queue: &str| {
        claimed
            .jobs
            .iter()
            .filter(|(details, _)| details.job.queue == queue)
            .count()
    };
    assert_eq!((count("a"), count("b"), claimed.jobs.len()), (1, 2, 3));
}

pub(super) async fn a_claimed_job_runs_under_its_lease(subject: Subject) {
    let id = subject.add(job()).await;
    let before = subject.job(id).await;
    subject.advance(MINUTE).await;
    let (claimed, window) = subject.timed(subject.claim(claim_by("ann", 1))).await;
    assert!(window.holds(claimed.now));
    let (details, lease) = only(claimed.jobs);
    assert_eq!(
        (lease.job, lease.token, lease.worker.as_str()),
        (id, 1, "ann")
    );
    assert!(
        window.after(LEASE).holds(lease.expires),
        "the lease lasts from now"
    );
    let running = &details.job;
    assert_eq!(
        (running.state, running.token, running.lease.as_ref()),
        (State::Running, 1, Some(&lease))
    );
    assert!(window.holds(running.started_at));
    assert!(
        window.holds(running.changed_at),
        "a claim changes more than the lease"
    );
    assert_eq!(
        (running.revision, running.due, running.charged),
        (before.revision, before.due, 0)
    );
    let attempt = only(details.attempts.clone());
    assert_eq!((attempt.token, attempt.worker.as_str()), (1, "ann"));
    assert_eq!(
        (Some(attempt.started_at), attempt.ended_at, attempt.ending),
        (running.started_at, None, None)
    );
    assert_eq!(
        subject.details(id).await,
        details,
        "what was answered is what is stored"
    );
}

pub(super) async fn a_running_job_is_not_claimed_again(subject: Subject) {
    let lease = subject.start(job()).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    subject.advance(2 * LEASE).await;
    assert_eq!(
        subject.claim_ids(claim(1)).await,
        [],
        "a lost lease is the sweeper's, not the next claimer's"
    );
    assert_eq!(subject.job(lease.job).await.token, 1);
}

pub(super) async fn every_claim_gives_a_greater_token(subject: Subject) {
    let id = subject
        .add(NewJob {
            max_attempts: 100,
            ..job()
        })
        .await;
    let verdicts = [
        RETRY,
        Verdict::Snooze { due: When::Now },
        Verdict::Release,
        LOST,
        RETRY,
    ];
    for (before, verdict) in (0..).zip(verdicts) {
        let lease = subject.take().await;
        assert_eq!((lease.job, lease.token), (id, before + 1));
        subject.end(&lease, verdict).await;
        assert_eq!(
            subject.job(id).await.token,
            before + 1,
            "no ending touches the token"
        );
    }
}

pub(super) async fn unknown_tasks_are_left_alone(subject: Subject) {
    let unknown = NewJob {
        priority: 100,
        ..job_of("unknown")
    };
    let late = NewJob {
        expires: Some(When::Now),
        ..job_of("unknown")
    };
    let known = job();
    subject
        .add_all(vec![unknown.clone(), late.clone(), known.clone()])
        .await;
    assert_eq!(subject.claim_ids(claim(9)).await, [known.id]);
    for id in [unknown.id, late.id] {
        let stored = subject.job(id).await;
        assert_eq!(
            (stored.state, stored.token, stored.charged, stored.revision),
            (State::Pending, 0, 0, 1)
        );
    }
    assert_eq!(subject.claim_ids(claim_of(&[], 9)).await, []);
    assert_eq!(
        subject.claim_ids(claim_of(&["other", "unknown"], 9)).await,
        [unknown.id]
    );
}

pub(super) async fn many_unknown_tasks_hide_no_known_one(subject: Subject) {
    let group = (0..200).map(|_| NewJob {
        priority: 1,
        ..job_of("unknown")
    });
    subject.add_all(group.collect()).await;
    let known = subject.add(job()).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [known]);
}

pub(super) async fn a_queue_that_was_not_asked_is_left_alone(subject: Subject) {
    let elsewhere = subject
        .add(NewJob {
            queue: "elsewhere".to_owned(),
            ..job()
        })
        .await;
    assert_eq!(subject.claim_ids(claim(9)).await, []);
    assert_eq!(
        subject
            .claim_ids(Claim {
                queues: vec![],
                ..claim(9)
            })
            .await,
        []
    );
    assert_eq!(subject.job(elsewhere).await.state, State::Pending);
}

pub(super) async fn no_job_starts_before_it_is_due(subject: Subject) {
    let id = subject
        .add(NewJob {
            due: When::In(10 * MINUTE),
            ..job()
        })
        .await;
    for _ in 0..2 {
        assert_eq!(subject.claim_ids(claim(1)).await, []);
        subject.advance(4 * MINUTE).await;
    }
    subject.advance(2 * MINUTE).await;
    assert_eq!(
        subject.claim_ids(claim(1)).await,
        [id],
        "due is a time, not a state: nothing had to move it"
    );
}

pub(super) async fn a_retried_job_does_not_start_before_its_time(subject: Subject) {
    let lease = subject.start(job()).await;
    subject
        .end(
            &lease,
            Verdict::Retry {
                due: When::In(10 * MINUTE),
            },
        )
        .await;
    subject.advance(9 * MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [lease.job]);
}

pub(super) async fn an_expired_job_never_starts(subject: Subject) {
    let id = subject
        .add(NewJob {
            expires: Some(When::In(10 * MINUTE)),
            ..job()
        })
        .await;
    let fresh = subject
        .add(NewJob {
            expires: Some(When::In(12 * MINUTE)),
            ..job()
        })
        .await;
    subject.advance(10 * MINUTE).await;
    let (claimed, window) = subject.timed(subject.claim(claim(9))).await;
    assert_eq!(only(claimed.jobs).1.job, fresh);
    let expired = subject.details(id).await;
    assert_eq!(
        (expired.job.state, expired.job.token, expired.job.charged),
        (State::Expired, 0, 0)
    );
    assert!(window.holds(expired.job.ended_at) && window.holds(expired.job.changed_at));
    assert_eq!(
        (expired.job.revision, expired.attempts, expired.job.lease),
        (2, vec![], None)
    );
}

pub(super) async fn a_job_that_ran_before_expires_too(subject: Subject) {
    let lease = subject
        .start(NewJob {
            expires: Some(When::In(10 * MINUTE)),
            ..job()
        })
        .await;
    subject.end(&lease, RETRY).await;
    subject.advance(11 * MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    let expired = subject.job(lease.job).await;
    assert_eq!(
        (expired.state, expired.token, expired.charged),
        (State::Expired, 1, 1)
    );
}

pub(super) async fn expired_jobs_do_not_stand_in_the_way(subject: Subject) {
    let late = (0..50).map(|_| NewJob {
        priority: 1,
        expires: Some(When::Now),
        ..job()
    });
    subject.add_all(late.collect()).await;
    let live = subject.add(job()).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [live]);
}

/// Makes jobs suspects: each loses as many leases as that takes.
async fn suspects(subject: &Subject, count: usize) -> Vec<JobId> {
    let ids = subject.add_all(jobs(count)).await;
    for _ in 0..SUSPECT {
        let claimed = subject.claim(claim(count)).await;
        subject.advance(LEASE).await;
        let sweeps = claimed
            .jobs
            .iter()
            .map(|(_, lease)| sweep(lease, LOST))
            .collect();
        assert_eq!(
            subject.settle_all(sweeps).await,
            vec![Settled::Applied(State::Pending); count]
        );
    }
    ids
}

pub(super) async fn one_lost_lease_makes_no_suspect(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(LEASE).await;
    subject.settle(sweep(&lease, LOST)).await;
    assert_eq!(subject.job(lease.job).await.crashes, 1);
    assert_eq!(
        subject
            .claim_ids(Claim {
                suspects: 0,
                ..claim(1)
            })
            .await,
        [lease.job]
    );
}

pub(super) async fn suspects_are_handed_out_as_many_as_asked(subject: Subject) {
    let suspects = suspects(&subject, 3).await;
    subject.advance(MINUTE).await;
    let fresh = subject.add_all(jobs(3)).await;
    let none = subject
        .claim_ids(Claim {
            suspects: 0,
            ..claim(2)
        })
        .await;
    assert_eq!(
        none,
        fresh[..2],
        "suspects that may not be taken are passed over"
    );
    let one = subject
        .claim_ids(Claim {
            suspects: 1,
            ..claim(9)
        })
        .await;
    assert_eq!(one, [suspects[0], fresh[2]]);
    let rest = subject
        .claim_ids(Claim {
            suspects: 9,
            ..claim(9)
        })
        .await;
    assert_eq!(rest, suspects[1..]);
}

pub(super) async fn suspects_are_counted_over_all_queues(subject: Subject) {
    let suspects = suspects(&subject, 4).await;
    let elsewhere = majordomo_core::Change::Move {
        queue: "elsewhere".to_owned(),
    };
    for id in &suspects[2..] {
        subject.change(*id, elsewhere.clone()).await;
    }
    let queues = vec![(QUEUE.to_owned(), 9), ("elsewhere".to_owned(), 9)];
    let claimed = subject
        .claim_ids(Claim {
            queues,
            suspects: 3,
            ..claim(0)
        })
        .await;
    assert_eq!(claimed.len(), 3);
}

pub(super) async fn a_short_claim_says_when_the_next_job_is_due(subject: Subject) {
    let now = subject.now().await;
    let later = |minutes: u32| When::At(now + minutes * MINUTE);
    subject
        .add_all(vec![
            job(),
            NewJob {
                due: later(30),
                ..job()
            },
            NewJob {
                due: later(20),
                ..job()
            },
            NewJob {
                due: later(10),
                ..job_of("unknown")
            },
            NewJob {
                due: later(5),
                queue: "elsewhere".to_owned(),
                ..job()
            },
        ])
        .await;
    let full = subject.claim(claim(1)).await;
    assert_eq!(
        (full.jobs.len(), full.next_due),
        (1, None),
        "a claim that got all it asked for comes again at once"
    );
    let short = subject.claim(claim(1)).await;
    assert_eq!(
        (short.jobs.len(), short.next_due),
        (0, Some(now + 20 * MINUTE))
    );
    let nothing = subject.claim(claim_of(&["other"], 1)).await;
    assert_eq!((nothing.jobs.len(), nothing.next_due), (0, None));
}

pub(super) async fn a_job_that_waits_for_its_retry_is_the_next_due(subject: Subject) {
    let lease = subject.start(job()).await;
    let due = subject.now().await + 15 * MINUTE;
    subject
        .settle(ending(&lease, Verdict::Retry { due: When::At(due) }))
        .await;
    assert_eq!(subject.claim(claim(1)).await.next_due, Some(due));
}

pub(super) async fn running_and_finished_jobs_are_not_next_due(subject: Subject) {
    subject.start(job()).await;
    subject.finish(job(), Verdict::Completed).await;
    let future = subject
        .add(NewJob {
            due: When::In(MINUTE),
            ..job()
        })
        .await;
    subject.change(future, majordomo_core::Change::Cancel).await;
    assert_eq!(subject.claim(claim(1)).await.next_due, None);
}

pub(super) async fn a_claim_finds_tasks_by_all_their_names(subject: Subject) {
    let [old, new] = [job_of("old-name"), job_of(TASK)];
    let expected = subject.add_all(vec![old, new]).await;
    assert_eq!(
        subject.claim_ids(claim_of(&[TASK, "old-name"], 9)).await,
        expected
    );
    let running = subject.find(&Filter::all().state(State::Running)).await;
    assert_eq!(
        running
            .iter()
            .map(|job| job.task.as_str())
            .collect::<Vec<_>>(),
        ["old-name", TASK]
    );
}
