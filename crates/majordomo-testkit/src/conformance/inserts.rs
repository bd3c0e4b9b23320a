//! Trials of `insert`: what is stored, what is answered, and what a group is.

use std::time::Duration;

use majordomo_core::{
    Backoff, Codec, ErrorKind, Filter, Hold, Inserted, NewJob, Occurrence, Order, Payload, Repeat,
    State, Tags, Timestamp, Trace, Until, Verdict, When,
};
use serde_json::json;

use super::steps::{must, must_be, only, refused};
use crate::samples::{MINUTE, ids, job, job_of, jobs};
use crate::subject::Subject;

pub(super) async fn a_new_job_is_pending_with_its_counters_at_zero(subject: Subject) {
    let new = job();
    let (id, window) = subject.timed(subject.add(new.clone())).await;
    let stored = subject.job(id).await;
    assert_eq!(
        (stored.state, stored.token, stored.charged, stored.crashes),
        (State::Pending, 0, 0, 0)
    );
    assert_eq!(
        (
            stored.revision,
            stored.cancel_requested,
            stored.lease.clone()
        ),
        (1, false, None)
    );
    assert_eq!(
        (stored.started_at, stored.ended_at, stored.dead_reason),
        (None, None, None)
    );
    assert_eq!(
        (stored.error.clone(), stored.progress.clone()),
        (None, None)
    );
    assert!(
        window.holds(stored.created_at),
        "{stored:?} is not created within {window:?}"
    );
    assert_eq!(
        (stored.due, stored.changed_at),
        (stored.created_at, stored.created_at)
    );
}

pub(super) async fn a_new_job_has_no_history(subject: Subject) {
    let id = subject.add(job()).await;
    let details = subject.details(id).await;
    assert_eq!(
        (details.attempts, details.history, details.log),
        (vec![], vec![], vec![])
    );
    assert_eq!((details.checkpoint, details.output), (None, None));
}

/// A job in which no field has its default.
pub(super) fn full_job() -> NewJob {
    NewJob {
        version: 7,
        queue: "mail".to_owned(),
        priority: -5,
        due: When::In(Duration::from_micros(90_000_001)),
        expires: Some(When::In(Duration::from_micros(7_200_000_003))),
        max_attempts: 3,
        backoff: Backoff::exponential(Duration::from_micros(1_500_001), 2.5)
            .cap(Duration::from_secs(600))
            .jitter(0.25)
            .max_age(Duration::from_secs(86_400)),
        timeout: Some(Duration::from_micros(30_000_007)),
        retention: Some(Duration::from_micros(604_800_000_009)),
        holds: vec![
            Hold::new("one").until(Until::Started),
            Hold::new("two").until(Until::For(MINUTE)),
        ],
        tags: Tags::none().with("urgent").with("email"),
        metadata: [
            (
                "customer".to_owned(),
                json!({"id": 5, "names": ["a", null, true], "share": 0.1}),
            ),
            ("largest".to_owned(), json!(u64::MAX)),
            ("smallest".to_owned(), json!(i64::MIN)),
            ("text".to_owned(), json!("quote \" backslash \\ newline \n")),
        ]
        .into(),
        actor: Some("ann".to_owned()),
        tenant: Some("acme".to_owned()),
        limit_key: Some("smtp".to_owned()),
        trace: Some(Trace {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            tracestate: Some("rojo=00f067aa0ba902b7".to_owned()),
        }),
        schedule: Some(Occurrence {
            schedule: "digest".to_owned(),
            nominal_at: Timestamp::from_microsecond(1_700_000_000_000_123).expect("it is in range"),
            reason: "on_time".to_owned(),
        }),
        ..job_of("send-digest")
    }
}

pub(super) async fn every_field_of_a_new_job_is_stored_and_read_back(subject: Subject) {
    let new = full_job();
    let (id, window) = subject.timed(subject.add(new.clone())).await;
    let got = subject.details(id).await.job;
    assert!(window.holds(got.created_at));
    assert_eq!(got, new.into_job(got.created_at), "get");
    assert_eq!(only(subject.find(&Filter::id(id)).await), got, "find");
}

pub(super) async fn times_given_as_instants_are_kept_to_the_microsecond(subject: Subject) {
    let instant = Timestamp::from_nanosecond(1_999_999_999_123_456_789).expect("it is in range");
    let new = NewJob {
        due: When::At(instant),
        expires: Some(When::At(instant)),
        ..job()
    };
    let stored = subject.job(subject.add(new).await).await;
    assert_eq!(stored.due.as_nanosecond(), 1_999_999_999_123_456_000);
    assert_eq!(stored.expires, Some(stored.due));
}

pub(super) async fn the_ends_of_every_range_are_kept(subject: Subject) {
    let largest = NewJob {
        priority: i16::MAX,
        version: u32::MAX,
        max_attempts: u32::MAX,
        due: When::At(Timestamp::MAX),
        expires: Some(When::In(Duration::MAX)),
        timeout: Some(Duration::ZERO),
        ..job()
    };
    let smallest = NewJob {
        priority: i16::MIN,
        due: When::At(Timestamp::MIN),
        ..job()
    };
    for new in [largest, smallest] {
        let stored = subject.job(subject.add(new.clone()).await).await;
        assert_eq!(stored, new.into_job(stored.created_at));
    }
}

pub(super) async fn a_payload_of_any_codec_comes_back_byte_for_byte(subject: Subject) {
    let payloads = [
        Payload {
            codec: Codec::named("sealed"),
            bytes: (0..=255).collect(),
        },
        Payload {
            codec: Codec::named("postcard"),
            bytes: vec![],
        },
        Payload {
            codec: Codec::JSON,
            bytes: br#" {"b":1 , "a":[1.0,1e2,12345678901234567890123],"b":"\/ \u00e9"} "#.to_vec(),
        },
        Payload {
            codec: Codec::JSON,
            bytes: b"null".to_vec(),
        },
        Payload {
            codec: Codec::JSON,
            bytes: "\"zażółć 日本 🎉\"".as_bytes().to_vec(),
        },
    ];
    for payload in payloads {
        let id = subject
            .add(NewJob {
                payload: payload.clone(),
                ..job()
            })
            .await;
        assert_eq!(subject.job(id).await.payload, payload, "get");
        assert_eq!(
            only(subject.find(&Filter::id(id)).await).payload,
            payload,
            "find"
        );
        assert_eq!(
            only(subject.claim(crate::samples::claim(1)).await.jobs)
                .0
                .job
                .payload,
            payload,
            "claim"
        );
    }
}

pub(super) async fn names_in_any_script_are_kept(subject: Subject) {
    let new = NewJob {
        queue: "póczta-日本".to_owned(),
        tenant: Some("Ünïcode 'quoted' \"twice\" `\\%_; --".to_owned()),
        tags: Tags::none().with("ÉTÉ").with("🎉"),
        holds: vec![Hold::new("ключ/🔑")],
        ..job_of("отправить")
    };
    let id = subject.add(new.clone()).await;
    let stored = subject.job(id).await;
    assert_eq!(stored, new.clone().into_job(stored.created_at));
    let filter = Filter {
        tenant: new.tenant.clone(),
        ..Filter::all().task(&new.task).queue(&new.queue).tag("Été")
    };
    assert_eq!(subject.find_ids(&filter).await, [id]);
    let claim = majordomo_core::Claim {
        worker: "работник 'x'".to_owned(),
        queues: vec![(new.queue, 1)],
        ..crate::samples::claim_of(&[&new.task], 1)
    };
    let lease = only(subject.claim(claim).await.jobs).1;
    assert_eq!((lease.job, lease.worker.as_str()), (id, "работник 'x'"));
}

pub(super) async fn an_id_that_exists_is_answered_and_changes_nothing(subject: Subject) {
    let first = NewJob {
        holds: vec![Hold::new("mine")],
        ..job()
    };
    let id = subject.add(first.clone()).await;
    let before = subject.details(id).await;
    subject.advance(MINUTE).await;
    let other = NewJob {
        id,
        queue: "other".to_owned(),
        priority: 9,
        due: When::In(MINUTE),
        ..full_job()
    };
    for again in [first, other] {
        assert_eq!(subject.insert(again.clone()).await, Inserted::Existing(id));
        assert_eq!(subject.insert_again(again).await, Inserted::Existing(id));
    }
    assert_eq!(subject.details(id).await, before);
    assert_eq!(subject.find_ids(&Filter::all()).await, [id]);
}

pub(super) async fn an_id_that_is_running_is_answered_and_changes_nothing(subject: Subject) {
    let new = job();
    let lease = subject.start(new.clone()).await;
    let before = subject.details(lease.job).await;
    assert_eq!(
        subject.insert(new.clone()).await,
        Inserted::Existing(new.id)
    );
    assert_eq!(
        subject.insert_again(new).await,
        Inserted::Existing(lease.job)
    );
    assert_eq!(subject.details(lease.job).await, before);
}

pub(super) async fn a_repeat_finds_the_job_among_finished_ones(subject: Subject) {
    for verdict in [Verdict::Completed, Verdict::Cancelled] {
        let new = job();
        subject.finish(new.clone(), verdict).await;
        let before = subject.details(new.id).await;
        assert_eq!(
            subject.insert_again(new.clone()).await,
            Inserted::Existing(new.id)
        );
        assert_eq!(subject.details(new.id).await, before);
    }
    assert_eq!(subject.find_ids(&Filter::all()).await.len(), 2);
}

pub(super) async fn a_repeated_group_stores_what_is_missing_and_no_more(subject: Subject) {
    let group = jobs(4);
    subject
        .add_all(vec![group[0].clone(), group[2].clone()])
        .await;
    let answer = must(subject.storage.insert(vec![group.clone()], Repeat::Again)).await;
    let (new, old) = (Inserted::New, Inserted::Existing);
    assert_eq!(
        must_be(only(answer)),
        [old(group[0].id), new, old(group[2].id), new]
    );
    assert_eq!(subject.find_ids(&Filter::all()).await, ids(&group));
}

pub(super) async fn an_id_twice_in_a_call_is_stored_once(subject: Subject) {
    let twice = job();
    let other = NewJob {
        priority: 5,
        ..twice.clone()
    };
    let answers = subject
        .insert_groups(vec![vec![twice.clone(), twice.clone()], vec![other]])
        .await;
    let answers: Vec<_> = answers.into_iter().map(must_be).collect();
    let existing = Inserted::Existing(twice.id);
    assert_eq!(answers, [vec![Inserted::New, existing], vec![existing]]);
    assert_eq!(only(subject.find(&Filter::all()).await).priority, 0);
}

pub(super) async fn a_group_that_is_refused_sinks_no_other(subject: Subject) {
    let group = jobs(3);
    let bad = NewJob {
        max_attempts: 0,
        ..job()
    };
    let mixed = vec![job(), bad.clone(), job()];
    let answers = subject
        .insert_groups(vec![
            vec![group[0].clone()],
            vec![bad],
            vec![group[1].clone()],
            mixed,
            vec![group[2].clone()],
        ])
        .await;
    let kinds: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.map_err(|error| error.kind()))
        .collect();
    let (fine, refused) = (Ok(vec![Inserted::New]), Err(ErrorKind::Invalid));
    assert_eq!(
        kinds,
        [fine.clone(), refused.clone(), fine.clone(), refused, fine]
    );
    assert_eq!(
        subject.find_ids(&Filter::all()).await,
        ids(&group),
        "a refused group leaves nothing"
    );
}

pub(super) async fn a_conflict_sinks_nothing_of_its_group(subject: Subject) {
    let (known, held) = (
        job(),
        NewJob {
            holds: vec![Hold::new("key")],
            ..job()
        },
    );
    subject.add_all(vec![known.clone(), held.clone()]).await;
    let rival = NewJob {
        holds: vec![Hold::new("key")],
        ..job()
    };
    let (first, last) = (job(), job());
    let answers = subject
        .insert_group(vec![
            first.clone(),
            known.clone(),
            rival.clone(),
            last.clone(),
        ])
        .await;
    let existing = Inserted::Existing;
    assert_eq!(
        answers,
        [
            Inserted::New,
            existing(known.id),
            existing(held.id),
            Inserted::New
        ]
    );
    assert_eq!(
        subject.find_ids(&Filter::all()).await,
        [known.id, held.id, first.id, last.id]
    );
}

pub(super) async fn a_thousand_jobs_in_a_group_are_stored(subject: Subject) {
    let group = jobs(1000);
    let expected = subject.add_all(group).await;
    let page = must(
        subject
            .storage
            .find(&Filter::all(), Order::default(), None, 1000),
    )
    .await;
    assert_eq!(
        page.items.iter().map(|job| job.id).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(
        subject.claim_ids(crate::samples::claim(1000)).await.len(),
        1000
    );
}

pub(super) async fn inserting_nothing_is_answered_with_nothing(subject: Subject) {
    assert!(subject.insert_groups(vec![]).await.is_empty());
    let answers = subject
        .insert_groups(vec![vec![], vec![job()], vec![]])
        .await;
    let answers: Vec<_> = answers.into_iter().map(must_be).collect();
    assert_eq!(answers, [vec![], vec![Inserted::New], vec![]]);
}

pub(super) async fn payloads_that_some_storage_could_not_keep_are_refused_alike(subject: Subject) {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let bad = [
        r#"{"text":"a\u0000b"}"#.to_owned(),
        deep(101),
        "1".repeat(101),
        "{\"a\":".to_owned(),
        String::new(),
    ];
    for text in bad {
        let payload = Payload {
            codec: Codec::JSON,
            bytes: text.into_bytes(),
        };
        let answer = only(
            subject
                .insert_groups(vec![vec![NewJob { payload, ..job() }]])
                .await,
        );
        assert_eq!(refused(answer), ErrorKind::Invalid);
    }
    assert!(subject.find_ids(&Filter::all()).await.is_empty());
    for text in [deep(100), "1".repeat(100), r#""\\u0000""#.to_owned()] {
        let payload = Payload {
            codec: Codec::JSON,
            bytes: text.into_bytes(),
        };
        let id = subject
            .add(NewJob {
                payload: payload.clone(),
                ..job()
            })
            .await;
        assert_eq!(subject.job(id).await.payload, payload);
    }
}
