//! Many jobs in one call: what shares statements comes out as if each job had its own.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]
mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Fixture, MINUTE, ask, claim, fixture, insert, job, settle};
use majordomo_core::{
    Change, Ending, EndingKind, Filter, Inserted, JobId, NewJob, Payload, Proof, Repeat, Settled,
    State, Storage, Verdict, When,
};
use majordomo_sqlite::Sqlite;
use serde_json::{Value, json};

/// Each unfinished job either waits or runs, and no other job does.
fn assert_in_step(fixture: &Fixture) {
    let out_of_step: i64 = fixture
        .raw()
        .query_row(
            "SELECT count(*) FROM jobs
             LEFT JOIN running ON running.job = jobs.rowid
             LEFT JOIN pending ON pending.job = jobs.rowid
             WHERE (jobs.state = 0) <> ((running.job IS NULL) <> (pending.job IS NULL))
                OR pending.queue <> jobs.queue OR pending.due <> jobs.due
                OR pending.token <> jobs.token",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(out_of_step, 0);
}

fn others_task() -> NewJob {
    NewJob::new("other", Payload::json(&()).unwrap())
}

#[tokio::test]
async fn a_large_insert_answers_for_each_job_new_or_known() {
    let fixture = fixture().await;
    let jobs: Vec<NewJob> = (0..137).map(|_| job()).collect();
    let known: Vec<NewJob> = jobs.iter().step_by(9).cloned().collect();
    insert(&fixture.storage, known.clone()).await;
    let mut twice = jobs.clone();
    twice.extend(jobs[3..6].iter().cloned());
    let answers = insert(&fixture.storage, twice.clone()).await;
    let mut seen: BTreeSet<JobId> = known.iter().map(|job| job.id).collect();
    for (job, answer) in twice.iter().zip(answers) {
        let expected = if seen.insert(job.id) {
            Inserted::New
        } else {
            Inserted::Existing(job.id)
        };
        assert_eq!(answer, expected);
    }
    assert_in_step(&fixture);
    let claimed = claim(&fixture.storage, 1000).await.jobs;
    let ids: BTreeSet<JobId> = claimed.iter().map(|(details, _)| details.job.id).collect();
    assert_eq!((claimed.len(), ids), (137, seen));
    let again = insert(&fixture.storage, jobs.clone()).await;
    let existing: Vec<_> = jobs.iter().map(|job| Inserted::Existing(job.id)).collect();
    assert_eq!(again, existing, "running jobs are known too");
}

#[tokio::test]
async fn a_large_insert_keeps_what_each_job_has_and_gives_it_to_no_other() {
    let fixture = fixture().await;
    let jobs: Vec<NewJob> = (0..130_u32)
        .map(|number| {
            let mut job = NewJob::new("t", Payload::json(&number).unwrap());
            if number % 7 == 3 {
                job.tenant = Some(format!("tenant {number}"));
                job.timeout = Some(MINUTE * number);
                job.tags = [format!("tag {number}")].into_iter().collect();
                job.metadata.insert("number".into(), number.into());
            }
            if number % 11 == 5 {
                job.expires = Some(When::In(MINUTE * number));
                job.limit_key = Some("shared".into());
            }
            job
        })
        .collect();
    insert(&fixture.storage, jobs.clone()).await;
    let now = fixture.storage.now().await.unwrap();
    let claimed = claim(&fixture.storage, 1000).await.jobs;
    assert_eq!(claimed.len(), jobs.len());
    for (new, (details, _)) in jobs.into_iter().zip(claimed) {
        let found = fixture.storage.get(&[new.id]).await.unwrap();
        assert_eq!(found[0].as_ref(), Some(&details));
        let expected = new.into_job(now);
        let as_inserted = majordomo_core::Job {
            state: expected.state,
            token: expected.token,
            started_at: expected.started_at,
            lease: None,
            ..details.job
        };
        assert_eq!(as_inserted, expected);
    }
}

#[tokio::test]
async fn calls_that_queue_up_are_answered_each_with_its_own() {
    let fixture = fixture().await;
    let calls: Vec<_> = (0..100)
        .map(|number: usize| {
            let storage = fixture.storage.clone();
            tokio::spawn(async move {
                let jobs: Vec<NewJob> = (0..number % 4).map(|_| job()).collect();
                let mut bad = job();
                bad.queue = String::new();
                let groups = vec![jobs.clone(), vec![bad], vec![job()]];
                let answers = storage.insert(groups, Repeat::First).await.unwrap();
                assert_eq!(answers.len(), 3);
                assert_eq!(
                    *answers[0].as_ref().unwrap(),
                    vec![Inserted::New; jobs.len()]
                );
                assert!(answers[1].is_err());
                assert_eq!(*answers[2].as_ref().unwrap(), [Inserted::New]);
                jobs.len() + 1
            })
        })
        .collect();
    let mut stored = 0;
    for call in calls {
        stored += call.await.unwrap();
    }
    assert_eq!(claim(&fixture.storage, 1000).await.jobs.len(), stored);
    assert_in_step(&fixture);
}

#[tokio::test]
async fn completions_in_any_order_end_each_job_with_what_it_returned() {
    let fixture = fixture().await;
    insert(&fixture.storage, (0..97).map(|_| job()).collect()).await;
    let claimed = claim(&fixture.storage, 1000).await.jobs;
    fixture.clock.advance(MINUTE / 2);
    let output = |number: usize| match number % 3 {
        0 => None,
        1 => Some(Value::Null),
        _ => Some(json!({ "number": number })),
    };
    let endings: Vec<Ending> = (0..97)
        // Each comes once, neighbours far from each other for a part of them.
        .map(|place| {
            if place < 40 {
                place
            } else {
                40 + (place * 13) % 57
            }
        })
        .map(|number| {
            let lease = claimed[number].1.clone();
            Ending {
                output: output(number),
                ..Ending::new(lease, Verdict::Completed)
            }
        })
        .collect();
    for some in endings.chunks(60) {
        let twice = [some, &some[..2]].concat();
        let (settled, _) = fixture.storage.settle(twice, None).await.unwrap();
        assert!(
            settled
                .iter()
                .all(|one| *one == Settled::Applied(State::Completed))
        );
        assert_in_step(&fixture);
    }
    for (number, (before, lease)) in claimed.iter().enumerate() {
        let after = fixture.storage.get(&[before.job.id]).await.unwrap();
        let after = after[0].clone().unwrap();
        assert_eq!(after.output, output(number));
        assert_eq!(after.job.state, State::Completed);
        assert_eq!(
            (after.job.token, after.job.revision),
            (1, before.job.revision + 1)
        );
        assert_eq!(after.job.started_at, before.job.started_at);
        let attempt = &after.attempts[0];
        assert_eq!(
            (
                after.attempts.len(),
                attempt.token,
                &attempt.worker,
                attempt.ending
            ),
            (1, 1, &lease.worker, Some(EndingKind::Completed))
        );
        assert_eq!(attempt.ended_at, after.job.ended_at);
    }
}

#[tokio::test]
async fn what_a_claim_passes_over_waits_on_between_what_it_takes() {
    let fixture = fixture().await;
    let jobs: Vec<NewJob> = (0..30)
        .map(|number| {
            if number % 5 == 2 {
                others_task()
            } else {
                job()
            }
        })
        .collect();
    insert(&fixture.storage, jobs).await;
    let claimed = claim(&fixture.storage, 1000).await.jobs;
    assert_eq!(claimed.len(), 24);
    assert_in_step(&fixture);
    let theirs = majordomo_core::Claim {
        tasks: vec!["other".into()],
        ..ask(1000)
    };
    assert_eq!(fixture.storage.claim(theirs).await.unwrap().jobs.len(), 6);
    for (_, lease) in &claimed {
        let again = Verdict::Snooze { due: When::Now };
        assert_eq!(
            settle(&fixture.storage, lease, again).await,
            Settled::Applied(State::Pending)
        );
    }
    assert_in_step(&fixture);
    let again = claim(&fixture.storage, 1000).await.jobs;
    assert!(
        again
            .iter()
            .all(|(details, lease)| lease.token == 2 && details.attempts.len() == 2)
    );
    assert_eq!(again.len(), 24);
}

#[tokio::test]
async fn what_another_process_did_to_running_jobs_is_seen_by_their_endings() {
    let fixture = fixture().await;
    let options = Sqlite::options(fixture.path()).clock(Arc::new(fixture.clock.clone()));
    let other = options.open().await.unwrap();
    insert(&fixture.storage, (0..6).map(|_| job()).collect()).await;
    let leases: Vec<_> = claim(&fixture.storage, 6)
        .await
        .jobs
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    fixture.clock.advance(MINUTE * 2);
    let lost = Ending {
        proof: Proof::Expired,
        ..Ending::new(leases[1].clone(), Verdict::Lost { due: When::Now })
    };
    let (settled, _) = other.settle(vec![lost], None).await.unwrap();
    assert_eq!(settled, [Settled::Applied(State::Pending)]);
    other
        .change(&Filter::id(leases[3].job), &Change::Cancel, None, 1)
        .await
        .unwrap();
    let endings = leases
        .iter()
        .map(|lease| Ending::new(lease.clone(), Verdict::Completed));
    let (settled, _) = fixture
        .storage
        .settle(endings.collect(), None)
        .await
        .unwrap();
    for (number, one) in settled.into_iter().enumerate() {
        let expected = if number == 1 {
            Settled::Stale
        } else {
            Settled::Applied(State::Completed)
        };
        assert_eq!(one, expected, "{number}");
    }
    assert_in_step(&fixture);
    assert_eq!(claim(&other, 9).await.jobs[0].1.token, 2);
}
