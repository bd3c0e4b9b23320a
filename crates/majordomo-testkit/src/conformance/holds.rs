//! Trials of holds: how long a key is held, and what a conflict does.

use majordomo_core::{
    Change, Changed, Filter, Hold, Inserted, Job, JobId, NewJob, OnConflict, Refusal, State, Until,
    Verdict, When,
};

use super::steps::{must, only};
use crate::samples::{AGAIN, FINISHED, LEASE, MINUTE, RETRY, claim, holding, job};
use crate::subject::Subject;

const LENGTHS: [Until; 3] = [Until::Started, Until::Finished, Until::For(LEASE)];
pub(super) const CONFLICTS: [OnConflict; 3] =
    [OnConflict::Keep, OnConflict::Replace, OnConflict::Postpone];

/// How far the holder of a key has come when another job wants the key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Pending,
    Running,
    PendingAgain,
    Finished,
    Removed,
    /// Still pending, but longer ago than the hold was for.
    Late,
}

const STAGES: [Stage; 6] = [
    Stage::Pending,
    Stage::Running,
    Stage::PendingAgain,
    Stage::Finished,
    Stage::Removed,
    Stage::Late,
];

fn is_held(until: Until, stage: Stage) -> bool {
    match until {
        Until::Started => matches!(stage, Stage::Pending | Stage::Late),
        Until::Finished => !matches!(stage, Stage::Finished | Stage::Removed),
        Until::For(_) => stage != Stage::Late,
    }
}

/// Inserts a job that holds `key`, and brings it to this stage.
async fn holder_at(subject: &Subject, stage: Stage, key: &str, until: Until) -> JobId {
    let new = holding(key, until, OnConflict::Keep);
    if matches!(stage, Stage::Pending | Stage::Late) {
        let id = subject.add(new).await;
        if stage == Stage::Late {
            subject.advance(LEASE).await;
        }
        return id;
    }
    let lease = subject.start(new).await;
    match stage {
        Stage::PendingAgain => subject.end(&lease, RETRY).await,
        Stage::Finished | Stage::Removed => subject.end(&lease, Verdict::Completed).await,
        _ => {}
    }
    if stage == Stage::Removed {
        assert_eq!(subject.remove(&Filter::id(lease.job)).await, 1);
    }
    lease.job
}

async fn stored(subject: &Subject, id: JobId) -> Option<Job> {
    only(must(subject.storage.get(&[id])).await).map(|details| details.job)
}

pub(super) async fn a_key_is_held_as_long_as_it_says_whatever_the_newcomer_wants(subject: Subject) {
    for until in LENGTHS {
        for on_conflict in CONFLICTS {
            for stage in STAGES {
                let case = format!("{until:?}, {stage:?}, {on_conflict:?}");
                let holder = holder_at(&subject, stage, &case, until).await;
                let before = stored(&subject, holder).await;
                let newcomer = NewJob {
                    due: When::In(7 * MINUTE),
                    ..holding(&case, Until::Finished, on_conflict)
                };
                let id = newcomer.id;
                let (answer, window) = subject.timed(subject.insert(newcomer)).await;
                let held = is_held(until, stage);
                let expected = if held {
                    Inserted::Existing(holder)
                } else {
                    Inserted::New
                };
                assert_eq!(answer, expected, "{case}");
                assert_eq!(stored(&subject, id).await.is_some(), !held, "{case}");
                let after = stored(&subject, holder).await;
                let pending = before
                    .as_ref()
                    .is_some_and(|job| job.state == State::Pending);
                if held && pending && on_conflict != OnConflict::Keep {
                    let after = after.expect("it is there");
                    assert!(window.after(7 * MINUTE).holds(after.due), "{case}");
                    assert_eq!(
                        Some(after.revision),
                        before.map(|job| job.revision + 1),
                        "{case}"
                    );
                } else {
                    assert_eq!(after, before, "{case}");
                }
                for id in [holder, id] {
                    must(
                        subject
                            .storage
                            .change(&Filter::id(id), &Change::Cancel, None, 1),
                    )
                    .await;
                }
            }
        }
    }
}

/// What a key's holder is, by asking for the key.
pub(super) async fn holder_of(subject: &Subject, key: &str) -> Option<JobId> {
    let asking = holding(key, Until::Started, OnConflict::Keep);
    let id = asking.id;
    match subject.insert(asking).await {
        Inserted::Existing(holder) => Some(holder),
        Inserted::New => {
            // Give the key up again.
            assert_eq!(
                subject.change(id, Change::Cancel).await,
                Changed::Done(State::Cancelled)
            );
            None
        }
    }
}

pub(super) async fn every_way_to_finish_gives_the_keys_back(subject: Subject) {
    let new = || NewJob {
        holds: vec![
            Hold::new("started").until(Until::Started),
            Hold::new("finished"),
        ],
        ..job()
    };
    let verdicts = [
        Verdict::Completed,
        Verdict::Dead {
            reason: majordomo_core::DeadReason::Exhausted,
        },
        Verdict::Cancelled,
        Verdict::Expired,
    ];
    for verdict in verdicts {
        let lease = subject.start(new()).await;
        assert_eq!(
            holder_of(&subject, "started").await,
            None,
            "given up at the start"
        );
        assert_eq!(holder_of(&subject, "finished").await, Some(lease.job));
        subject.end(&lease, verdict).await;
        assert_eq!(holder_of(&subject, "finished").await, None);
    }
    for change in [Change::Cancel, Change::Expire] {
        let id = subject.add(new()).await;
        subject.change(id, change).await;
        for key in ["started", "finished"] {
            assert_eq!(
                holder_of(&subject, key).await,
                None,
                "a job that never started gives both back"
            );
        }
    }
    let id = subject
        .add(NewJob {
            expires: Some(When::Now),
            ..new()
        })
        .await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    assert_eq!(subject.job(id).await.state, State::Expired);
    for key in ["started", "finished"] {
        assert_eq!(
            holder_of(&subject, key).await,
            None,
            "so does one that expired"
        );
    }
}

pub(super) async fn a_key_given_up_at_the_start_is_never_taken_again_by_a_retry(subject: Subject) {
    let lease = subject
        .start(holding("key", Until::Started, OnConflict::Keep))
        .await;
    let second = holding("key", Until::Finished, OnConflict::Keep);
    let second = subject
        .add(NewJob {
            due: When::In(LEASE),
            ..second
        })
        .await;
    subject.end(&lease, RETRY).await;
    assert_eq!(holder_of(&subject, "key").await, Some(second));
    let lease = subject.take().await;
    subject.end(&lease, Verdict::Completed).await;
    assert_eq!(
        holder_of(&subject, "key").await,
        Some(second),
        "the end of another job gives up no key of this one"
    );
    assert_eq!(
        subject.change(lease.job, AGAIN).await,
        Changed::Done(State::Pending)
    );
    assert_eq!(holder_of(&subject, "key").await, Some(second));
}

pub(super) async fn a_retry_is_never_blocked_by_a_key(subject: Subject) {
    let lease = subject
        .start(holding("key", Until::Started, OnConflict::Keep))
        .await;
    let second = holding("key", Until::Started, OnConflict::Keep);
    subject
        .add(NewJob {
            due: When::In(LEASE),
            ..second
        })
        .await;
    subject.end(&lease, RETRY).await;
    let again = subject.take().await;
    assert_eq!((again.job, again.token), (lease.job, 2));
}

pub(super) async fn an_operators_retry_takes_its_keys_again(subject: Subject) {
    for state in FINISHED {
        let new = NewJob {
            holds: vec![
                Hold::new("started").until(Until::Started),
                Hold::new("finished"),
            ],
            ..job()
        };
        let id = subject.add(new).await;
        match state {
            State::Cancelled => drop(subject.change(id, Change::Cancel).await),
            State::Expired => drop(subject.change(id, Change::Expire).await),
            State::Completed => subject.end(&subject.take().await, Verdict::Completed).await,
            _ => {
                let reason = majordomo_core::DeadReason::Permanent;
                subject
                    .end(&subject.take().await, Verdict::Dead { reason })
                    .await;
            }
        }
        assert_eq!(holder_of(&subject, "finished").await, None);
        assert_eq!(
            subject.change(id, AGAIN).await,
            Changed::Done(State::Pending)
        );
        assert_eq!(
            holder_of(&subject, "finished").await,
            Some(id),
            "from {state}"
        );
        assert_eq!(holder_of(&subject, "started").await, None, "from {state}");
        subject.change(id, Change::Cancel).await;
        assert_eq!(holder_of(&subject, "finished").await, None);
    }
}

pub(super) async fn an_operators_retry_is_refused_while_another_holds_the_key(subject: Subject) {
    let new = NewJob {
        holds: vec![Hold::new("free"), Hold::new("key")],
        ..job()
    };
    let id = subject.finish(new, Verdict::Completed).await;
    let before = subject.details(id).await;
    let second = subject
        .add(holding("key", Until::For(LEASE), OnConflict::Keep))
        .await;
    let refused = Changed::Refused(Refusal::KeyHeld {
        key: "key".to_owned(),
        by: second,
    });
    assert_eq!(subject.change(id, AGAIN).await, refused);
    assert_eq!(subject.details(id).await, before);
    assert_eq!(
        holder_of(&subject, "free").await,
        None,
        "a refused retry holds nothing"
    );
    subject.advance(LEASE).await;
    assert_eq!(
        subject.change(id, AGAIN).await,
        Changed::Done(State::Pending)
    );
    assert_eq!(holder_of(&subject, "key").await, Some(id));
}

pub(super) async fn of_two_retries_in_one_page_only_one_gets_the_key(subject: Subject) {
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(
            subject
                .finish(
                    holding("key", Until::Finished, OnConflict::Keep),
                    Verdict::Completed,
                )
                .await,
        );
    }
    let page = must(
        subject
            .storage
            .change(&Filter::ids(ids.clone()), &AGAIN, None, 10),
    )
    .await;
    let refusal = Refusal::KeyHeld {
        key: "key".to_owned(),
        by: ids[0],
    };
    assert_eq!(
        page.items,
        [
            (ids[0], Changed::Done(State::Pending)),
            (ids[1], Changed::Refused(refusal))
        ]
    );
}

pub(super) async fn a_hold_for_a_time_survives_its_job_and_ends_by_time(subject: Subject) {
    let id = subject
        .finish(
            holding("key", Until::For(10 * MINUTE), OnConflict::Keep),
            Verdict::Completed,
        )
        .await;
    assert_eq!(holder_of(&subject, "key").await, Some(id));
    assert_eq!(subject.remove(&Filter::id(id)).await, 1);
    for on_conflict in CONFLICTS {
        let newcomer = holding("key", Until::Finished, on_conflict);
        assert_eq!(
            subject.insert(newcomer).await,
            Inserted::Existing(id),
            "{on_conflict:?}"
        );
    }
    subject.advance(9 * MINUTE).await;
    assert_eq!(holder_of(&subject, "key").await, Some(id));
    subject.advance(MINUTE).await;
    assert_eq!(holder_of(&subject, "key").await, None);
}

pub(super) async fn a_hold_for_a_time_does_not_grow_with_a_retry(subject: Subject) {
    let id = subject
        .finish(
            holding("key", Until::For(10 * MINUTE), OnConflict::Keep),
            Verdict::Completed,
        )
        .await;
    subject.advance(5 * MINUTE).await;
    subject.change(id, AGAIN).await;
    subject.advance(5 * MINUTE).await;
    assert_eq!(
        holder_of(&subject, "key").await,
        None,
        "it is counted from the insert"
    );
}

pub(super) async fn the_end_of_an_earlier_holder_gives_up_no_key_of_a_later_one(subject: Subject) {
    let lease = subject
        .start(holding("key", Until::For(10 * MINUTE), OnConflict::Keep))
        .await;
    subject.advance(10 * MINUTE).await;
    let later = NewJob {
        due: When::In(LEASE),
        ..holding("key", Until::Finished, OnConflict::Keep)
    };
    let later = subject.add(later).await;
    subject.end(&lease, Verdict::Completed).await;
    assert_eq!(holder_of(&subject, "key").await, Some(later));
    assert_eq!(subject.remove(&Filter::id(lease.job)).await, 1);
    assert_eq!(holder_of(&subject, "key").await, Some(later));
}
