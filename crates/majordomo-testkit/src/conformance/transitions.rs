//! Trials of the transition table: every pair of a state and a change, legal
//! or not, and nothing outside the table.

use majordomo_core::{
    Change, Changed, DeadReason, Edit, Filter, JobId, Refusal, State, Tags, Verdict, When,
};

use crate::samples::{AGAIN, FINISHED, MINUTE, beat, ending, job};
use crate::subject::Subject;

/// A job in this state.
async fn job_in(subject: &Subject, state: State) -> JobId {
    let verdict = match state {
        State::Pending => return subject.add(job()).await,
        State::Running => return subject.start(job()).await.job,
        State::Completed => Verdict::Completed,
        State::Dead => Verdict::Dead {
            reason: DeadReason::Permanent,
        },
        State::Cancelled => Verdict::Cancelled,
        State::Expired => Verdict::Expired,
    };
    subject.finish(job(), verdict).await
}

/// Every change, and the state it brings a job to from each state it is legal in.
fn table() -> Vec<(Change, Vec<(State, State)>)> {
    use State::{Cancelled, Completed, Dead, Expired, Pending, Running};
    let pending = vec![(Pending, Pending)];
    let edit = Edit {
        tags: Some(Tags::none().with("edited")),
        ..Edit::default()
    };
    vec![
        (
            Change::Cancel,
            vec![(Pending, Cancelled), (Running, Running)],
        ),
        (AGAIN, FINISHED.map(|state| (state, Pending)).to_vec()),
        (
            Change::Reschedule {
                due: When::In(MINUTE),
            },
            pending.clone(),
        ),
        (
            Change::Move {
                queue: "elsewhere".to_owned(),
            },
            pending.clone(),
        ),
        (Change::Priority(9), pending),
        (
            Change::Edit(edit),
            [Pending, Completed, Dead, Cancelled, Expired]
                .map(|state| (state, state))
                .to_vec(),
        ),
        (Change::Expire, vec![(Pending, Expired)]),
    ]
}

pub(super) async fn every_legal_change_is_made(subject: Subject) {
    for (change, legal) in table() {
        for (from, to) in legal {
            let id = job_in(&subject, from).await;
            let before = subject.job(id).await;
            assert_eq!(
                subject.change(id, change.clone()).await,
                Changed::Done(to),
                "{change:?} of a {from} job"
            );
            let after = subject.job(id).await;
            assert_eq!(
                (after.state, after.revision, after.token),
                (to, before.revision + 1, before.token)
            );
            assert_eq!(
                after.ended_at.is_some(),
                to.is_finished(),
                "{change:?} of a {from} job"
            );
            // Out of the way of the next pair.
            subject.change(id, Change::Cancel).await;
        }
    }
}

pub(super) async fn every_illegal_change_is_refused_and_changes_nothing(subject: Subject) {
    for (change, legal) in table() {
        for from in State::ALL
            .into_iter()
            .filter(|from| legal.iter().all(|(state, _)| state != from))
        {
            let id = job_in(&subject, from).await;
            let before = subject.details(id).await;
            let refused = Changed::Refused(Refusal::State(from));
            assert_eq!(
                subject.change(id, change.clone()).await,
                refused,
                "{change:?} of a {from} job"
            );
            assert_eq!(subject.details(id).await, before);
            subject.change(id, Change::Cancel).await;
        }
    }
}

pub(super) async fn only_a_running_job_can_be_ended_or_renewed(subject: Subject) {
    let lease = subject.start(job()).await;
    let id = lease.job;
    subject.end(&lease, Verdict::Completed).await;
    for change in [
        None,
        Some(AGAIN),
        Some(Change::Cancel),
        Some(AGAIN),
        Some(Change::Expire),
    ] {
        if let Some(change) = change {
            subject.change(id, change).await;
        }
        let before = subject.details(id).await;
        let settled = subject.settle(ending(&lease, Verdict::Cancelled)).await;
        assert_eq!(
            settled,
            majordomo_core::Settled::Stale,
            "of a {} job",
            before.job.state
        );
        assert_eq!(
            subject.renew(beat(&lease)).await,
            majordomo_core::Renewed::Lost
        );
        assert_eq!(subject.details(id).await, before);
    }
}

pub(super) async fn an_edit_of_a_finished_job_is_what_its_retry_runs(subject: Subject) {
    let id = job_in(&subject, State::Dead).await;
    let payload = majordomo_core::Payload {
        codec: majordomo_core::Codec::JSON,
        bytes: b"[2]".to_vec(),
    };
    let edit = Edit {
        payload: Some(payload.clone()),
        ..Edit::default()
    };
    assert_eq!(
        subject.change(id, Change::Edit(edit)).await,
        Changed::Done(State::Dead)
    );
    subject.change(id, AGAIN).await;
    let claimed = subject.claim(crate::samples::claim(1)).await;
    assert_eq!(claimed.jobs[0].0.job.payload, payload);
    assert_eq!(
        subject.find_ids(&Filter::all().state(State::Running)).await,
        [id]
    );
}
