//! Trials of conflicts: what an insert does about a key that another job holds.

use majordomo_core::{Change, Filter, Hold, Inserted, Job, NewJob, OnConflict, State, Until, When};

use super::holds::{CONFLICTS, holder_of};
use super::steps::{must, must_be};
use crate::samples::{MINUTE, RETRY, claim, holding, job};
use crate::subject::Subject;

pub(super) async fn a_replacement_takes_over_everything_but_identity_and_history(subject: Subject) {
    let first = holding("key", Until::Finished, OnConflict::Keep);
    let lease = subject.start(first.clone()).await;
    subject.end(&lease, RETRY).await;
    let before = subject.details(lease.job).await;
    subject.advance(MINUTE).await;
    let hold = Hold::new("key")
        .until(Until::Started)
        .on_conflict(OnConflict::Replace);
    let newcomer = NewJob {
        holds: vec![hold],
        ..super::inserts::full_job()
    };
    let (answer, window) = subject.timed(subject.insert(newcomer.clone())).await;
    assert_eq!(answer, Inserted::Existing(first.id));
    let after = subject.details(first.id).await;
    assert!(window.holds(after.job.changed_at));
    let now = after.job.changed_at;
    let expected = Job {
        id: first.id,
        holds: first.holds,
        token: 1,
        charged: 1,
        revision: before.job.revision + 1,
        created_at: before.job.created_at,
        started_at: before.job.started_at,
        ..newcomer.clone().into_job(now)
    };
    assert_eq!(after.job, expected);
    assert_eq!(after.attempts, before.attempts);
    assert_eq!(must(subject.storage.get(&[newcomer.id])).await, [None]);
    assert_eq!(
        holder_of(&subject, "key").await,
        Some(first.id),
        "it is still held as the holder said"
    );
    assert_eq!(
        subject.claim_ids(claim(1)).await,
        [],
        "it is another task in another queue now"
    );
}

pub(super) async fn a_postponement_moves_the_due_time_and_nothing_else(subject: Subject) {
    let new = holding("key", Until::Started, OnConflict::Postpone);
    let id = subject.add(new).await;
    let before = subject.job(id).await;
    for round in 1..=3 {
        subject.advance(MINUTE).await;
        let again = NewJob {
            due: When::In(10 * MINUTE),
            ..holding("key", Until::Started, OnConflict::Postpone)
        };
        let again = NewJob {
            priority: 9,
            queue: "other".to_owned(),
            ..again
        };
        let (answer, window) = subject.timed(subject.insert(again)).await;
        assert_eq!(answer, Inserted::Existing(id));
        let after = subject.job(id).await;
        assert!(window.after(10 * MINUTE).holds(after.due) && window.holds(after.changed_at));
        let expected = Job {
            due: after.due,
            changed_at: after.changed_at,
            revision: 1 + round,
            ..before.clone()
        };
        assert_eq!(after, expected);
    }
    subject.advance(9 * MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, []);
    subject.advance(MINUTE).await;
    assert_eq!(subject.claim_ids(claim(1)).await, [id]);
}

pub(super) async fn all_keys_are_checked_before_any_is_taken(subject: Subject) {
    let (a, c) = (
        holding("a", Until::Finished, OnConflict::Keep),
        holding("c", Until::Finished, OnConflict::Keep),
    );
    subject.add_all(vec![a.clone(), c.clone()]).await;
    let wants = |keys: &[&str]| NewJob {
        holds: keys.iter().map(|key| Hold::new(*key)).collect(),
        ..job()
    };
    assert_eq!(
        subject.insert(wants(&["b", "c", "a"])).await,
        Inserted::Existing(c.id),
        "the first in its order"
    );
    assert_eq!(
        subject.insert(wants(&["b", "a", "c"])).await,
        Inserted::Existing(a.id)
    );
    assert_eq!(
        holder_of(&subject, "b").await,
        None,
        "a job that was not stored holds nothing"
    );
    assert_eq!(
        subject.find_ids(&Filter::all().state(State::Pending)).await,
        [a.id, c.id]
    );
}

pub(super) async fn the_first_conflict_decides_what_happens(subject: Subject) {
    let (a, b) = (
        holding("a", Until::Finished, OnConflict::Keep),
        holding("b", Until::Finished, OnConflict::Keep),
    );
    subject.add_all(vec![a.clone(), b.clone()]).await;
    let holds = vec![
        Hold::new("free"),
        Hold::new("a").on_conflict(OnConflict::Postpone),
        Hold::new("b").on_conflict(OnConflict::Replace),
    ];
    let newcomer = NewJob {
        holds,
        priority: 9,
        due: When::In(MINUTE),
        ..job()
    };
    assert_eq!(subject.insert(newcomer).await, Inserted::Existing(a.id));
    let (a, b) = (subject.job(a.id).await, subject.job(b.id).await);
    assert_eq!(
        (a.revision, a.priority, b.revision, b.priority),
        (2, 0, 1, 0)
    );
}

pub(super) async fn jobs_of_one_group_meet_each_others_keys(subject: Subject) {
    let [a, b] = [0, 1].map(|priority| NewJob {
        priority,
        ..holding("key", Until::Finished, OnConflict::Replace)
    });
    let other = holding("other", Until::Finished, OnConflict::Keep);
    let answers = subject.insert_group(vec![a.clone(), b, other]).await;
    assert_eq!(
        answers,
        [Inserted::New, Inserted::Existing(a.id), Inserted::New]
    );
    assert_eq!(subject.job(a.id).await.priority, 1);
    let [c, d] = [0, 1].map(|_| holding("third", Until::Finished, OnConflict::Keep));
    let answers = subject.insert_groups(vec![vec![c.clone()], vec![d]]).await;
    let answers: Vec<_> = answers.into_iter().map(must_be).collect();
    assert_eq!(answers, [[Inserted::New], [Inserted::Existing(c.id)]]);
}

pub(super) async fn a_key_named_twice_by_one_job_is_no_conflict(subject: Subject) {
    let twice = NewJob {
        holds: vec![Hold::new("key"), Hold::new("key")],
        ..job()
    };
    let id = subject.add(twice).await;
    assert_eq!(holder_of(&subject, "key").await, Some(id));
    subject.change(id, Change::Cancel).await;
    assert_eq!(holder_of(&subject, "key").await, None);
}

pub(super) async fn a_repeated_insert_does_not_meet_its_own_key(subject: Subject) {
    for on_conflict in CONFLICTS {
        let new = NewJob {
            due: When::In(MINUTE),
            ..holding(&format!("{on_conflict:?}"), Until::Finished, on_conflict)
        };
        let id = subject.add(new.clone()).await;
        let before = subject.job(id).await;
        subject.advance(MINUTE).await;
        assert_eq!(
            subject.insert_again(new.clone()).await,
            Inserted::Existing(id)
        );
        assert_eq!(subject.insert(new).await, Inserted::Existing(id));
        assert_eq!(
            subject.job(id).await,
            before,
            "a repeat is not a newcomer, {on_conflict:?}"
        );
    }
}

pub(super) async fn keys_are_compared_to_the_letter(subject: Subject) {
    for key in [
        "key",
        "Key",
        "key ",
        " key",
        "ke",
        "key%",
        "kéy",
        "ke\u{301}y",
    ] {
        subject
            .add(holding(key, Until::Finished, OnConflict::Keep))
            .await;
    }
}
