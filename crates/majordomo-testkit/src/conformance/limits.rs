//! Trials of limits: what is at a limit passes, what is over it is refused
//! with a typed error before anything is written, and sinks nothing else.

use majordomo_core::{
    Beat, Change, Claim, Codec, Edit, Ending, ErrorKind, Failure, FailureKind, Filter, Hold,
    NewJob, Occurrence, Payload, Progress, Put, Tags, Timestamp, Verdict, limits,
};
use serde_json::{Value, json};

use super::steps::{must, must_be, refused};
use crate::samples::{LEASE, beat, claim, ending, job, job_of, line, put};
use crate::subject::Subject;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// JSON text of exactly this many bytes.
fn sized(bytes: usize) -> Value {
    Value::String(text(bytes - 2))
}

fn tags(count: usize) -> Tags {
    (0..count).map(|index| format!("tag-{index}")).collect()
}

fn schedule(name: String) -> Option<Occurrence> {
    Some(Occurrence {
        schedule: name,
        nominal_at: Timestamp::UNIX_EPOCH,
        reason: "manual".to_owned(),
    })
}

/// What is limited, to how much, and a job that has so much of it.
type Limited = (&'static str, usize, fn(usize) -> NewJob);
/// What is wrong, and a job with it.
type Wrong = (&'static str, fn() -> NewJob);

/// Every limited field of a job.
fn limited() -> Vec<Limited> {
    vec![
        ("payload", limits::PAYLOAD, |size| NewJob {
            payload: Payload {
                codec: Codec::JSON,
                bytes: format!("\"{}\"", text(size - 2)).into_bytes(),
            },
            ..job()
        }),
        ("opaque payload", limits::PAYLOAD, |size| NewJob {
            payload: Payload {
                codec: Codec::named("sealed"),
                bytes: vec![7; size],
            },
            ..job()
        }),
        ("task", limits::NAME, |size| job_of(&text(size))),
        ("queue", limits::NAME, |size| NewJob {
            queue: text(size),
            ..job()
        }),
        ("actor", limits::NAME, |size| NewJob {
            actor: Some(text(size)),
            ..job()
        }),
        ("tenant", limits::NAME, |size| NewJob {
            tenant: Some(text(size)),
            ..job()
        }),
        ("limit key", limits::NAME, |size| NewJob {
            limit_key: Some(text(size)),
            ..job()
        }),
        ("schedule", limits::NAME, |size| NewJob {
            schedule: schedule(text(size)),
            ..job()
        }),
        ("codec", limits::NAME, |size| NewJob {
            payload: Payload {
                codec: Codec::named(text(size)),
                bytes: vec![],
            },
            ..job()
        }),
        ("key", limits::KEY, |size| NewJob {
            holds: vec![Hold::new(text(size))],
            ..job()
        }),
        ("tag", limits::NAME, |size| NewJob {
            tags: Tags::none().with(&text(size)),
            ..job()
        }),
        // {"k":".."} has eight bytes besides its text.
        ("metadata", limits::METADATA, |size| NewJob {
            metadata: [("k".to_owned(), Value::String(text(size - 8)))].into(),
            ..job()
        }),
    ]
}

pub(super) async fn a_job_at_each_limit_is_stored_whole(subject: Subject) {
    for (what, limit, make) in limited() {
        let new = make(limit);
        subject.add(new.clone()).await;
        let stored = subject.job(new.id).await;
        assert_eq!(stored, new.into_job(stored.created_at), "{what}");
    }
    let new = NewJob {
        tags: tags(limits::TAGS),
        ..job()
    };
    assert_eq!(
        subject.job(subject.add(new.clone()).await).await.tags,
        new.tags
    );
}

pub(super) async fn a_job_over_a_limit_is_refused_and_sinks_no_other(subject: Subject) {
    for (what, limit, make) in limited() {
        let (before, after) = (job(), job());
        let groups = vec![
            vec![before.clone()],
            vec![job(), make(limit + 1)],
            vec![after.clone()],
        ];
        let mut answers = subject.insert_groups(groups).await;
        assert_eq!(refused(answers.remove(1)), ErrorKind::TooLarge, "{what}");
        answers.into_iter().for_each(|answer| drop(must_be(answer)));
        assert_eq!(
            subject.find_ids(&Filter::all()).await,
            [before.id, after.id],
            "{what}"
        );
        must(
            subject
                .storage
                .change(&Filter::all(), &Change::Cancel, None, 10),
        )
        .await;
        subject.remove(&Filter::all()).await;
    }
}

pub(super) async fn values_that_make_no_sense_are_refused(subject: Subject) {
    let bad: [Wrong; 9] = [
        ("no task", || job_of("")),
        ("no queue", || NewJob {
            queue: String::new(),
            ..job()
        }),
        ("a control character", || NewJob {
            queue: "a\u{7}".to_owned(),
            ..job()
        }),
        ("a NUL character", || NewJob {
            tenant: Some("a\0b".to_owned()),
            ..job()
        }),
        ("no attempts", || NewJob {
            max_attempts: 0,
            ..job()
        }),
        ("version 0", || NewJob {
            version: 0,
            ..job()
        }),
        ("an empty key", || NewJob {
            holds: vec![Hold::new("")],
            ..job()
        }),
        ("too many tags", || NewJob {
            tags: tags(limits::TAGS + 1),
            ..job()
        }),
        ("a NUL in metadata", || NewJob {
            metadata: [("k".to_owned(), json!(["a\0b"]))].into(),
            ..job()
        }),
    ];
    for (what, make) in bad {
        let mut answers = subject.insert_groups(vec![vec![make()]]).await;
        assert_eq!(refused(answers.remove(0)), ErrorKind::Invalid, "{what}");
    }
    assert_eq!(subject.find_ids(&Filter::all()).await, []);
}

pub(super) async fn a_claim_that_makes_no_sense_is_refused(subject: Subject) {
    let id = subject.add(job()).await;
    let queue = |name: &str| vec![(name.to_owned(), 1)];
    let twice = [queue(crate::samples::QUEUE), queue(crate::samples::QUEUE)].concat();
    let bad = [
        (
            Claim {
                worker: String::new(),
                ..claim(1)
            },
            ErrorKind::Invalid,
        ),
        (
            Claim {
                worker: text(limits::NAME + 1),
                ..claim(1)
            },
            ErrorKind::TooLarge,
        ),
        (
            Claim {
                lease: std::time::Duration::ZERO,
                ..claim(1)
            },
            ErrorKind::Invalid,
        ),
        (
            Claim {
                queues: twice,
                ..claim(1)
            },
            ErrorKind::Invalid,
        ),
        (
            Claim {
                queues: queue(""),
                ..claim(1)
            },
            ErrorKind::Invalid,
        ),
    ];
    for (claim, kind) in bad.clone() {
        assert_eq!(refused(subject.storage.claim(claim).await), kind);
    }
    let lease = subject.take_by(&text(limits::NAME)).await;
    assert_eq!(lease.job, id);
    let before = subject.details(id).await;
    for (claim, kind) in bad {
        let settle = subject
            .storage
            .settle(vec![ending(&lease, Verdict::Completed)], Some(claim))
            .await;
        assert_eq!(refused(settle), kind);
        assert_eq!(
            subject.details(id).await,
            before,
            "a settle with such a claim writes nothing"
        );
    }
}

/// A note of this many bytes, which [`Progress::new`] would have cut.
fn note(bytes: usize) -> Progress {
    Progress {
        note: Some(text(bytes)),
        ..Progress::new(1.0, "")
    }
}

pub(super) async fn a_beat_at_each_limit_is_stored_and_over_it_refused(subject: Subject) {
    let lease = subject.start(job()).await;
    let fine = [
        Beat {
            progress: Some(note(limits::NOTE)),
            ..beat(&lease)
        },
        Beat {
            checkpoint: Some(sized(limits::CHECKPOINT)),
            ..beat(&lease)
        },
    ];
    for beat in fine {
        subject.renew(beat).await;
    }
    let before = subject.details(lease.job).await;
    assert_eq!(before.checkpoint, Some(sized(limits::CHECKPOINT)));
    assert_eq!(
        before.history[0].note.as_ref().map(String::len),
        Some(limits::NOTE)
    );
    let bad = [
        Beat {
            progress: Some(note(limits::NOTE + 1)),
            ..beat(&lease)
        },
        Beat {
            progress: Some(Progress::new(1.0, "").data(sized(limits::NOTE + 1))),
            ..beat(&lease)
        },
        Beat {
            checkpoint: Some(sized(limits::CHECKPOINT + 1)),
            ..beat(&lease)
        },
    ];
    for bad in bad {
        let beats = vec![
            Beat {
                log: vec![line("in front")],
                extend: 2 * LEASE,
                ..beat(&lease)
            },
            bad,
        ];
        assert_eq!(
            refused(subject.storage.renew(beats).await),
            ErrorKind::TooLarge
        );
        assert_eq!(
            subject.details(lease.job).await,
            before,
            "a call that is refused writes nothing"
        );
    }
}

/// A failure of this many bytes, which [`Failure::new`] would have cut.
fn long_failure(bytes: usize) -> Option<Failure> {
    Some(Failure {
        kind: FailureKind::Error,
        message: text(bytes - 10),
        chain: vec![text(10)],
    })
}

pub(super) async fn an_ending_at_each_limit_is_stored_and_over_it_refused(subject: Subject) {
    let fine = |lease| Ending {
        output: Some(sized(limits::OUTPUT)),
        error: long_failure(limits::ERROR),
        progress: Some(note(limits::NOTE)),
        ..ending(lease, Verdict::Completed)
    };
    let lease = subject.start(job()).await;
    subject.settle(fine(&lease)).await;
    let stored = subject.details(lease.job).await;
    assert_eq!(stored.output, Some(sized(limits::OUTPUT)));
    assert_eq!(stored.job.error, long_failure(limits::ERROR));
    let lease = subject.start(job()).await;
    let before = subject.details(lease.job).await;
    let bad = [
        Ending {
            output: Some(sized(limits::OUTPUT + 1)),
            ..fine(&lease)
        },
        Ending {
            error: long_failure(limits::ERROR + 1),
            ..fine(&lease)
        },
        Ending {
            checkpoint: Some(sized(limits::CHECKPOINT + 1)),
            ..fine(&lease)
        },
        Ending {
            progress: Some(note(limits::NOTE + 1)),
            ..fine(&lease)
        },
    ];
    for bad in bad {
        let endings = vec![ending(&lease, Verdict::Completed), bad];
        assert_eq!(
            refused(subject.storage.settle(endings, None).await),
            ErrorKind::TooLarge
        );
        assert_eq!(
            subject.details(lease.job).await,
            before,
            "a call that is refused writes nothing"
        );
    }
}

pub(super) async fn values_that_some_storage_could_not_keep_are_refused_alike(subject: Subject) {
    let lease = subject.start(job()).await;
    subject.put(put("k", 1)).await;
    let before = subject.details(lease.job).await;
    let storage = &subject.storage;
    let deep = (0..=limits::DEPTH).fold(json!(1), |inside, _| json!([inside]));
    for value in [json!({"text": "a\0b"}), json!({"a\0b": 1}), deep] {
        let bad = Some(value.clone());
        let beat = Beat {
            checkpoint: bad.clone(),
            ..beat(&lease)
        };
        assert_eq!(refused(storage.renew(vec![beat]).await), ErrorKind::Invalid);
        let completed = ending(&lease, Verdict::Completed);
        let endings = [
            Ending {
                output: bad.clone(),
                ..completed.clone()
            },
            Ending {
                checkpoint: bad,
                ..completed
            },
        ];
        for ending in endings {
            assert_eq!(
                refused(storage.settle(vec![ending], None).await),
                ErrorKind::Invalid
            );
        }
        assert_eq!(
            refused(storage.put_document(put("k", value)).await),
            ErrorKind::Invalid
        );
    }
    assert_eq!(subject.details(lease.job).await, before);
    assert_eq!(
        must(storage.get_document("k"))
            .await
            .map(|document| document.version),
        Some(1)
    );
}

pub(super) async fn a_change_over_a_limit_is_refused(subject: Subject) {
    let id = subject.add(job()).await;
    let before = subject.job(id).await;
    let edit = |edit: Edit| Change::Edit(edit);
    let large = Payload {
        codec: Codec::named("sealed"),
        bytes: vec![7; limits::PAYLOAD + 1],
    };
    let broken = Payload {
        codec: Codec::JSON,
        bytes: b"{".to_vec(),
    };
    let bad = [
        (
            Change::Move {
                queue: String::new(),
            },
            ErrorKind::Invalid,
        ),
        (
            Change::Move {
                queue: text(limits::NAME + 1),
            },
            ErrorKind::TooLarge,
        ),
        (
            edit(Edit {
                payload: Some(large),
                ..Edit::default()
            }),
            ErrorKind::TooLarge,
        ),
        (
            edit(Edit {
                payload: Some(broken),
                ..Edit::default()
            }),
            ErrorKind::Invalid,
        ),
        (
            edit(Edit {
                tags: Some(tags(limits::TAGS + 1)),
                ..Edit::default()
            }),
            ErrorKind::Invalid,
        ),
    ];
    for (change, kind) in bad {
        assert_eq!(
            refused(
                subject
                    .storage
                    .change(&Filter::all(), &change, None, 10)
                    .await
            ),
            kind
        );
    }
    assert_eq!(subject.job(id).await, before);
    subject
        .change(
            id,
            Change::Move {
                queue: text(limits::NAME),
            },
        )
        .await;
    assert_eq!(subject.job(id).await.queue.len(), limits::NAME);
}

pub(super) async fn a_document_at_its_limit_is_stored_and_over_it_refused(subject: Subject) {
    let key = text(limits::KEY);
    subject.put(put(&key, sized(limits::DOCUMENT))).await;
    let stored = must(subject.storage.get_document(&key))
        .await
        .expect("it is there");
    assert_eq!(stored.value, sized(limits::DOCUMENT));
    let bad = [
        (put(&key, sized(limits::DOCUMENT + 1)), ErrorKind::TooLarge),
        (put(&text(limits::KEY + 1), 1), ErrorKind::TooLarge),
        (put("", 1), ErrorKind::Invalid),
        (Put::new("a\nb", json!(1)), ErrorKind::Invalid),
    ];
    for (put, kind) in bad {
        assert_eq!(refused(subject.storage.put_document(put).await), kind);
    }
    let page = must(subject.storage.list_documents("", None, 10)).await;
    assert_eq!(crate::samples::keys(&page.items), [key.as_str()]);
}
