//! Trials of `renew`: leases go on, attempts say how they come along, and
//! nobody speaks for an attempt that is not theirs.

use majordomo_core::{
    Beat, Change, Job, JobId, Lease, LogLine, Progress, Renewed, State, Timestamp, Verdict, limits,
    progress::Step,
};
use serde_json::json;

use super::steps::{must, only};
use crate::samples::{LEASE, LOST, MINUTE, RETRY, beat, claim, ending, job, jobs, line, sweep};
use crate::subject::Subject;

pub(super) async fn a_beat_extends_the_lease_from_now(subject: Subject) {
    let lease = subject.start(job()).await;
    let before = subject.details(lease.job).await;
    subject.advance(LEASE / 2).await;
    let (renewed, window) = subject
        .timed(subject.renew(Beat::new(lease.clone(), 2 * LEASE)))
        .await;
    assert_eq!(renewed, Renewed::Kept);
    let after = subject.details(lease.job).await;
    let extended = after.job.lease.clone().expect("it is running");
    assert!(window.after(2 * LEASE).holds(extended.expires));
    assert_eq!(
        (extended.token, &extended.worker),
        (lease.token, &lease.worker)
    );
    let expected = Job {
        lease: Some(extended),
        ..before.job
    };
    assert_eq!(
        after.job, expected,
        "a beat without news changes nothing but the lease"
    );
    assert_eq!(
        (after.attempts, after.history, after.log),
        (before.attempts, before.history, before.log)
    );
}

pub(super) async fn a_stale_beat_writes_nothing_and_says_so(subject: Subject) {
    let old = subject.start(job()).await;
    subject.advance(LEASE).await;
    subject.settle(sweep(&old, LOST)).await;
    let stale = Beat {
        progress: Some(Progress::new(50.0, "late")),
        log: vec![line("late")],
        checkpoint: Some(json!("late")),
        ..beat(&old)
    };
    let pending = subject.details(old.job).await;
    assert_eq!(subject.renew(stale.clone()).await, Renewed::Lost);
    assert_eq!(subject.details(old.job).await, pending);
    let new = subject.take().await;
    let running = subject.details(new.job).await;
    assert_eq!(subject.renew(stale).await, Renewed::Lost);
    assert_eq!(subject.details(new.job).await, running);
}

pub(super) async fn a_beat_for_a_finished_or_unknown_job_is_lost(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.end(&lease, Verdict::Completed).await;
    let before = subject.details(lease.job).await;
    assert_eq!(subject.renew(beat(&lease)).await, Renewed::Lost);
    assert_eq!(subject.details(lease.job).await, before);
    assert_eq!(
        subject
            .renew(beat(&Lease {
                job: JobId::new(),
                ..lease
            }))
            .await,
        Renewed::Lost
    );
}

pub(super) async fn a_lease_that_ran_out_is_renewed_while_nobody_swept(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(2 * LEASE).await;
    assert_eq!(subject.renew(beat(&lease)).await, Renewed::Kept);
    let expired = majordomo_core::Filter {
        lease_expired: true,
        ..Default::default()
    };
    assert_eq!(subject.find_ids(&expired).await, []);
}

pub(super) async fn a_beat_brings_a_requested_cancel_down(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.change(lease.job, Change::Cancel).await;
    subject.advance(LEASE / 2).await;
    for _ in 0..2 {
        let (renewed, window) = subject.timed(subject.renew(beat(&lease))).await;
        assert_eq!(renewed, Renewed::CancelAsked);
        let expires = subject
            .job(lease.job)
            .await
            .lease
            .expect("it is running")
            .expires;
        assert!(
            window.after(LEASE).holds(expires),
            "it is extended all the same"
        );
    }
}

pub(super) async fn beats_are_answered_one_by_one_in_order(subject: Subject) {
    subject.add_all(jobs(3)).await;
    let leases: Vec<_> = subject
        .claim(claim(3))
        .await
        .jobs
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    subject.settle(ending(&leases[1], RETRY)).await;
    subject.change(leases[2].job, Change::Cancel).await;
    let beats = [2, 1, 0, 2].map(|index| beat(&leases[index])).to_vec();
    let expected = [
        Renewed::CancelAsked,
        Renewed::Lost,
        Renewed::Kept,
        Renewed::CancelAsked,
    ];
    assert_eq!(must(subject.storage.renew(beats)).await, expected);
    assert_eq!(must(subject.storage.renew(vec![])).await, []);
}

pub(super) async fn reports_of_progress_are_kept_with_the_storages_time(subject: Subject) {
    let lease = subject.start(job()).await;
    let before = subject.job(lease.job).await;
    let reports = [
        Progress::new(12.5, "fetching"),
        Progress::of_steps(Step { done: 3, total: 4 }, ""),
        Progress::new(99.99, "pöst – 🎉"),
        Progress::new(100.0, "").data(serde_json::json!({ "rows": [1, 2.5, null, "ü"] })),
    ];
    for (index, report) in reports.iter().enumerate() {
        subject.advance(MINUTE).await;
        let told = Beat {
            progress: Some(report.clone()),
            ..beat(&lease)
        };
        let (_, window) = subject.timed(subject.renew(told)).await;
        let details = subject.details(lease.job).await;
        assert_eq!(details.history.len(), index + 1);
        let stored = details.history[index].clone();
        assert!(window.holds(stored.at));
        assert_eq!(
            Progress {
                at: Timestamp::UNIX_EPOCH,
                ..stored.clone()
            },
            *report
        );
        assert_eq!(details.job.progress, Some(stored));
    }
    subject.renew(beat(&lease)).await;
    let after = subject.details(lease.job).await;
    assert_eq!(
        (after.history.len(), after.job.revision),
        (4, before.revision),
        "progress is no revision"
    );
    assert_eq!(after.job.changed_at, before.changed_at);
}

pub(super) async fn progress_outlives_its_attempt(subject: Subject) {
    let lease = subject.start(job()).await;
    subject
        .renew(Beat {
            progress: Some(Progress::new(40.0, "half")),
            ..beat(&lease)
        })
        .await;
    subject.end(&lease, RETRY).await;
    let again = subject.take().await;
    let details = subject.details(again.job).await;
    assert_eq!(
        details.job.progress.as_ref().map(|report| report.percent),
        Some(40.0)
    );
    assert_eq!(details.history.len(), 1);
}

pub(super) async fn a_long_history_of_progress_is_bounded_and_keeps_first_and_last(
    subject: Subject,
) {
    let lease = subject.start(job()).await;
    for step in 0..=150_u32 {
        subject.advance(std::time::Duration::from_secs(1)).await;
        let report = Progress::new(f64::from(step) / 1.5, "");
        subject
            .renew(Beat {
                progress: Some(report),
                ..beat(&lease)
            })
            .await;
    }
    let history = subject.details(lease.job).await.history;
    assert_eq!(history.len(), limits::HISTORY);
    assert_eq!(
        (history[0].percent, history[limits::HISTORY - 1].percent),
        (0.0, 100.0)
    );
    assert!(history.is_sorted_by(|a, b| a.at < b.at));
}

pub(super) async fn log_lines_are_kept_in_order(subject: Subject) {
    let lease = subject.start(job()).await;
    let at = Timestamp::from_microsecond(1_700_000_000_000_001).expect("it is in range");
    let first = LogLine {
        at,
        level: "warn".to_owned(),
        message: "multi\nline – ü".to_owned(),
    };
    subject
        .renew(Beat {
            log: vec![first.clone(), line("b")],
            ..beat(&lease)
        })
        .await;
    subject
        .renew(Beat {
            log: vec![line("c")],
            ..beat(&lease)
        })
        .await;
    assert_eq!(
        subject.details(lease.job).await.log,
        [first, line("b"), line("c")]
    );
}

pub(super) async fn a_long_log_keeps_the_latest_lines(subject: Subject) {
    let lease = subject.start(job()).await;
    for batch in 0..4 {
        let lines = (0..200)
            .map(|index| line(&(batch * 200 + index).to_string()))
            .collect();
        subject
            .renew(Beat {
                log: lines,
                ..beat(&lease)
            })
            .await;
    }
    let log = subject.details(lease.job).await.log;
    let expected: Vec<_> = (300..800).map(|index| line(&index.to_string())).collect();
    assert_eq!(log, expected);
    let large = line(&"x".repeat(limits::LOG - 1));
    subject
        .renew(Beat {
            log: vec![large.clone()],
            ..beat(&lease)
        })
        .await;
    assert_eq!(
        subject.details(lease.job).await.log,
        [large],
        "no more bytes than the limit"
    );
}

pub(super) async fn a_later_checkpoint_replaces_the_earlier_one(subject: Subject) {
    let lease = subject.start(job()).await;
    for checkpoint in [json!({"page": 1}), json!([2, "zwei"])] {
        subject
            .renew(Beat {
                checkpoint: Some(checkpoint.clone()),
                ..beat(&lease)
            })
            .await;
        subject.renew(beat(&lease)).await;
        assert_eq!(
            subject.details(lease.job).await.checkpoint,
            Some(checkpoint)
        );
    }
}

pub(super) async fn two_beats_of_one_lease_in_a_call_are_both_stored(subject: Subject) {
    let lease = subject.start(job()).await;
    let beats = ["one", "two"].map(|text| Beat {
        log: vec![line(text)],
        ..beat(&lease)
    });
    must(subject.storage.renew(beats.to_vec())).await;
    let details = subject.details(lease.job).await;
    assert_eq!(details.log, [line("one"), line("two")]);
    assert_eq!(
        (details.job.state, only(details.attempts).token),
        (State::Running, 1)
    );
}
