//! Tests of the faults themselves, on the memory storage.

use majordomo_core::{Class, Filter, Memory, Order, Renewed, Repeat, Storage};

use super::*;
use crate::samples::{claim, ending, ids, job, jobs};

const ALWAYS_REFUSED: Chance = Chance {
    refused: 1.0,
    lost: 0.0,
};
const ALWAYS_LOST: Chance = Chance {
    refused: 0.0,
    lost: 1.0,
};

fn memory() -> (Arc<Memory>, Faulty<Memory>) {
    let memory = Arc::new(Memory::new());
    (Arc::clone(&memory), Faulty::new(memory, 7))
}

async fn count(storage: &dyn Storage) -> usize {
    storage
        .find(&Filter::all(), Order::default(), None, 1000)
        .await
        .unwrap()
        .items
        .len()
}

#[tokio::test]
async fn a_refused_call_never_reaches_the_storage() {
    let (memory, faulty) = memory();
    let faulty = faulty.with(Verbs::Insert, ALWAYS_REFUSED);
    let error = faulty
        .insert(vec![jobs(1)], Repeat::First)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.class()),
        (ErrorKind::Unavailable, Class::Transient)
    );
    assert_eq!(count(memory.as_ref()).await, 0);
    assert_eq!(
        faulty.calls(Verbs::Insert),
        Calls {
            made: 1,
            refused: 1,
            lost: 0,
            ..Calls::default()
        }
    );
}

#[tokio::test]
async fn a_call_whose_reply_is_lost_was_carried_out() {
    let (memory, faulty) = memory();
    let faulty = faulty.with(Verbs::Insert, ALWAYS_LOST);
    let error = faulty
        .insert(vec![jobs(1)], Repeat::First)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.class()),
        (ErrorKind::Unknown, Class::Ambiguous)
    );
    assert_eq!(count(memory.as_ref()).await, 1);
    assert_eq!(
        faulty.calls(Verbs::Insert),
        Calls {
            made: 1,
            refused: 0,
            lost: 1,
            ..Calls::default()
        }
    );
}

#[tokio::test]
async fn only_the_verbs_that_were_named_fail() {
    let (_, faulty) = memory();
    let faulty = faulty.with(Verbs::Settle, ALWAYS_REFUSED);
    faulty.insert(vec![jobs(1)], Repeat::First).await.unwrap();
    let lease = faulty.claim(claim(1)).await.unwrap().jobs.remove(0).1;
    let completed = ending(&lease, majordomo_core::Verdict::Completed);
    assert!(faulty.settle(vec![completed], None).await.is_err());
    assert_eq!(
        faulty
            .renew(vec![crate::samples::beat(&lease)])
            .await
            .unwrap(),
        [Renewed::Kept]
    );
    assert_eq!(
        faulty.calls(Verbs::Claim),
        Calls {
            made: 1,
            refused: 0,
            lost: 0,
            ..Calls::default()
        }
    );
}

#[tokio::test]
async fn the_reply_to_a_read_is_never_lost() {
    let (_, faulty) = memory();
    let faulty = faulty.with_all(ALWAYS_LOST);
    assert_eq!(faulty.get(&[]).await.unwrap(), []);
    assert!(faulty.remove(&Filter::all(), 1).await.is_err());
}

#[tokio::test]
async fn a_healed_storage_fails_no_more() {
    let (_, faulty) = memory();
    let faulty = faulty.with_all(ALWAYS_REFUSED);
    assert!(faulty.now().await.is_err());
    faulty.heal();
    faulty.now().await.unwrap();
    assert_eq!(
        faulty.calls(Verbs::Read),
        Calls {
            made: 2,
            refused: 1,
            lost: 0,
            ..Calls::default()
        }
    );
}

#[tokio::test]
async fn the_same_seed_fails_the_same_calls() {
    let half = Chance {
        refused: 0.25,
        lost: 0.25,
    };
    let outcomes = async |seed: u64| {
        let faulty = Faulty::new(Arc::new(Memory::new()), seed).with_all(half);
        let mut kinds = Vec::new();
        for _ in 0..100 {
            kinds.push(
                faulty
                    .remove(&Filter::all(), 1)
                    .await
                    .map_err(|error| error.kind()),
            );
        }
        kinds
    };
    let first = outcomes(1).await;
    assert_eq!(first, outcomes(1).await);
    assert_ne!(first, outcomes(2).await);
    let refused = first
        .iter()
        .filter(|kind| **kind == Err(ErrorKind::Unavailable))
        .count();
    let lost = first
        .iter()
        .filter(|kind| **kind == Err(ErrorKind::Unknown))
        .count();
    assert!(
        refused > 10 && lost > 10,
        "{refused} refused and {lost} lost of 100"
    );
}

#[tokio::test]
async fn repeats_after_lost_replies_make_each_job_once() {
    let (memory, faulty) = memory();
    let faulty = faulty.with(
        Verbs::Insert,
        Chance {
            refused: 0.3,
            lost: 0.3,
        },
    );
    let group = jobs(200);
    for job in &group {
        let mut repeat = Repeat::First;
        while faulty
            .insert(vec![vec![job.clone()]], repeat)
            .await
            .is_err()
        {
            repeat = Repeat::Again;
        }
    }
    let calls = faulty.calls(Verbs::Insert);
    assert!(calls.lost > 0 && calls.refused > 0);
    assert_eq!(calls.made - calls.lost - calls.refused, 200);
    let found = memory
        .find(&Filter::all(), Order::default(), None, 1000)
        .await
        .unwrap()
        .items;
    assert_eq!(
        found.iter().map(|job| job.id).collect::<Vec<_>>(),
        ids(&group)
    );
}

#[tokio::test]
async fn it_wraps_any_storage_behind_a_pointer() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(storage, 1));
    faulty
        .insert(vec![vec![job()]], Repeat::First)
        .await
        .unwrap();
    assert_eq!(faulty.name(), "memory");
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_that_is_late_is_carried_out_before_or_after_the_wait() {
    let (memory, faulty) = memory();
    let before = Trouble {
        arrives_late: Late::by(SECOND),
        ..Trouble::default()
    };
    let after = Trouble {
        answered_late: Late::by(SECOND),
        ..Trouble::default()
    };
    for (late, carried_out) in [(before, 0), (after, 1)] {
        faulty.set(Verbs::Insert, late);
        let started = tokio::time::Instant::now();
        let group = jobs(1);
        let insert = || faulty.insert(vec![group.clone()], Repeat::Again);
        let given_up = tokio::time::timeout(SECOND / 2, insert()).await;
        assert!(given_up.is_err());
        assert_eq!(count(memory.as_ref()).await, carried_out);
        insert().await.unwrap();
        assert_eq!(started.elapsed(), SECOND + SECOND / 2);
        memory
            .change(&Filter::all(), &majordomo_core::Change::Cancel, None, 10)
            .await
            .unwrap();
        memory.remove(&Filter::all(), 10).await.unwrap();
    }
    assert_eq!(faulty.calls(Verbs::Insert).late, 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_comes_hangs_until_it_is_healed() {
    let never_arrives = Trouble {
        never_arrives: 1.0,
        ..Trouble::default()
    };
    let never_answered = Trouble {
        never_answered: 1.0,
        ..Trouble::default()
    };
    for (never, carried_out) in [(never_arrives, 0), (never_answered, 1)] {
        let (memory, faulty) = memory();
        faulty.set(Verbs::Insert, never);
        let mut insert = faulty.insert(vec![jobs(1)], Repeat::First);
        assert!(tokio::time::timeout(SECOND, &mut insert).await.is_err());
        assert_eq!(count(memory.as_ref()).await, carried_out);
        faulty.heal();
        insert.await.unwrap();
        assert_eq!(count(memory.as_ref()).await, 1);
        assert_eq!(faulty.calls(Verbs::Insert).hung, 1);
    }
}

#[tokio::test]
async fn a_call_that_comes_twice_is_carried_out_twice_and_answered_once() {
    let (memory, faulty) = memory();
    memory.insert(vec![jobs(10)], Repeat::First).await.unwrap();
    let twice = Trouble {
        twice: 1.0,
        ..Trouble::default()
    };
    let faulty = faulty.with_all(twice);
    let claimed = faulty.claim(claim(3)).await.unwrap().jobs;
    assert_eq!(claimed.len(), 3);
    let running = Filter::all().state(majordomo_core::State::Running);
    let found = memory.find(&running, Order::default(), None, 100).await;
    assert_eq!(found.unwrap().items.len(), 6);
    let completed = ending(&claimed[0].1, majordomo_core::Verdict::Completed);
    let (settled, _) = faulty.settle(vec![completed], None).await.unwrap();
    assert_eq!(
        settled,
        [majordomo_core::Settled::Applied(
            majordomo_core::State::Completed
        )]
    );
    assert_eq!(faulty.calls(Verbs::Settle).twice, 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_trouble() {
    let all = Trouble {
        chance: Chance {
            refused: 0.2,
            lost: 0.2,
        },
        twice: 0.3,
        arrives_late: Late {
            from: Duration::ZERO,
            to: SECOND,
        },
        ..Trouble::default()
    };
    let history = async |seed: u64| {
        let faulty = Faulty::new(Arc::new(Memory::new()), seed).with_all(all);
        let mut history = Vec::new();
        for _ in 0..50 {
            let started = tokio::time::Instant::now();
            let outcome = faulty.remove(&Filter::all(), 1).await.is_ok();
            history.push((outcome, started.elapsed(), faulty.calls(Verbs::Operate)));
        }
        history
    };
    assert_eq!(history(3).await, history(3).await);
    assert_ne!(history(3).await, history(4).await);
}
