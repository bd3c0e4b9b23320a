//! An application for each attempt: how many there are, and when they end.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use majordomo_core::{DeadReason, FailureKind, Memory, Task};
use majordomo_engine::{
    Client, Context, NotCompleted, Result, Run, RunBlocking, TaskError, Worker,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

/// What all attempts share, as a test would have it in a pool.
#[derive(Debug)]
struct Pool {
    made: AtomicUsize,
    dropped: Mutex<Vec<usize>>,
    all_at_once: Barrier,
}

/// The application of one attempt.
struct Session {
    number: usize,
    pool: Arc<Pool>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pool.dropped.lock().unwrap().push(self.number);
    }
}

const AT_ONCE: usize = 5;

fn pool() -> Arc<Pool> {
    Arc::new(Pool {
        made: AtomicUsize::new(0),
        dropped: Mutex::default(),
        all_at_once: Barrier::new(AT_ONCE),
    })
}

#[derive(Serialize, Deserialize)]
enum Use {
    Meet,
    Fail,
    Panic,
    Hang,
    /// Its application can't be made.
    Never,
}

impl Task for Use {
    type Output = usize;
    const NAME: &'static str = "use";
}

impl Run<Session> for Use {
    async fn run(self, session: &Session, _: &Context) -> Result<usize> {
        assert!(
            !session
                .pool
                .dropped
                .lock()
                .unwrap()
                .contains(&session.number)
        );
        match self {
            Self::Meet => {
                session.pool.all_at_once.wait().await;
                Ok(session.number)
            }
            Self::Fail => Err(TaskError::new("no luck")),
            Self::Panic => panic!("a bug"),
            Self::Hang | Self::Never => std::future::pending().await,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Block {
    panics: bool,
}

impl Task for Block {
    type Output = usize;
    const NAME: &'static str = "block";
}

impl RunBlocking<Session> for Block {
    fn run(self, session: &Session, _: &Context) -> Result<usize> {
        assert!(!self.panics, "a bug");
        Ok(session.number)
    }
}

fn worker(jobs: &Client, pool: &Arc<Pool>) -> Worker<Session> {
    let pool = Arc::clone(pool);
    let make = move |cx: Context| {
        let pool = Arc::clone(&pool);
        async move {
            tokio::task::yield_now().await;
            if cx.job().payload.bytes == br#""Never""# {
                return Err(TaskError::new("the pool is empty"));
            }
            if cx.job().tags.iter().any(|tag| tag == "hangs") {
                return std::future::pending().await;
            }
            let number = pool.made.fetch_add(1, Ordering::SeqCst);
            Ok(Session { number, pool })
        }
    };
    Worker::scoped(jobs, make)
        .handle::<Use>()
        .handle_blocking::<Block>()
        .grace(Duration::ZERO)
}

#[tokio::test(flavor = "multi_thread")]
async fn g63_jobs_that_run_at_once_have_values_of_their_own_each_dropped_once() {
    let jobs = Client::new(Memory::new());
    let pool = pool();
    let mut running = worker(&jobs, &pool).start().await.unwrap();
    let tasks = (0..AT_ONCE).map(|_| Use::Meet);
    let handles = jobs.enqueue_many(tasks).await.unwrap();
    let mut seen = BTreeSet::new();
    for handle in handles {
        seen.insert(handle.result().await.unwrap());
    }
    assert_eq!(seen.len(), AT_ONCE, "no two of them met in one");
    running.stop();
    running.wait().await.unwrap();
    let mut dropped = pool.dropped.lock().unwrap().clone();
    dropped.sort_unstable();
    assert_eq!(dropped, seen.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn g63_a_value_is_dropped_once_however_its_attempt_ends() {
    let jobs = Client::new(Memory::new());
    let pool = pool();
    let stepper = worker(&jobs, &pool).stepper().unwrap();
    let limit = Duration::from_millis(1);
    for (number, task) in [Use::Fail, Use::Panic, Use::Hang].into_iter().enumerate() {
        jobs.enqueue(task).attempts(1).timeout(limit).await.unwrap();
        stepper.step().await.unwrap();
        assert_eq!(pool.dropped.lock().unwrap().len(), number + 1);
    }
    for panics in [false, true] {
        jobs.enqueue(Block { panics }).attempts(1).await.unwrap();
        stepper.step().await.unwrap();
    }
    assert_eq!(*pool.dropped.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn gx26_a_value_that_cannot_be_made_fails_its_attempt_and_no_other() {
    let jobs = Client::new(Memory::new());
    let pool = pool();
    let stepper = worker(&jobs, &pool).stepper().unwrap();
    let never = jobs.enqueue(Use::Never).attempts(1).await.unwrap();
    let other = jobs.enqueue(Block { panics: false }).await.unwrap();
    stepper.step().await.unwrap();
    let Err(NotCompleted::Dead(reason, Some(failure))) = never.result().await else {
        panic!("it is dead");
    };
    assert_eq!(
        (reason, failure.kind),
        (Some(DeadReason::Exhausted), FailureKind::Error)
    );
    assert_eq!(
        failure.message,
        "cannot make the application of this attempt"
    );
    assert_eq!(failure.chain, ["the pool is empty"]);
    assert_eq!(other.result().await.unwrap(), 0);
}

#[tokio::test]
async fn g63_making_a_value_is_part_of_the_attempt_and_of_its_timeout() {
    let jobs = Client::new(Memory::new());
    let stepper = worker(&jobs, &pool()).stepper().unwrap();
    let limit = Duration::from_millis(1);
    let waits = jobs.enqueue(Use::Meet).timeout(limit).attempts(1);
    let waits = waits.tags(["hangs"]).await.unwrap();
    let blocks = jobs
        .enqueue(Block { panics: false })
        .timeout(limit)
        .attempts(1);
    let blocks = blocks.tags(["hangs"]).await.unwrap();
    stepper.step().await.unwrap();
    for details in [
        waits.details().await.unwrap(),
        blocks.details().await.unwrap(),
    ] {
        assert_eq!(details.job.error.unwrap().kind, FailureKind::Timeout);
    }
}
