//! A client whose storage misbehaves, or whose caller does.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use majordomo_core::{
    Error, ErrorKind, Filter, Hold, JobId, Memory, OnConflict, Order, State, Storage, Task, Until,
    When,
};
use majordomo_engine::{Client, Handle};
use majordomo_testkit::faulty::{Chance, Faulty};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Note(u64);

impl Task for Note {
    type Output = ();
    const NAME: &'static str = "note";
}

fn faulty(chance: Chance) -> (Arc<Faulty<Memory>>, Arc<Memory>) {
    let memory = Arc::new(Memory::new());
    (
        Arc::new(Faulty::new(Arc::clone(&memory), 1).with_all(chance)),
        memory,
    )
}

async fn stored(memory: &Memory) -> Vec<JobId> {
    let page = memory
        .find(&Filter::all(), Order::default(), None, 1000)
        .await
        .unwrap();
    page.items.into_iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn g36_each_kind_of_error_surfaces_as_itself() {
    let never = Duration::ZERO;
    let kind_of = |result: Result<Handle<Note>, Error>| result.unwrap_err().kind();

    let (storage, memory) = faulty(Chance {
        refused: 1.0,
        lost: 0.0,
    });
    let jobs = Client::shared(storage).patience(never);
    assert_eq!(kind_of(jobs.enqueue(Note(1)).await), ErrorKind::Unavailable);
    assert!(stored(&memory).await.is_empty());

    let (storage, memory) = faulty(Chance {
        refused: 0.0,
        lost: 1.0,
    });
    let jobs = Client::shared(storage).patience(never);
    let id = JobId::new();
    assert_eq!(
        kind_of(jobs.enqueue(Note(1)).id(id).await),
        ErrorKind::Unknown
    );
    assert_eq!(
        stored(&memory).await,
        [id],
        "unknown, and here it was written"
    );

    let jobs = Client::new(Memory::new());
    assert_eq!(
        kind_of(jobs.enqueue(Note(1)).queue("").await),
        ErrorKind::Invalid
    );
    let large = jobs.enqueue(Note(1)).metadata("m", "x".repeat(100_000));
    assert_eq!(kind_of(large.await), ErrorKind::TooLarge);
    let missing = jobs.handle::<Note>(JobId::new()).state().await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    let pending = jobs.enqueue(Note(1)).await.unwrap();
    let error = jobs.retry(pending.id(), When::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().ends_with("the job is pending"), "{error}");
}

#[tokio::test]
async fn g37_an_enqueue_that_is_dropped_can_be_made_again() {
    let memory = Memory::new();
    let jobs = Client::new(memory.clone());
    let random = &mut fastrand::Rng::with_seed(37);
    let mut ids = Vec::new();
    for number in 0..500 {
        let id = JobId::new();
        ids.push(id);
        // Polled so often, and then dropped.
        let polls = random.u32(0..3);
        let mut enqueue = std::pin::pin!(std::future::IntoFuture::into_future(
            jobs.enqueue(Note(number)).id(id)
        ));
        for _ in 0..polls {
            if std::future::poll_fn(|cx| Poll::Ready(enqueue.as_mut().poll(cx)))
                .await
                .is_ready()
            {
                break;
            }
        }
        let again = jobs.enqueue(Note(number)).id(id).await.unwrap();
        assert_eq!((again.id(), again.is_new()), (id, true));
    }
    assert_eq!(stored(&memory).await, ids, "exactly one job for each");
}

/// Every scope of a key against every answer to a conflict, with 16 at once.
#[tokio::test(flavor = "multi_thread")]
async fn g38_sixteen_enqueuers_of_one_key_agree_on_one_job() {
    for until in [
        Until::Started,
        Until::Finished,
        Until::For(Duration::from_secs(60)),
    ] {
        for on_conflict in [OnConflict::Keep, OnConflict::Replace, OnConflict::Postpone] {
            let memory = Memory::new();
            let jobs = Client::new(memory.clone());
            let enqueuers: Vec<_> = (0..16)
                .map(|number| {
                    let jobs = jobs.clone();
                    let hold = Hold::new("key").until(until).on_conflict(on_conflict);
                    let due = When::In(Duration::from_secs(number));
                    tokio::spawn(async move {
                        jobs.enqueue(Note(number))
                            .due(due)
                            .hold(hold)
                            .await
                            .unwrap()
                    })
                })
                .collect();
            let mut handles = Vec::new();
            for enqueuer in enqueuers {
                handles.push(enqueuer.await.unwrap());
            }
            let new: Vec<_> = handles.iter().filter(|handle| handle.is_new()).collect();
            assert_eq!(new.len(), 1, "{until:?} {on_conflict:?}");
            assert!(
                handles.iter().all(|handle| handle.id() == new[0].id()),
                "{until:?} {on_conflict:?}"
            );
            assert_eq!(
                stored(&memory).await,
                [new[0].id()],
                "{until:?} {on_conflict:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_change_of_many_jobs_says_how_many() {
    let jobs = Client::new(Memory::new());
    jobs.enqueue_many((0..2500).map(Note)).await.unwrap();
    let summary = jobs
        .change(&Filter::all(), &majordomo_core::Change::Cancel)
        .await
        .unwrap();
    assert_eq!((summary.changed, summary.refused), (2500, 0));
    let again = jobs
        .change(&Filter::all(), &majordomo_core::Change::Cancel)
        .await
        .unwrap();
    assert_eq!((again.changed, again.refused), (0, 2500));
    assert_eq!(
        jobs.remove(&Filter::all().state(State::Cancelled))
            .await
            .unwrap(),
        2500
    );
}
