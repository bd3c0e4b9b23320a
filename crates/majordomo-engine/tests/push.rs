//! How a worker learns of work: it is told, or its timer rings. The poll is
//! only a net, and a worker without work leaves its storage alone.
//!
//! Time is tokio's, paused, and the storage's clock follows it.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Change, Clock, ManualClock, Memory, State, Task, Timestamp, time};
use majordomo_engine::{Client, Context, Result, Run, Running, Spawner, Worker};
use majordomo_testkit::faulty::{Faulty, Verbs};
use majordomo_testkit::{Kit, TestWorker};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Serialize, Deserialize)]
struct Nothing;

impl Task for Nothing {
    type Output = ();
    const NAME: &'static str = "nothing";
}

impl Run<()> for Nothing {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

/// A clock that follows the runtime's paused time.
#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        time::from_micros(1_767_225_600_000_000 + time::micros_of(self.0.elapsed()))
    }
}

/// A worker that looks by itself this often, on a storage that counts the calls.
async fn start(poll: Duration) -> (Arc<Faulty<Memory>>, Client, Running) {
    let memory = Memory::with_clock(Arc::new(Paused(Instant::now())));
    let counted = Arc::new(Faulty::new(Arc::new(memory), 1));
    let jobs = Client::shared(counted.clone());
    let worker = Worker::new(&jobs, ()).handle::<Nothing>().poll(poll);
    let running = worker.spawner(Spawner::Task).start().await.unwrap();
    // Until what it does at its start is over.
    tokio::time::sleep(10 * SECOND).await;
    (counted, jobs, running)
}

async fn end(mut running: Running) {
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn g56_gx9_an_enqueued_job_starts_at_once_although_the_next_poll_is_an_hour_away() {
    let (_, jobs, running) = start(HOUR).await;
    for _ in 0..20 {
        let job = jobs.enqueue(Nothing).await.unwrap();
        job.result().await.unwrap();
        let job = job.details().await.unwrap().job;
        let waited = time::between(job.created_at, job.started_at.unwrap());
        assert!(waited < Duration::from_millis(20), "it waited {waited:?}");
        tokio::time::sleep(7 * SECOND).await;
    }
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn g6_a_job_starts_when_it_is_due_by_a_timer_and_never_before() {
    let (_, jobs, running) = start(HOUR).await;
    for wait in [2 * SECOND, 3 * MINUTE, Duration::from_millis(250)] {
        let job = jobs.enqueue(Nothing).after(wait).await.unwrap();
        job.result().await.unwrap();
        let job = job.details().await.unwrap().job;
        let waited = time::between(job.created_at, job.started_at.unwrap());
        let latest = wait + Duration::from_millis(50);
        assert!(
            wait <= waited && waited <= latest,
            "{waited:?} for {wait:?}"
        );
    }
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn g6_a_job_that_is_not_due_yet_can_be_cancelled_and_moved_to_another_time() {
    let (_, jobs, running) = start(HOUR).await;
    let cancelled = jobs.enqueue(Nothing).after(MINUTE).await.unwrap();
    let later = jobs.enqueue(Nothing).after(MINUTE).await.unwrap();
    let sooner = jobs.enqueue(Nothing).after(24 * HOUR).await.unwrap();
    cancelled.cancel().await.unwrap();
    for (job, due) in [(&later, 2 * HOUR), (&sooner, SECOND)] {
        let id = majordomo_core::Filter::id(job.id());
        let move_it = Change::Reschedule { due: due.into() };
        jobs.change(&id, &move_it).await.unwrap();
    }
    sooner.result().await.unwrap();
    tokio::time::sleep(HOUR).await;
    assert_eq!(cancelled.state().await.unwrap(), State::Cancelled);
    assert_eq!(later.state().await.unwrap(), State::Pending);
    later.result().await.unwrap();
    end(running).await;
}

/// The calls of a minute, by what they are.
async fn a_minute(counted: &Faulty<Memory>) -> [u64; Verbs::ALL.len()] {
    let made = || Verbs::ALL.map(|verbs| counted.calls(verbs).made);
    let before = made();
    tokio::time::sleep(MINUTE).await;
    let after = made();
    std::array::from_fn(|index| after[index] - before[index])
}

#[tokio::test(start_paused = true)]
async fn g68_a_worker_without_work_claims_nothing_unless_its_poll_says_so() {
    let (counted, _, running) = start(HOUR).await;
    let [insert, claim, renew, settle, read, operate] = a_minute(&counted).await;
    assert_eq!((insert, claim, renew, settle), (0, 0, 0, 0));
    // The sweeper looks every 5 s for two things, the pruner every minute, and
    // every 10 s the worker says that it is there.
    assert!(read + operate <= 60, "{read} reads and {operate} writes");
    end(running).await;
}

#[tokio::test(start_paused = true)]
async fn g68_a_worker_without_work_claims_about_once_a_second_by_default() {
    let (counted, jobs, running) = start(SECOND).await;
    let [insert, claim, renew, settle, ..] = a_minute(&counted).await;
    assert_eq!((insert, renew, settle), (0, 0, 0));
    assert!((55..=67).contains(&claim), "{claim} claims in a minute");
    jobs.enqueue(Nothing).await.unwrap().result().await.unwrap();
    end(running).await;
}

/// Whatever the clock of the machine shows: the storage's clock decides.
#[tokio::test]
async fn gx29_a_machine_whose_clock_is_an_hour_off_runs_nothing_early_or_late() {
    for skew in [-3600, 0, 3600] {
        let start = Timestamp::now().as_microsecond() + skew * 1_000_000;
        let clock = ManualClock::starting_at(time::from_micros(start));
        let memory = Memory::with_clock(Arc::new(clock.clone()));
        let kit = Kit::on(memory, clock);
        let worker: TestWorker<()> = kit.test(kit.worker(()).handle::<Nothing>()).unwrap();
        let half = HOUR / 2;
        let due = kit.jobs.enqueue(Nothing).after(half).await.unwrap();
        let expires = kit.jobs.enqueue(Nothing).after(MINUTE).expires_in(half);
        let expires = expires.await.unwrap();
        let now = kit.jobs.enqueue(Nothing).await.unwrap();
        assert_eq!(worker.step().await.unwrap().completed(), 1);
        let job = now.details().await.unwrap().job;
        assert_eq!(job.started_at, Some(kit.now()));
        kit.advance(half - Duration::from_micros(1));
        assert_eq!(due.state().await.unwrap(), State::Pending);
        assert_eq!(worker.step().await.unwrap().completed(), 1, "in time");
        assert_eq!(expires.state().await.unwrap(), State::Completed);
        kit.advance(Duration::from_micros(1));
        assert_eq!(worker.step().await.unwrap().completed(), 1, "now due");
        assert_eq!(due.state().await.unwrap(), State::Completed);
    }
}
