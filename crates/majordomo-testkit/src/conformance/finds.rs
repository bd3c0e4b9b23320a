//! Trials of `find`: what a filter means, orders, and pages by key.

use std::collections::BTreeMap;

use majordomo_core::{
    Between, Ending, Filter, JobId, NewJob, Occurrence, State, Tags, Timestamp, Verdict, When,
};
use serde_json::json;

use super::pages::ids_of;
use crate::samples::{LEASE, MINUTE, RETRY, claim, ending, failure, job, job_of, jobs};
use crate::subject::Subject;

/// Checks that `filter` finds exactly these jobs.
async fn finds(subject: &Subject, filter: Filter, expected: &[JobId]) {
    assert_eq!(subject.find_ids(&filter).await, expected, "{filter:?}");
}

fn with(narrow: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::all();
    narrow(&mut filter);
    filter
}

pub(super) async fn an_empty_filter_finds_every_job(subject: Subject) {
    finds(&subject, Filter::all(), &[]).await;
    let expected = subject.add_all(jobs(3)).await;
    finds(&subject, Filter::all(), &expected).await;
}

pub(super) async fn a_filter_by_state_finds_each(subject: Subject) {
    let mut by_state: BTreeMap<State, JobId> = BTreeMap::new();
    for verdict in [Verdict::Completed, Verdict::Cancelled, Verdict::Expired] {
        by_state.insert(verdict.state(), subject.finish(job(), verdict).await);
    }
    let dead = Verdict::Dead {
        reason: majordomo_core::DeadReason::Permanent,
    };
    by_state.insert(State::Dead, subject.finish(job(), dead).await);
    by_state.insert(State::Running, subject.start(job()).await.job);
    by_state.insert(State::Pending, subject.add(job()).await);
    for state in State::ALL {
        finds(&subject, Filter::all().state(state), &[by_state[&state]]).await;
    }
    let mut finished: Vec<_> = crate::samples::FINISHED
        .iter()
        .map(|state| by_state[state])
        .collect();
    finished.sort();
    finds(&subject, Filter::all().finished(), &finished).await;
}

pub(super) async fn a_filter_by_task_and_queue_finds_any_of_those_named(subject: Subject) {
    let in_queue = |task: &str, queue: &str| NewJob {
        queue: queue.to_owned(),
        ..job_of(task)
    };
    let group = vec![
        in_queue("a", "x"),
        in_queue("b", "x"),
        in_queue("a", "y"),
        in_queue("c", "z"),
    ];
    let id = subject.add_all(group).await;
    finds(&subject, Filter::all().task("a"), &[id[0], id[2]]).await;
    finds(
        &subject,
        Filter::all().task("a").task("c"),
        &[id[0], id[2], id[3]],
    )
    .await;
    finds(
        &subject,
        Filter::all().queue("x").queue("z"),
        &[id[0], id[1], id[3]],
    )
    .await;
    finds(&subject, Filter::all().task("a").queue("x"), &[id[0]]).await;
    finds(&subject, Filter::all().task("A"), &[]).await;
    finds(&subject, Filter::all().task("a%"), &[]).await;
}

pub(super) async fn a_filter_by_tags_wants_all_of_them(subject: Subject) {
    let tagged = |tags: &[&str]| NewJob {
        tags: tags.iter().collect(),
        ..job()
    };
    let id = subject
        .add_all(vec![
            tagged(&["a"]),
            tagged(&["a", "b"]),
            tagged(&["ab"]),
            tagged(&[]),
        ])
        .await;
    finds(&subject, Filter::all().tag("a"), &[id[0], id[1]]).await;
    finds(&subject, Filter::all().tag("B").tag("A"), &[id[1]]).await;
    finds(&subject, Filter::all().tag("ab"), &[id[2]]).await;
    finds(&subject, with(|filter| filter.tags = Tags::none()), &id).await;
}

pub(super) async fn a_filter_by_priority_finds_that_and_higher_ones(subject: Subject) {
    let group = [i16::MIN, -1, 0, 5, i16::MAX].map(|priority| NewJob { priority, ..job() });
    let id = subject.add_all(group.into()).await;
    let from = |priority| with(|filter| filter.priority_from = Some(priority));
    finds(&subject, from(i16::MIN), &id).await;
    finds(&subject, from(0), &id[2..]).await;
    finds(&subject, from(1), &id[3..]).await;
    finds(&subject, from(i16::MAX), &id[4..]).await;
}

/// As one asks for what is urgent to a customer.
pub(super) async fn g22_a_filter_by_tenant_tag_and_priority_together_finds_exactly_those(
    subject: Subject,
) {
    let mut group = Vec::new();
    for tenant in ["acme", "initech"] {
        for tag in ["x", "y"] {
            for priority in [4, 5, 6] {
                group.push(NewJob {
                    tenant: Some(tenant.to_owned()),
                    tags: [tag].iter().collect(),
                    priority,
                    ..job()
                });
            }
        }
    }
    let id = subject.add_all(group).await;
    let filter = Filter {
        tenant: Some("acme".to_owned()),
        priority_from: Some(5),
        ..Filter::all().tag("x")
    };
    finds(&subject, filter, &id[1..3]).await;
}

pub(super) async fn a_filter_by_ids_finds_those_that_are_there(subject: Subject) {
    let id = subject.add_all(jobs(4)).await;
    finds(
        &subject,
        Filter::ids([id[2], JobId::new(), id[0], id[2]]),
        &[id[0], id[2]],
    )
    .await;
    finds(&subject, Filter::ids([]), &[]).await;
    finds(&subject, Filter::ids(id.clone()).state(State::Running), &[]).await;
}

pub(super) async fn a_filter_by_origin_finds_schedule_tenant_and_actor(subject: Subject) {
    let occurrence = |name: &str| {
        let nominal_at = Timestamp::UNIX_EPOCH;
        Some(Occurrence {
            schedule: name.to_owned(),
            nominal_at,
            reason: "late".to_owned(),
        })
    };
    let group = vec![
        NewJob {
            schedule: occurrence("digest"),
            ..job()
        },
        NewJob {
            schedule: occurrence("other"),
            tenant: Some("acme".into()),
            ..job()
        },
        NewJob {
            actor: Some("ann".into()),
            tenant: Some("acme".into()),
            ..job()
        },
        job(),
    ];
    let id = subject.add_all(group).await;
    finds(
        &subject,
        with(|filter| filter.schedule = Some("digest".into())),
        &[id[0]],
    )
    .await;
    finds(
        &subject,
        with(|filter| filter.tenant = Some("acme".into())),
        &[id[1], id[2]],
    )
    .await;
    finds(
        &subject,
        with(|filter| filter.actor = Some("ann".into())),
        &[id[2]],
    )
    .await;
    finds(
        &subject,
        with(|filter| filter.actor = Some("bob".into())),
        &[],
    )
    .await;
}

pub(super) async fn g22_a_filter_by_metadata_wants_equal_values(subject: Subject) {
    let metadata = |value: serde_json::Value| NewJob {
        metadata: [("k".to_owned(), value)].into(),
        ..job()
    };
    let values = [
        json!(5),
        json!("5"),
        json!(null),
        json!({"a": [1, {"b": true}]}),
        json!(true),
        json!("it's \"x\""),
    ];
    let id = subject
        .add_all(values.iter().cloned().map(metadata).collect())
        .await;
    subject
        .add_all(vec![
            NewJob {
                metadata: [("other".to_owned(), json!(5))].into(),
                ..job()
            },
            job(),
        ])
        .await;
    for (value, id) in values.iter().zip(&id) {
        let filter = with(|filter| filter.metadata = [("k".to_owned(), value.clone())].into());
        finds(&subject, filter, &[*id]).await;
    }
    let both = with(|filter| {
        filter.metadata = [("k".to_owned(), json!(5)), ("other".to_owned(), json!(5))].into()
    });
    finds(&subject, both, &[]).await;
}

pub(super) async fn metadata_keys_are_taken_as_they_are(subject: Subject) {
    for key in ["a.b", "a\"b", "$[0]", "a b", "ключ", "%", "'"] {
        let id = subject
            .add(NewJob {
                metadata: [(key.to_owned(), json!(1))].into(),
                ..job()
            })
            .await;
        finds(
            &subject,
            with(|filter| filter.metadata = [(key.to_owned(), json!(1))].into()),
            &[id],
        )
        .await;
    }
}

pub(super) async fn spans_of_time_include_their_start_and_not_their_end(subject: Subject) {
    let now = subject.now().await;
    let due = |minutes: u32| now + minutes * MINUTE;
    let group = [10, 20, 30].map(|minutes| NewJob {
        due: When::At(due(minutes)),
        ..job()
    });
    let id = subject.add_all(group.to_vec()).await;
    let span = |from: Option<u32>, to: Option<u32>| {
        with(|filter| {
            filter.due = Between {
                from: from.map(due),
                to: to.map(due),
            }
        })
    };
    finds(&subject, span(Some(10), Some(30)), &id[..2]).await;
    finds(&subject, span(Some(20), None), &id[1..]).await;
    finds(&subject, span(None, Some(20)), &id[..1]).await;
    finds(&subject, span(Some(20), Some(20)), &[]).await;
}

pub(super) async fn jobs_are_found_by_when_they_were_created_and_ended(subject: Subject) {
    let mut created = Vec::new();
    for _ in 0..3 {
        let id = subject.finish(job(), Verdict::Completed).await;
        created.push(subject.job(id).await);
        subject.advance(MINUTE).await;
    }
    let unfinished = subject.add(job()).await;
    let middle = &created[1];
    let since = |filter: &mut Filter| filter.created.from = Some(middle.created_at);
    finds(
        &subject,
        with(since),
        &[created[1].id, created[2].id, unfinished],
    )
    .await;
    let until =
        |filter: &mut Filter| filter.ended.to = Some(created[2].ended_at.expect("it has ended"));
    finds(&subject, with(until), &[created[0].id, created[1].id]).await;
    let ever = |filter: &mut Filter| filter.ended.from = Some(Timestamp::MIN);
    finds(&subject, with(ever), &ids_of(&created)).await;
}

pub(super) async fn due_now_means_pending_and_due_by_the_storages_clock(subject: Subject) {
    let (now, later) = (
        job(),
        NewJob {
            due: When::In(10 * MINUTE),
            ..job()
        },
    );
    subject.start(job()).await;
    subject.add_all(vec![now.clone(), later.clone()]).await;
    let due_now = with(|filter| filter.due_now = true);
    finds(&subject, due_now.clone(), &[now.id]).await;
    subject.advance(10 * MINUTE).await;
    finds(&subject, due_now, &[now.id, later.id]).await;
}

pub(super) async fn lease_expired_means_running_under_a_lease_that_ran_out(subject: Subject) {
    let short = majordomo_core::Claim {
        lease: LEASE / 2,
        ..claim(1)
    };
    subject.add(job()).await;
    let first = subject.claim_ids(short).await;
    let second = subject.start(job()).await;
    subject.finish(job(), Verdict::Completed).await;
    let expired = with(|filter| filter.lease_expired = true);
    finds(&subject, expired.clone(), &[]).await;
    subject.advance(LEASE / 2).await;
    finds(&subject, expired.clone(), &first).await;
    subject.advance(LEASE / 2).await;
    finds(&subject, expired.clone(), &[first[0], second.job]).await;
    subject.settle(ending(&second, RETRY)).await;
    finds(&subject, expired, &first).await;
}

pub(super) async fn past_expiry_means_pending_and_too_late_to_start(subject: Subject) {
    let expires = |minutes: u32| NewJob {
        expires: Some(When::In(minutes * MINUTE)),
        ..job()
    };
    let running = subject.start(expires(5)).await.job;
    let id = subject.add_all(vec![expires(10), expires(20), job()]).await;
    let past = with(|filter| filter.past_expiry = true);
    subject.advance(10 * MINUTE).await;
    finds(&subject, past.clone(), &id[..1]).await;
    assert_eq!(subject.job(running).await.state, State::Running);
    subject.advance(10 * MINUTE).await;
    finds(&subject, past, &id[..2]).await;
}

pub(super) async fn past_retention_means_finished_and_kept_as_long_as_asked(subject: Subject) {
    let keeping = |minutes: u32| NewJob {
        retention: Some(minutes * MINUTE),
        ..job()
    };
    let short = subject.finish(keeping(10), Verdict::Completed).await;
    let long = subject.finish(keeping(20), Verdict::Cancelled).await;
    let other = subject.finish(job(), Verdict::Completed).await;
    let running = subject.start(keeping(10)).await.job;
    let past = with(|filter| filter.past_retention = true);
    let without = with(|filter| filter.without_retention = true);
    finds(&subject, past.clone(), &[]).await;
    subject.advance(10 * MINUTE).await;
    finds(&subject, past.clone(), &[short]).await;
    subject.change(short, crate::samples::AGAIN).await;
    finds(&subject, past.clone(), &[]).await;
    subject.advance(10 * MINUTE).await;
    finds(&subject, past, &[long]).await;
    finds(&subject, without, &[other]).await;
    assert_eq!(subject.job(running).await.state, State::Running);
}

pub(super) async fn a_filter_may_leave_tasks_out(subject: Subject) {
    let id = subject
        .add_all(["a", "b", "a", "c"].map(job_of).to_vec())
        .await;
    let except = |tasks: &[&str]| {
        with(|filter| filter.except_tasks = tasks.iter().map(|task| (*task).into()).collect())
    };
    finds(&subject, except(&["a"]), &[id[1], id[3]]).await;
    finds(&subject, except(&["b", "none", "c"]), &[id[0], id[2]]).await;
    finds(&subject, except(&["a"]).task("a").task("c"), &[id[3]]).await;
}

pub(super) async fn errors_are_found_by_a_piece_of_their_text(subject: Subject) {
    let mut failed = Vec::new();
    for message in [
        "Connection REFUSED by 10.0.0.1",
        "100% wrong_value",
        "other",
    ] {
        let lease = subject.start(job()).await;
        subject
            .settle(Ending {
                error: Some(failure(message)),
                ..ending(&lease, Verdict::Cancelled)
            })
            .await;
        failed.push(lease.job);
    }
    let lease = subject.start(job()).await;
    let chained = majordomo_core::Failure::with_chain(
        majordomo_core::FailureKind::Error,
        "outer",
        ["the inner Cause".to_owned()],
    );
    subject
        .settle(Ending {
            error: Some(chained),
            ..ending(&lease, Verdict::Cancelled)
        })
        .await;
    subject.add(job()).await;
    let contains = |text: &str| with(|filter| filter.error_contains = Some(text.to_owned()));
    finds(&subject, contains("refused"), &failed[..1]).await;
    finds(&subject, contains("inner cause"), &[lease.job]).await;
    finds(&subject, contains("0% w"), &failed[1..2]).await;
    finds(&subject, contains("10_"), &[]).await;
    finds(&subject, contains("n%d"), &[]).await;
    finds(&subject, contains("timeout"), &[]).await;
}
