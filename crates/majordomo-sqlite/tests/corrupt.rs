//! Rows that break the rules: named when asked for, passed over otherwise, and
//! never in the way of others.

mod common;

use common::{MINUTE, claim, fixture, insert, job, settle};
use majordomo_core::{
    Beat, Change, Changed, Error, ErrorKind, Filter, JobId, Order, Renewed, Settled, State,
    Storage, Verdict,
};

fn assert_names(error: &Error, id: JobId) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains(&id.to_string()), "{error}");
}

#[tokio::test]
async fn an_unreadable_job_is_named_and_blocks_no_other() {
    for damage in [
        "extra = '{'",
        "error = 'no json'",
        "tags = 7",
        "state = 0, token = -1",
        "dead_reason = 'fate'",
    ] {
        let fixture = fixture().await;
        let storage = &fixture.storage;
        let (bad, good) = (job(), job());
        let ids = (bad.id, good.id);
        insert(storage, vec![bad, good]).await;
        fixture
            .raw()
            .execute(
                &format!("UPDATE jobs SET {damage} WHERE id = ?1"),
                [ids.0.as_bytes()],
            )
            .unwrap();
        assert_names(&storage.get(&[ids.0]).await.unwrap_err(), ids.0);
        assert_names(
            &storage
                .find(&Filter::id(ids.0), Order::default(), None, 9)
                .await
                .unwrap_err(),
            ids.0,
        );
        let listed = storage
            .find(&Filter::all(), Order::default(), None, 9)
            .await
            .unwrap()
            .items;
        assert_eq!(
            listed.iter().map(|job| job.id).collect::<Vec<_>>(),
            [ids.1],
            "{damage}"
        );
        for expected in [vec![ids.1], vec![]] {
            let claimed = claim(storage, 5).await.jobs;
            assert_eq!(
                claimed
                    .iter()
                    .map(|(details, _)| details.job.id)
                    .collect::<Vec<_>>(),
                expected,
                "{damage}"
            );
        }
        let page = storage
            .change(&Filter::all(), &Change::Cancel, None, 9)
            .await
            .unwrap();
        assert_eq!(page.items, [(ids.1, Changed::Done(State::Running))]);
    }
}

#[tokio::test]
async fn an_attempt_whose_row_broke_is_lost_without_its_neighbours() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    insert(storage, vec![job(), job()]).await;
    let leases: Vec<_> = claim(storage, 2)
        .await
        .jobs
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    fixture
        .raw()
        .execute(
            "UPDATE jobs SET metadata = '[' WHERE id = ?1",
            [leases[0].job.as_bytes()],
        )
        .unwrap();
    let beats = leases
        .iter()
        .map(|lease| Beat::new(lease.clone(), MINUTE))
        .collect();
    assert_eq!(
        storage.renew(beats).await.unwrap(),
        [Renewed::Lost, Renewed::Kept]
    );
    assert_eq!(
        settle(storage, &leases[0], Verdict::Completed).await,
        Settled::Stale
    );
    assert_eq!(
        settle(storage, &leases[1], Verdict::Completed).await,
        Settled::Applied(State::Completed)
    );
}

#[tokio::test]
async fn a_payload_is_bytes_whatever_they_are() {
    let fixture = fixture().await;
    let new = job();
    let id = new.id;
    insert(&fixture.storage, vec![new]).await;
    fixture
        .raw()
        .execute(
            "UPDATE jobs SET payload = x'00ff00' WHERE id = ?1",
            [id.as_bytes()],
        )
        .unwrap();
    let claimed = claim(&fixture.storage, 1).await.jobs.remove(0).0;
    assert_eq!(claimed.job.payload.bytes, [0, 255, 0]);
}

#[tokio::test]
async fn an_unreadable_part_of_a_job_keeps_no_worker_from_any_job() {
    let damages = [
        "UPDATE attempts SET error = '{bad'",
        "UPDATE attempts SET error = '7'",
        "UPDATE job_parts SET value = '{bad'",
    ];
    for damage in damages {
        let fixture = fixture().await;
        let storage = &fixture.storage;
        let (bad, good) = (job(), job());
        let ids = [bad.id, good.id];
        insert(storage, vec![bad]).await;
        // Two attempts with everything an attempt can leave behind.
        for _ in 0..2 {
            let (_, lease) = claim(storage, 1).await.jobs.remove(0);
            let mut ending = majordomo_core::Ending::new(
                lease,
                Verdict::Retry {
                    due: majordomo_core::When::Now,
                },
            );
            let failure = majordomo_core::Failure::new(majordomo_core::FailureKind::Error, "no");
            ending.error = Some(failure);
            ending.progress = Some(majordomo_core::Progress::new(5.0, "some"));
            ending.checkpoint = Some(5.into());
            ending.log = vec![majordomo_core::LogLine {
                at: majordomo_core::Timestamp::UNIX_EPOCH,
                level: "info".into(),
                message: "here".into(),
            }];
            storage.settle(vec![ending], None).await.unwrap();
        }
        fixture.raw().execute_batch(damage).unwrap();
        insert(storage, vec![good]).await;
        assert_names(&storage.get(&[ids[0]]).await.unwrap_err(), ids[0]);
        let claimed = claim(storage, 5).await.jobs;
        let claimed: Vec<_> = claimed.into_iter().map(|(_, lease)| lease).collect();
        assert_eq!(
            claimed.iter().map(|lease| lease.job).collect::<Vec<_>>(),
            ids
        );
        let beats = claimed.iter().map(|lease| Beat {
            progress: Some(majordomo_core::Progress::new(50.0, "half")),
            ..Beat::new(lease.clone(), MINUTE)
        });
        let kept = storage.renew(beats.collect()).await.unwrap();
        assert_eq!(kept, [Renewed::Kept; 2], "{damage}");
        let completed = |lease| majordomo_core::Ending::new(lease, Verdict::Completed);
        let endings = claimed.into_iter().map(completed).collect();
        let (settled, _) = storage.settle(endings, None).await.unwrap();
        assert_eq!(settled, [Settled::Applied(State::Completed); 2], "{damage}");
    }
}
