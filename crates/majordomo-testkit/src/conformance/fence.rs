//! Trials of the fence: only the attempt that runs can be ended, and only
//! once; a repeat is told apart from a stale ending.

use majordomo_core::{
    Change, DeadReason, Ending, JobId, Lease, Progress, Settled, State, Verdict, When,
};
use serde_json::json;

use crate::samples::{
    LEASE, LOST, MINUTE, RETRY, beat, claim, dead, ending, failure, job, jobs, line, sweep,
    verdicts,
};
use crate::subject::Subject;

/// A lease that nothing was done under, of the same job and the next token.
fn next(lease: &Lease) -> Lease {
    Lease {
        token: lease.token + 1,
        ..lease.clone()
    }
}

/// Takes a job over: the first lease is lost, and the job runs under the second.
async fn taken_over(subject: &Subject) -> (Lease, Lease) {
    let old = subject.start(job()).await;
    subject.advance(LEASE).await;
    assert_eq!(
        subject.settle(sweep(&old, LOST)).await,
        Settled::Applied(State::Pending)
    );
    (old, subject.take_by("successor").await)
}

pub(super) async fn a_stale_completion_changes_nothing_and_says_so(subject: Subject) {
    let (old, new) = taken_over(&subject).await;
    let before = subject.details(new.job).await;
    let stale = Ending {
        output: Some(json!("late")),
        log: vec![line("late")],
        ..ending(&old, Verdict::Completed)
    };
    assert_eq!(subject.settle(stale).await, Settled::Stale);
    assert_eq!(subject.details(new.job).await, before);
    subject.end(&new, Verdict::Completed).await;
}

pub(super) async fn no_stale_ending_changes_anything(subject: Subject) {
    let (old, new) = taken_over(&subject).await;
    let before = subject.details(new.job).await;
    for verdict in verdicts() {
        let stale = Ending {
            error: Some(failure("late")),
            progress: Some(Progress::new(99.0, "late")),
            checkpoint: Some(json!("late")),
            ..ending(&old, verdict.clone())
        };
        assert_eq!(subject.settle(stale).await, Settled::Stale, "{verdict:?}");
        assert_eq!(subject.details(new.job).await, before, "{verdict:?}");
    }
}

pub(super) async fn the_same_worker_may_not_end_its_earlier_attempt(subject: Subject) {
    let id = subject.add(job()).await;
    let old = subject.take_by("ann").await;
    subject.end(&old, RETRY).await;
    let new = subject.take_by("ann").await;
    let before = subject.details(id).await;
    assert_eq!(
        subject.settle(ending(&old, Verdict::Completed)).await,
        Settled::Stale
    );
    assert_eq!(
        subject.details(id).await,
        before,
        "neither the worker nor the state is a fence"
    );
    subject.end(&new, Verdict::Completed).await;
}

pub(super) async fn a_snoozed_attempt_is_fenced_like_any_other(subject: Subject) {
    let old = subject.start(job()).await;
    subject.end(&old, Verdict::Snooze { due: When::Now }).await;
    let new = subject.take().await;
    assert_eq!(
        subject.job(old.job).await.charged,
        0,
        "the attempt's number would not tell the two apart"
    );
    assert_eq!(subject.settle(ending(&old, RETRY)).await, Settled::Stale);
    subject.end(&new, Verdict::Completed).await;
}

pub(super) async fn a_token_from_the_future_is_stale(subject: Subject) {
    let lease = subject.start(job()).await;
    let before = subject.details(lease.job).await;
    assert_eq!(
        subject
            .settle(ending(&next(&lease), Verdict::Completed))
            .await,
        Settled::Stale
    );
    assert_eq!(subject.details(lease.job).await, before);
}

pub(super) async fn a_pending_job_has_no_attempt_to_end(subject: Subject) {
    let id = subject.add(job()).await;
    let before = subject.details(id).await;
    for token in [0, 1] {
        let lease = Lease {
            job: id,
            token,
            worker: "worker".to_owned(),
            expires: subject.now().await,
        };
        assert_eq!(
            subject.settle(ending(&lease, Verdict::Completed)).await,
            Settled::Stale
        );
    }
    assert_eq!(subject.details(id).await, before);
}

pub(super) async fn the_ending_of_an_unknown_job_is_stale(subject: Subject) {
    let lease = subject.start(job()).await;
    let unknown = Lease {
        job: JobId::new(),
        ..lease
    };
    assert_eq!(
        subject.settle(ending(&unknown, Verdict::Completed)).await,
        Settled::Stale
    );
}

pub(super) async fn the_lease_of_before_a_renewal_still_ends_the_attempt(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(MINUTE).await;
    subject.renew(beat(&lease)).await;
    subject.end(&lease, Verdict::Completed).await;
}

pub(super) async fn a_repeated_settle_is_answered_as_applied(subject: Subject) {
    for verdict in verdicts() {
        let lease = subject.start(job()).await;
        subject.end(&lease, verdict.clone()).await;
        let before = subject.details(lease.job).await;
        subject.advance(MINUTE).await;
        for _ in 0..2 {
            subject.end(&lease, verdict.clone()).await;
        }
        assert_eq!(
            subject.details(lease.job).await,
            before,
            "a repeat of {verdict:?} changes nothing"
        );
        subject.change(lease.job, Change::Cancel).await;
    }
}

pub(super) async fn a_repeat_is_known_while_the_job_runs_again(subject: Subject) {
    let old = subject.start(job()).await;
    subject.end(&old, RETRY).await;
    let new = subject.take().await;
    let before = subject.details(new.job).await;
    subject.end(&old, RETRY).await;
    assert_eq!(subject.details(new.job).await, before);
    subject.end(&new, Verdict::Completed).await;
    subject.end(&old, RETRY).await;
}

pub(super) async fn a_repeat_of_a_cancelled_ending_says_cancelled(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.change(lease.job, Change::Cancel).await;
    for _ in 0..2 {
        assert_eq!(
            subject.settle(ending(&lease, RETRY)).await,
            Settled::Applied(State::Cancelled)
        );
    }
    assert_eq!(subject.job(lease.job).await.charged, 0);
}

pub(super) async fn another_ending_after_the_first_is_stale(subject: Subject) {
    for first in [Verdict::Completed, RETRY, dead(DeadReason::Permanent)] {
        let lease = subject.start(job()).await;
        subject.end(&lease, first.clone()).await;
        let before = subject.details(lease.job).await;
        for other in verdicts()
            .into_iter()
            .filter(|other| other.kind() != first.kind())
        {
            let settled = subject.settle(ending(&lease, other.clone())).await;
            assert_eq!(settled, Settled::Stale, "{other:?} after {first:?}");
        }
        assert_eq!(subject.details(lease.job).await, before);
        subject.change(lease.job, Change::Cancel).await;
    }
}

pub(super) async fn the_first_of_two_endings_in_one_call_wins(subject: Subject) {
    let lease = subject.start(job()).await;
    let endings = vec![
        ending(&lease, Verdict::Completed),
        ending(&lease, RETRY),
        ending(&lease, Verdict::Completed),
    ];
    let completed = Settled::Applied(State::Completed);
    assert_eq!(
        subject.settle_all(endings).await,
        [completed, Settled::Stale, completed]
    );
    assert_eq!(subject.details(lease.job).await.attempts.len(), 1);
}

pub(super) async fn endings_are_answered_one_by_one_in_order(subject: Subject) {
    subject.add_all(jobs(4)).await;
    let leases: Vec<_> = subject
        .claim(claim(4))
        .await
        .jobs
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    let endings = vec![
        ending(&leases[2], Verdict::Completed),
        ending(&next(&leases[0]), Verdict::Completed),
        ending(&leases[1], RETRY),
        ending(
            &Lease {
                job: JobId::new(),
                ..leases[0].clone()
            },
            Verdict::Completed,
        ),
        ending(&leases[3], Verdict::Cancelled),
    ];
    let (applied, stale) = (Settled::Applied, Settled::Stale);
    let expected = [
        applied(State::Completed),
        stale,
        applied(State::Pending),
        stale,
        applied(State::Cancelled),
    ];
    assert_eq!(subject.settle_all(endings).await, expected);
    assert_eq!(subject.job(leases[0].job).await.state, State::Running);
}
