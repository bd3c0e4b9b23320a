//! Workers that do not know everything.

use majordomo_core::{Codec, DeadReason, EndingKind, FailureKind, NewJob, Payload, State, Task};
use majordomo_engine::Worker;

use super::tasks::{Act, App, Rare, all_jobs, client, details, worker};
use crate::subject::Subject;

/// Two workers, one of which knows a task that the other does not.
pub(super) async fn r20_a_worker_leaves_unknown_tasks_to_others(subject: Subject) {
    let jobs = client(&subject.storage);
    let (some, all) = (App::new(), App::new());
    let rare = jobs
        .enqueue_many((0..50).map(|_| Rare))
        .await
        .expect("jobs are stored");
    let acts = jobs
        .enqueue_many((0..50).map(Act::Return))
        .await
        .expect("jobs are stored");
    let stepper = worker(&jobs, &some).stepper().expect("a worker");
    assert_eq!(stepper.drain().await.expect("a drain").ran(), 50);
    for handle in &rare {
        let job = details(&*subject.storage, handle.id()).await.job;
        assert_eq!((job.state, job.token, job.charged), (State::Pending, 0, 0));
    }
    for handle in &acts {
        assert_eq!(handle.state().await.expect("a state"), State::Completed);
    }
    let stepper = Worker::shared(&jobs, std::sync::Arc::new(all))
        .handle::<Rare>()
        .stepper()
        .expect("a worker");
    assert_eq!(
        stepper
            .drain()
            .await
            .expect("a drain")
            .count(EndingKind::Completed),
        50
    );
}

/// 1,000 jobs that no worker can read: each is parked after one look, with its
/// bytes as they were, and nothing is charged.
pub(super) async fn r21_what_does_not_decode_is_parked_with_its_bytes(subject: Subject) {
    let jobs = client(&subject.storage);
    let app = App::new();
    let spoilt = |number: usize| {
        let (codec, bytes) = match number % 4 {
            0 => (Codec::JSON, br#"{"Return":"seven"}"#.to_vec()),
            1 => (Codec::JSON, br#"[1,2,3]"#.to_vec()),
            2 => (Codec::named("unheard-of"), vec![0, 159, 146, 150]),
            _ => (Codec::JSON, br#""Unknown""#.to_vec()),
        };
        NewJob::new(Act::NAME, Payload { codec, bytes })
    };
    let mut spoilt: Vec<NewJob> = (0..999).map(spoilt).collect();
    let newer = NewJob {
        version: 2,
        ..jobs.enqueue(Act::Return(1)).build().expect("a job")
    };
    spoilt.push(newer.clone());
    jobs.insert(spoilt.clone())
        .await
        .expect("they are stored as they are");
    let stepper = worker(&jobs, &app)
        .concurrency(100)
        .stepper()
        .expect("a worker");
    let report = stepper.drain().await.expect("a drain");
    assert_eq!(
        (report.ran(), report.count(EndingKind::Dead), app.all_runs()),
        (1000, 1000, 0)
    );
    let stored = all_jobs(&*subject.storage).await;
    for (new, job) in spoilt.iter().zip(&stored) {
        assert_eq!(
            (job.id, &job.payload),
            (new.id, &new.payload),
            "the bytes are kept"
        );
        assert_eq!((job.state, job.charged, job.token), (State::Dead, 0, 1));
        let unknown = DeadReason::UnsupportedPayloadVersion;
        let reason = if new.id == newer.id {
            unknown
        } else {
            DeadReason::DecodeError
        };
        assert_eq!(job.dead_reason, Some(reason));
        assert_eq!(
            job.error.as_ref().map(|error| error.kind),
            Some(FailureKind::Decode)
        );
    }
    assert_eq!(
        stepper.drain().await.expect("a drain").ran(),
        0,
        "and that is that"
    );
}
