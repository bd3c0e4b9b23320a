//! The life of a job, and what only SQLite has to get right about it.

mod common;

use std::time::Duration;

use common::{MINUTE, claim, fixture, insert, job, settle};
use majordomo_core::{
    Backoff, Beat, Change, Control, Durability, Ending, EndingKind, ErrorKind, Failure,
    FailureKind, Filter, Hold, Inserted, Order, Pause, Progress, Repeat, Scope, Settled, State,
    Storage, Tags, Until, Verdict, When, limits,
};
use majordomo_sqlite::{Sqlite, SqliteDurability};
use serde_json::json;

#[tokio::test]
async fn a_job_lives_from_insert_to_removal() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    let new = job();
    let id = new.id;
    assert_eq!(insert(storage, vec![new]).await, [Inserted::New]);
    let claimed = claim(storage, 1).await;
    let (details, lease) = &claimed.jobs[0];
    assert_eq!(
        (details.job.id, details.job.state, lease.token),
        (id, State::Running, 1)
    );
    let mut beat = Beat::new(lease.clone(), MINUTE);
    beat.progress = Some(Progress::new(33.3, "a third"));
    beat.checkpoint = Some(json!({"page": 3}));
    storage.renew(vec![beat]).await.unwrap();
    let mut ending = Ending::new(lease.clone(), Verdict::Completed);
    ending.output = Some(json!(0.1 + 0.2));
    let (settled, _) = storage
        .settle(vec![ending.clone(), ending], None)
        .await
        .unwrap();
    assert_eq!(
        settled,
        [Settled::Applied(State::Completed); 2],
        "a repeat is answered as applied"
    );
    let details = storage.get(&[id]).await.unwrap().remove(0).unwrap();
    assert_eq!(details.output, Some(json!(0.1 + 0.2)), "to the last bit");
    assert_eq!(
        (
            details.checkpoint,
            details.history.len(),
            details.attempts.len()
        ),
        (None, 1, 1)
    );
    assert_eq!(storage.remove(&Filter::all(), 10).await.unwrap(), 1);
    assert_eq!(storage.get(&[id]).await.unwrap(), [None]);
    let left: i64 = fixture
        .raw()
        .query_row(
            "SELECT (SELECT count(*) FROM job_parts) + (SELECT count(*) FROM attempts)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0, "nothing stays behind in the other tables");
}

#[tokio::test]
async fn the_first_and_the_latest_attempts_are_kept() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    let mut new = job();
    new.max_attempts = 1000;
    let id = new.id;
    insert(storage, vec![new]).await;
    for round in 1..=limits::ATTEMPTS as u64 + 30 {
        let lease = claim(storage, 1).await.jobs.remove(0).1;
        assert_eq!(lease.token, round);
        let mut ending = Ending::new(lease, Verdict::Retry { due: When::Now });
        ending.error = Some(Failure::new(
            FailureKind::Error,
            &format!("failure {round}"),
        ));
        storage.settle(vec![ending], None).await.unwrap();
    }
    let details = claim(storage, 1).await.jobs.remove(0).0;
    let tokens: Vec<u64> = details
        .attempts
        .iter()
        .map(|attempt| attempt.token)
        .collect();
    let latest = limits::ATTEMPTS as u64 + 31;
    assert_eq!(tokens.len(), limits::ATTEMPTS);
    assert_eq!(
        (tokens[0], tokens[1], tokens[limits::ATTEMPTS - 1]),
        (1, 33, latest)
    );
    assert_eq!(
        details.attempts[1].error.as_ref().unwrap().message,
        "failure 33"
    );
    assert_eq!(details.attempts[limits::ATTEMPTS - 1].ending, None);
    assert_eq!(
        storage.get(&[id]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .attempts,
        details.attempts
    );
}

#[tokio::test]
async fn an_ending_of_an_earlier_attempt_is_known_again_by_its_own_hand_only() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    insert(storage, vec![job()]).await;
    let first = claim(storage, 1).await.jobs.remove(0).1;
    settle(storage, &first, Verdict::Retry { due: When::Now }).await;
    let second = claim(storage, 1).await.jobs.remove(0).1;
    assert_eq!(
        settle(storage, &first, Verdict::Retry { due: When::Now }).await,
        Settled::Applied(State::Pending)
    );
    assert_eq!(
        settle(storage, &first, Verdict::Completed).await,
        Settled::Stale
    );
    assert_eq!(
        settle(storage, &second, Verdict::Completed).await,
        Settled::Applied(State::Completed)
    );
}

#[tokio::test]
async fn everything_asked_of_a_job_comes_back() {
    let fixture = fixture().await;
    let mut new = job();
    new.backoff = Backoff::fixed(MINUTE).max_age(MINUTE * 9);
    new.timeout = Some(MINUTE);
    new.tags = Tags::none().with("a").with("b");
    new.metadata.insert("n".into(), json!(1.0 / 3.0));
    new.holds = vec![Hold::new("k").until(Until::For(MINUTE))];
    new.tenant = Some("acme".into());
    new.limit_key = Some("acme".into());
    let expected = new.clone().into_job(fixture.storage.now().await.unwrap());
    insert(&fixture.storage, vec![new]).await;
    let page = fixture
        .storage
        .find(&Filter::all().tag("b"), Default::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(page.items, [expected]);
}

#[tokio::test]
async fn a_job_whose_backoff_is_no_number_can_be_claimed() {
    let fixture = fixture().await;
    let mut new = job();
    new.backoff = Backoff::exponential(MINUTE, f64::INFINITY).jitter(f64::NAN);
    insert(&fixture.storage, vec![new]).await;
    let (_, lease) = claim(&fixture.storage, 1).await.jobs.remove(0);
    let mut beat = Beat::new(lease, MINUTE);
    beat.progress = Some(Progress {
        percent: f64::NAN,
        ..Progress::default()
    });
    fixture.storage.renew(vec![beat]).await.unwrap();
    assert_eq!(
        fixture
            .storage
            .find(&Filter::all(), Default::default(), None, 1)
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

#[tokio::test]
async fn output_too_deep_to_be_read_back_is_refused_and_the_lease_stays() {
    let fixture = fixture().await;
    insert(&fixture.storage, vec![job()]).await;
    let (_, lease) = claim(&fixture.storage, 1).await.jobs.remove(0);
    let mut ending = Ending::new(lease.clone(), Verdict::Completed);
    ending.output = Some((0..200).fold(json!(1), |inner, _| json!([inner])));
    let error = fixture
        .storage
        .settle(vec![ending], None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("nests deeper than 100 levels"),
        "{error}"
    );
    assert_eq!(
        settle(&fixture.storage, &lease, Verdict::Completed).await,
        Settled::Applied(State::Completed)
    );
}

#[tokio::test]
async fn limits_are_exact_within_one_claim() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    let limited = |key: &str| {
        let mut new = job();
        new.limit_key = Some(key.into());
        new
    };
    let jobs = (0..20)
        .map(|n| limited(if n < 10 { "a" } else { "b" }))
        .collect();
    insert(storage, jobs).await;
    let control = |max| Control {
        max_running: Some(max),
        paused: None,
    };
    storage
        .set_control(Scope::LimitKey("a".into()), control(3))
        .await
        .unwrap();
    storage
        .set_control(Scope::LimitKey("b".into()), control(2))
        .await
        .unwrap();
    let claimed = claim(storage, 20).await;
    assert_eq!(claimed.jobs.len(), 5);
    assert_eq!(claim(storage, 20).await.jobs.len(), 0);
    let a = claimed
        .jobs
        .iter()
        .find(|(details, _)| details.job.limit_key.as_deref() == Some("a"))
        .unwrap();
    settle(storage, &a.1, Verdict::Completed).await;
    assert_eq!(
        claim(storage, 20).await.jobs.len(),
        1,
        "one place was given back"
    );
    storage
        .set_control(Scope::Queue("default".into()), control(6))
        .await
        .unwrap();
    storage
        .set_control(Scope::LimitKey("a".into()), Control::default())
        .await
        .unwrap();
    assert_eq!(claim(storage, 20).await.jobs.len(), 1, "5 of 6 run");
}

#[tokio::test]
async fn a_paused_queue_still_lets_jobs_expire() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    let mut new = job();
    new.expires = Some(When::In(MINUTE));
    let id = new.id;
    insert(storage, vec![new]).await;
    let paused = Control {
        paused: Some(Pause::default()),
        max_running: None,
    };
    storage
        .set_control(Scope::Queue("default".into()), paused)
        .await
        .unwrap();
    fixture.clock.advance(MINUTE);
    assert_eq!(claim(storage, 5).await.jobs.len(), 0);
    assert_eq!(
        storage.get(&[id]).await.unwrap()[0]
            .as_ref()
            .unwrap()
            .job
            .state,
        State::Expired
    );
}

#[tokio::test]
async fn an_insert_is_answered_whatever_becomes_of_its_neighbours() {
    let fixture = fixture().await;
    let futures: Vec<_> = (0..50)
        .map(|n| {
            let storage = fixture.storage.clone();
            tokio::spawn(async move {
                let mut call = Box::pin(storage.insert(vec![vec![job()]], Repeat::First));
                if n % 2 == 0 {
                    // Asked once, then forgotten.
                    let _ = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(
                            std::future::Future::poll(call.as_mut(), cx).is_ready(),
                        )
                    })
                    .await;
                    return 0;
                }
                call.await.unwrap()[0].as_ref().unwrap().len()
            })
        })
        .collect();
    let mut answered = 0;
    for future in futures {
        answered += future.await.unwrap();
    }
    assert_eq!(answered, 25);
}

#[tokio::test]
async fn statistics_agree_with_a_recount() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    insert(storage, (0..30).map(|_| job()).collect()).await;
    for (index, (_, lease)) in claim(storage, 30).await.jobs.iter().enumerate() {
        fixture.clock.advance(std::time::Duration::from_secs(7));
        let verdict = if index % 3 == 0 {
            Verdict::Cancelled
        } else {
            Verdict::Completed
        };
        settle(storage, lease, verdict).await;
    }
    let query = majordomo_core::Query {
        by: majordomo_core::By::All,
        from: majordomo_core::Timestamp::UNIX_EPOCH,
        to: storage.now().await.unwrap() + MINUTE,
        width: majordomo_core::Width::Hour,
    };
    let buckets = storage.series(&query).await.unwrap();
    assert_eq!(buckets.len(), 1);
    let tally = &buckets[0].tally;
    assert_eq!(
        (
            tally.count(EndingKind::Completed),
            tally.count(EndingKind::Cancelled)
        ),
        (20, 10)
    );
    assert_eq!((tally.run.min, tally.run.max), (7_000_000, 210_000_000));
    assert_eq!(tally.run.sum, (1..=30).map(|n| n * 7_000_000).sum::<u64>());
}

#[tokio::test]
async fn a_bulk_change_goes_page_by_page() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    insert(storage, (0..25).map(|_| job()).collect()).await;
    let (mut after, mut changed, mut pages) = (None, 0, 0);
    loop {
        let page = storage
            .change(&Filter::all(), &Change::Priority(4), after, 10)
            .await
            .unwrap();
        (changed, pages) = (changed + page.items.len(), pages + 1);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((changed, pages), (25, 3));
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for_and_then_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let patience = std::time::Duration::from_millis(20);
    let storage = Sqlite::options(&path)
        .busy_timeout(patience)
        .open()
        .await
        .unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = storage
        .insert(vec![vec![job()]], Repeat::First)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        storage
            .find(&Filter::all(), Default::default(), None, 1)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    other.execute_batch("ROLLBACK").unwrap();
    insert(&storage, vec![job()]).await;
    assert_eq!(storage.durability(), Durability::PowerLoss);
    let relaxed = Sqlite::options(&path)
        .durability(SqliteDurability::Relaxed)
        .open()
        .await
        .unwrap();
    assert_eq!(relaxed.durability(), Durability::ProcessCrash);
}

/// Waits for a future with nothing but the standard library.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn no_runtime_is_needed() {
    let fixture = wait(fixture());
    assert_eq!(wait(insert(&fixture.storage, vec![job()])), [Inserted::New]);
    let lease = wait(claim(&fixture.storage, 1)).jobs.remove(0).1;
    assert_eq!(
        wait(settle(&fixture.storage, &lease, Verdict::Completed)),
        Settled::Applied(State::Completed)
    );
}

#[tokio::test]
async fn a_settle_that_was_given_up_writes_its_endings_and_leases_no_jobs_to_nobody() {
    let fixture = fixture().await;
    let storage = &fixture.storage;
    insert(storage, vec![job(), job()]).await;
    let (details, lease) = claim(storage, 1).await.jobs.remove(0);
    let other = fixture.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ending = Ending::new(lease, Verdict::Completed);
    let call = storage.settle(vec![ending], Some(common::ask(1)));
    let given_up = tokio::time::timeout(Duration::ZERO, call).await;
    assert!(given_up.is_err(), "the file is locked");
    other.execute_batch("COMMIT").unwrap();
    // Whatever was asked before is done before this is answered.
    storage.settle(Vec::new(), None).await.unwrap();
    let found = storage.get(&[details.job.id]).await.unwrap().remove(0);
    assert_eq!(found.unwrap().job.state, State::Completed);
    let running = Filter::all().state(State::Running);
    let page = storage.find(&running, Order::default(), None, 10).await;
    assert_eq!(page.unwrap().items, []);
}
