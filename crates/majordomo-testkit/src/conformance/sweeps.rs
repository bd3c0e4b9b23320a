//! Trials of the sweeper's endings, which count only once a lease has run out
//! by the storage's clock.

use majordomo_core::{Change, DeadReason, EndingKind, FailureKind, Settled, State, Verdict};

use super::steps::only;
use crate::samples::{LEASE, LOST, MINUTE, beat, dead, ending, job, sweep};
use crate::subject::Subject;

pub(super) async fn a_requested_cancel_beats_the_sweeper_without_a_charge(subject: Subject) {
    for verdict in [LOST, Verdict::Release, dead(DeadReason::Poison)] {
        let lease = subject.start(job()).await;
        subject.change(lease.job, Change::Cancel).await;
        subject.advance(LEASE).await;
        assert_eq!(
            subject.settle(sweep(&lease, verdict)).await,
            Settled::Applied(State::Cancelled)
        );
        let job = subject.job(lease.job).await;
        assert_eq!((job.charged, job.crashes), (0, 0));
    }
}

pub(super) async fn a_live_lease_cannot_be_swept(subject: Subject) {
    let lease = subject.start(job()).await;
    let before = subject.details(lease.job).await;
    subject.advance(LEASE - MINUTE).await;
    assert_eq!(subject.settle(sweep(&lease, LOST)).await, Settled::Stale);
    assert_eq!(subject.details(lease.job).await, before);
}

pub(super) async fn a_renewed_lease_cannot_be_swept_by_an_old_look(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(LEASE).await;
    let looked = only(
        subject
            .find(&majordomo_core::Filter {
                lease_expired: true,
                ..Default::default()
            })
            .await,
    );
    let seen = looked.lease.expect("a running job has a lease");
    subject.renew(beat(&lease)).await;
    let before = subject.details(lease.job).await;
    assert_eq!(subject.settle(sweep(&seen, LOST)).await, Settled::Stale);
    assert_eq!(subject.details(lease.job).await, before);
    subject.end(&lease, Verdict::Completed).await;
}

pub(super) async fn a_lease_that_ran_out_is_swept_once(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(LEASE).await;
    let pending = Settled::Applied(State::Pending);
    assert_eq!(subject.settle(sweep(&lease, LOST)).await, pending);
    assert_eq!(
        subject.settle(sweep(&lease, LOST)).await,
        pending,
        "two sweepers are told the same"
    );
    let details = subject.details(lease.job).await;
    assert_eq!(
        (details.job.charged, details.job.crashes),
        (1, 1),
        "and only one of them counts"
    );
    let attempt = only(details.attempts);
    assert_eq!(attempt.ending, Some(EndingKind::Lost));
    assert_eq!(
        attempt.error.map(|error| error.kind),
        Some(FailureKind::LeaseLost)
    );
}

pub(super) async fn a_late_ending_counts_while_nobody_swept(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(3 * LEASE).await;
    subject.end(&lease, Verdict::Completed).await;
    assert_eq!(subject.settle(sweep(&lease, LOST)).await, Settled::Stale);
    assert_eq!(subject.job(lease.job).await.state, State::Completed);
}

pub(super) async fn a_worker_is_not_told_that_a_sweepers_ending_was_its_own(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.advance(LEASE).await;
    assert_eq!(
        subject.settle(sweep(&lease, Verdict::Release)).await,
        Settled::Applied(State::Pending)
    );
    assert_eq!(
        subject.settle(ending(&lease, Verdict::Release)).await,
        Settled::Stale
    );
}
