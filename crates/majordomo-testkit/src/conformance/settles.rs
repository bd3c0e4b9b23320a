//! Trials of `settle`: what each ending does, the fence, repeats, the sweeper.

use majordomo_core::{
    Change, Changed, DeadReason, Ending, EndingKind, Failure, FailureKind, Job, NewJob, Progress,
    Refusal, Settled, State, Verdict, When, time,
};
use serde_json::json;

use super::steps::only;
use crate::samples::{
    AGAIN, LEASE, MINUTE, RETRY, beat, claim, dead, ending, job, line, sweep, verdicts,
};
use crate::subject::Subject;

pub(super) async fn every_verdict_moves_state_and_counters_as_the_table_says(subject: Subject) {
    let soon = When::In(MINUTE);
    // The verdict; by the sweeper; charged, crashes.
    let table = [
        (Verdict::Completed, false, (0, 0)),
        (Verdict::Retry { due: soon }, false, (1, 0)),
        (Verdict::Snooze { due: soon }, false, (0, 0)),
        (Verdict::Release, false, (0, 0)),
        (Verdict::Release, true, (0, 0)),
        (Verdict::Lost { due: soon }, true, (1, 1)),
        (dead(DeadReason::Poison), true, (1, 1)),
        (dead(DeadReason::Exhausted), true, (1, 1)),
        (dead(DeadReason::Exhausted), false, (1, 0)),
        (dead(DeadReason::Permanent), false, (1, 0)),
        (dead(DeadReason::TooOld), false, (1, 0)),
        (dead(DeadReason::DecodeError), false, (0, 0)),
        (dead(DeadReason::UnsupportedPayloadVersion), false, (0, 0)),
        (Verdict::Cancelled, false, (0, 0)),
        (Verdict::Expired, false, (0, 0)),
    ];
    for (verdict, swept, counters) in table {
        let lease = subject.start(job()).await;
        let before = subject.job(lease.job).await;
        subject.advance(LEASE).await;
        let ending = if swept {
            sweep(&lease, verdict.clone())
        } else {
            ending(&lease, verdict.clone())
        };
        let (settled, window) = subject.timed(subject.settle(ending)).await;
        assert_eq!(settled, Settled::Applied(verdict.state()), "{verdict:?}");
        let job = subject.job(lease.job).await;
        assert_eq!((job.charged, job.crashes), counters, "{verdict:?}");
        assert_eq!(
            (job.state, job.token, job.lease),
            (verdict.state(), 1, None),
            "{verdict:?}"
        );
        assert_eq!(
            (job.revision, job.started_at),
            (before.revision + 1, before.started_at),
            "{verdict:?}"
        );
        assert!(window.holds(job.changed_at), "{verdict:?}");
        match verdict.due() {
            Some(When::Now) => assert!(window.holds(job.due), "{verdict:?}"),
            Some(_) => assert!(window.after(MINUTE).holds(job.due), "{verdict:?}"),
            None => assert_eq!(job.due, before.due, "{verdict:?}"),
        }
        if job.state.is_finished() {
            assert!(window.holds(job.ended_at), "{verdict:?}");
        } else {
            assert_eq!(job.ended_at, None, "{verdict:?}");
            subject.change(job.id, Change::Cancel).await;
        }
        let reason = if let Verdict::Dead { reason } = verdict {
            Some(reason)
        } else {
            None
        };
        assert_eq!(job.dead_reason, reason);
    }
}

pub(super) async fn a_due_given_as_an_instant_is_kept(subject: Subject) {
    let due = time::from_micros(1_800_000_000_000_001);
    let lease = subject.start(job()).await;
    subject
        .end(&lease, Verdict::Retry { due: When::At(due) })
        .await;
    assert_eq!(subject.job(lease.job).await.due, due);
}

pub(super) async fn charges_add_up_over_attempts(subject: Subject) {
    let id = subject.add(job()).await;
    for (verdict, charged) in [
        (RETRY, 1),
        (Verdict::Release, 1),
        (RETRY, 2),
        (Verdict::Completed, 2),
    ] {
        let lease = subject.take().await;
        subject.end(&lease, verdict).await;
        assert_eq!(subject.job(id).await.charged, charged);
    }
}

pub(super) async fn a_requested_cancel_beats_every_ending_but_completion(subject: Subject) {
    for verdict in verdicts() {
        let lease = subject.start(job()).await;
        assert_eq!(
            subject.change(lease.job, Change::Cancel).await,
            Changed::Done(State::Running)
        );
        let expected = if verdict == Verdict::Completed {
            State::Completed
        } else {
            State::Cancelled
        };
        assert_eq!(
            subject.settle(ending(&lease, verdict.clone())).await,
            Settled::Applied(expected),
            "{verdict:?}"
        );
        let details = subject.details(lease.job).await;
        assert_eq!(
            (
                details.job.state,
                details.job.charged,
                details.job.dead_reason
            ),
            (expected, 0, None)
        );
        assert!(
            !details.job.cancel_requested,
            "the request is over with the attempt"
        );
        let kind = if expected == State::Completed {
            EndingKind::Completed
        } else {
            EndingKind::Cancelled
        };
        assert_eq!(only(details.attempts).ending, Some(kind));
    }
}

pub(super) async fn one_call_settles_and_claims(subject: Subject) {
    let lease = subject.start(job()).await;
    let waiting = subject.add(job()).await;
    let (settled, claimed) = subject
        .settle_then(vec![ending(&lease, Verdict::Completed)], claim(1))
        .await;
    assert_eq!(settled, [Settled::Applied(State::Completed)]);
    assert_eq!(only(claimed.jobs).1.job, waiting);
    let (settled, claimed) = subject.settle_then(vec![], claim(1)).await;
    assert_eq!((settled, claimed.jobs), (vec![], vec![]));
}

pub(super) async fn the_claim_of_a_settle_sees_its_endings(subject: Subject) {
    let lease = subject.start(job()).await;
    let (settled, claimed) = subject
        .settle_then(vec![ending(&lease, RETRY)], claim(1))
        .await;
    assert_eq!(settled, [Settled::Applied(State::Pending)]);
    let again = only(claimed.jobs).1;
    assert_eq!((again.job, again.token), (lease.job, 2));
}

pub(super) async fn an_output_is_stored_with_the_completion(subject: Subject) {
    for output in [
        json!({"sent": [1, 2.5, "å"], "nothing": null}),
        json!(7),
        json!("text"),
    ] {
        let lease = subject.start(job()).await;
        let completed = Ending {
            output: Some(output.clone()),
            ..ending(&lease, Verdict::Completed)
        };
        subject.settle(completed).await;
        assert_eq!(subject.details(lease.job).await.output, Some(output));
    }
}

pub(super) async fn an_error_is_kept_with_its_attempt_and_the_latest_with_the_job(
    subject: Subject,
) {
    let id = subject.add(job()).await;
    let causes = ["cause one".to_owned(), "cause zwei – ü".to_owned()];
    let first = Failure::with_chain(FailureKind::Panic, "it broke", causes);
    let second = Failure::new(FailureKind::Timeout, "too slow");
    for error in [&first, &second] {
        let lease = subject.take().await;
        subject
            .settle(Ending {
                error: Some(error.clone()),
                ..ending(&lease, RETRY)
            })
            .await;
        assert_eq!(subject.job(id).await.error.as_ref(), Some(error));
    }
    let lease = subject.take().await;
    subject.end(&lease, Verdict::Completed).await;
    let details = subject.details(id).await;
    assert_eq!(
        details.job.error,
        Some(second.clone()),
        "a completion leaves the latest error to be read"
    );
    let errors: Vec<_> = details
        .attempts
        .into_iter()
        .map(|attempt| attempt.error)
        .collect();
    assert_eq!(errors, [Some(first), Some(second), None]);
}

pub(super) async fn the_last_words_of_an_attempt_are_stored_with_its_ending(subject: Subject) {
    let lease = subject.start(job()).await;
    let last = Ending {
        progress: Some(Progress::new(80.0, "nearly")),
        log: vec![line("one"), line("two")],
        ..ending(&lease, RETRY)
    };
    let (_, window) = subject.timed(subject.settle(last)).await;
    let details = subject.details(lease.job).await;
    assert_eq!(details.log, [line("one"), line("two")]);
    let report = only(details.history);
    assert_eq!(
        (report.percent, report.note.as_deref()),
        (80.0, Some("nearly"))
    );
    assert!(window.holds(report.at), "the storage says when");
    assert_eq!(details.job.progress, Some(report));
}

pub(super) async fn every_attempt_is_in_the_history(subject: Subject) {
    let id = subject.add(job()).await;
    let verdicts = [
        RETRY,
        Verdict::Snooze { due: When::Now },
        Verdict::Release,
        Verdict::Completed,
    ];
    for (index, verdict) in verdicts.iter().enumerate() {
        let lease = subject.take_by(&format!("worker-{index}")).await;
        subject.advance(MINUTE).await;
        subject.end(&lease, verdict.clone()).await;
    }
    let attempts = subject.details(id).await.attempts;
    assert_eq!(attempts.len(), verdicts.len());
    for (index, (attempt, verdict)) in attempts.iter().zip(&verdicts).enumerate() {
        assert_eq!(
            (attempt.token, attempt.ending),
            (index as u64 + 1, Some(verdict.kind()))
        );
        assert_eq!(attempt.worker, format!("worker-{index}"));
        assert!(
            attempt
                .ended_at
                .is_some_and(|ended| ended >= attempt.started_at + MINUTE)
        );
    }
}

pub(super) async fn the_history_of_attempts_keeps_the_first_and_the_latest(subject: Subject) {
    let id = subject.add(job()).await;
    let mut lease = subject.take().await;
    for _ in 0..119 {
        let (_, claimed) = subject
            .settle_then(vec![ending(&lease, Verdict::Release)], claim(1))
            .await;
        lease = only(claimed.jobs).1;
    }
    let tokens: Vec<_> = subject
        .details(id)
        .await
        .attempts
        .iter()
        .map(|attempt| attempt.token)
        .collect();
    let expected: Vec<u64> = std::iter::once(1).chain(22..=120).collect();
    assert_eq!(tokens, expected);
}

pub(super) async fn a_checkpoint_survives_a_retry_and_is_gone_at_completion(subject: Subject) {
    let lease = subject.start(job()).await;
    let saved = json!({"row": 17, "name": "ö"});
    subject
        .renew(majordomo_core::Beat {
            checkpoint: Some(saved.clone()),
            ..beat(&lease)
        })
        .await;
    subject.end(&lease, RETRY).await;
    assert_eq!(
        subject.details(lease.job).await.checkpoint.as_ref(),
        Some(&saved)
    );
    let (details, lease) = only(subject.claim(claim(1)).await.jobs);
    assert_eq!(
        details.checkpoint,
        Some(saved),
        "the next attempt is handed the checkpoint"
    );
    subject.end(&lease, Verdict::Completed).await;
    assert_eq!(subject.details(lease.job).await.checkpoint, None);
}

pub(super) async fn a_checkpoint_may_come_with_the_ending(subject: Subject) {
    let lease = subject.start(job()).await;
    let with = |lease, value: u64, verdict| Ending {
        checkpoint: Some(json!(value)),
        ..ending(lease, verdict)
    };
    subject.settle(with(&lease, 1, RETRY)).await;
    let (details, lease) = only(subject.claim(claim(1)).await.jobs);
    assert_eq!(details.checkpoint, Some(json!(1)));
    subject.end(&lease, Verdict::Release).await;
    let lease = subject.take().await;
    let kept = subject.details(lease.job).await.checkpoint;
    assert_eq!(kept, Some(json!(1)), "an ending without one leaves it");
    subject.settle(with(&lease, 2, Verdict::Completed)).await;
    assert_eq!(subject.details(lease.job).await.checkpoint, None);
}

pub(super) async fn a_checkpoint_of_a_dead_job_is_there_for_its_operators_retry(subject: Subject) {
    let lease = subject.start(job()).await;
    subject
        .renew(majordomo_core::Beat {
            checkpoint: Some(json!(5)),
            ..beat(&lease)
        })
        .await;
    subject.end(&lease, dead(DeadReason::Exhausted)).await;
    subject.change(lease.job, AGAIN).await;
    assert_eq!(
        only(subject.claim(claim(1)).await.jobs).0.checkpoint,
        Some(json!(5))
    );
}

pub(super) async fn a_completion_before_the_cancel_refuses_the_cancel(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.end(&lease, Verdict::Completed).await;
    let refused = Changed::Refused(Refusal::State(State::Completed));
    assert_eq!(subject.change(lease.job, Change::Cancel).await, refused);
}

pub(super) async fn a_finished_attempt_leaves_its_job_as_it_was_but_for_its_end(subject: Subject) {
    let new = NewJob {
        holds: vec![],
        ..super::inserts::full_job()
    };
    let now = subject.now().await;
    let new = NewJob {
        due: When::At(now),
        ..new
    };
    let id = subject.add(new.clone()).await;
    let claim = majordomo_core::Claim {
        queues: vec![(new.queue.clone(), 1)],
        ..crate::samples::claim_of(&[&new.task], 1)
    };
    let lease = only(subject.claim(claim).await.jobs).1;
    subject.end(&lease, Verdict::Completed).await;
    let stored = subject.job(id).await;
    let expected = Job {
        state: State::Completed,
        token: 1,
        revision: 2,
        changed_at: stored.changed_at,
        started_at: stored.started_at,
        ended_at: stored.ended_at,
        ..new.into_job(stored.created_at)
    };
    assert_eq!(stored, expected);
}
