//! A worker behind a gate: when it claims, what a cycle is, and that nobody
//! who waits for one is left waiting.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use majordomo_core::{ErrorKind, Memory, State, Task};
use majordomo_engine::{Client, Context, Gate, Report, Result, Run, Running, TaskError, Worker};
use majordomo_testkit::faulty::{Chance, Faulty, Trouble, Verbs};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How long a test waits for what must happen. Only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
enum Act {
    Return,
    Fail,
    Wait,
    /// Never returns, whatever it is told.
    Ignore,
}

impl Task for Act {
    type Output = ();
    const NAME: &'static str = "act";
}

impl Run<watch::Sender<bool>> for Act {
    async fn run(self, open: &watch::Sender<bool>, cx: &Context) -> Result<()> {
        match self {
            Self::Return => Ok(()),
            Self::Fail => Err(TaskError::new("failed as asked")),
            Self::Ignore => std::future::pending().await,
            Self::Wait => {
                let mut open = open.subscribe();
                tokio::select! {
                    _ = open.wait_for(|open| *open) => Ok(()),
                    _ = cx.cancelled() => Err(TaskError::new("told to stop")),
                }
            }
        }
    }
}

/// A worker behind a gate, on a storage that the test can spoil.
struct Stand {
    faulty: Arc<Faulty<Memory>>,
    jobs: Client,
    gate: Gate,
    open: watch::Sender<bool>,
    running: Running,
}

async fn stand(gate: Gate, change: impl FnOnce(Shape) -> Shape) -> Stand {
    let memory = Memory::new();
    let faulty = Arc::new(Faulty::new(Arc::new(memory.clone()), 1));
    let open = watch::Sender::new(false);
    let worker = Worker::new(&Client::shared(faulty.clone()), open.clone());
    let worker = change(worker.handle::<Act>().gate(&gate));
    Stand {
        running: worker.start().await.expect("a worker starts"),
        faulty,
        jobs: Client::new(memory),
        gate,
        open,
    }
}

type Shape = Worker<watch::Sender<bool>>;

fn as_it_is(worker: Shape) -> Shape {
    worker
}

impl Stand {
    async fn pass_one(&self) -> majordomo_core::Result<Report> {
        within(self.gate.pass_one()).await
    }

    async fn stop(mut self) {
        self.running.stop();
        within(self.running.wait()).await.expect("it ends");
    }

    /// The worker has come to its gate this many times more and was not let through.
    async fn is_turned_away(&self, times: u64) {
        let reads = || self.faulty.calls(Verbs::Read).made;
        let before = reads();
        within(async {
            while reads() < before + times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

async fn within<T>(waiting: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.expect("nobody is left waiting")
}

async fn states(jobs: &Client) -> Vec<State> {
    let all = majordomo_core::Filter::all();
    let page = jobs.find(&all, Default::default(), None, 1000).await;
    let page = page.expect("jobs are listed");
    page.items.iter().map(|job| job.state).collect()
}

#[tokio::test]
async fn g101_a_held_worker_claims_nothing_until_it_is_released() {
    let quick = |worker: Shape| worker.poll(Duration::from_millis(1));
    let stand = stand(Gate::held(), quick).await;
    let job = stand.jobs.enqueue(Act::Return).await.unwrap();
    stand.is_turned_away(5).await;
    assert_eq!(stand.faulty.calls(Verbs::Claim).made, 0);
    assert_eq!(job.state().await.unwrap(), State::Pending);
    stand.gate.release();
    within(job.result()).await.unwrap();
    stand.stop().await;
}

#[tokio::test]
async fn g102_one_pass_is_one_claim_and_is_done_when_its_endings_are_written() {
    let stand = stand(Gate::held(), |worker| worker.concurrency(2)).await;
    let acts = [Act::Return, Act::Fail, Act::Return];
    stand.jobs.enqueue_many(acts).await.unwrap();
    let first = stand.pass_one().await.unwrap();
    assert_eq!((first.completed(), first.failed()), (1, 1));
    assert_eq!(
        states(&stand.jobs).await,
        [State::Completed, State::Pending, State::Pending],
        "although a slot was free the third one waits for its own cycle"
    );
    assert_eq!(stand.pass_one().await.unwrap().completed(), 1);
    let empty = stand.pass_one().await.unwrap();
    assert!(empty.is_idle(), "a claim that gives nothing is a cycle too");
    stand.stop().await;
}

#[tokio::test]
async fn g102_a_cycle_is_not_done_while_one_of_its_jobs_runs() {
    let stand = stand(Gate::held(), as_it_is).await;
    let acts = [Act::Wait, Act::Return];
    let handles = stand.jobs.enqueue_many(acts).await.unwrap();
    let gate = stand.gate.clone();
    let mut pass = std::pin::pin!(gate.pass_one());
    let returned = async {
        let _ = within(handles[1].result()).await;
    };
    tokio::select! {
        biased;
        _ = &mut pass => panic!("one of its jobs still runs"),
        () = returned => {}
    }
    stand.open.send_replace(true);
    assert_eq!(within(pass).await.unwrap().completed(), 2);
    stand.stop().await;
}

#[tokio::test]
async fn an_open_gate_tells_of_the_next_cycle_at_once() {
    let never = |worker: Shape| worker.poll(Duration::from_secs(3600));
    let stand = stand(Gate::open(), never).await;
    // Jobs of another client, of which no wake tells this worker in time.
    stand.jobs.enqueue(Act::Return).await.unwrap();
    let done = within(stand.gate.cycle_done()).await.unwrap();
    assert!(done.ran() <= 1);
    assert_eq!(states(&stand.jobs).await, [State::Completed]);
    stand.stop().await;
}

#[tokio::test]
async fn several_passes_are_a_cycle_each_and_one_that_was_dropped_is_none() {
    let stand = stand(Gate::held(), |worker| worker.concurrency(1).prefetch(0)).await;
    let acts = [Act::Return, Act::Return, Act::Return];
    stand.jobs.enqueue_many(acts).await.unwrap();
    {
        let dropped = std::pin::pin!(stand.gate.pass_one());
        assert!(
            dropped.now_or_never().is_none(),
            "the worker had no turn yet"
        );
    }
    let both = async { tokio::join!(stand.gate.pass_one(), stand.gate.pass_one()) };
    let (one, other) = within(both).await;
    assert_eq!(
        (one.unwrap().completed(), other.unwrap().completed()),
        (1, 1)
    );
    assert_eq!(
        states(&stand.jobs).await,
        [State::Completed, State::Completed, State::Pending]
    );
    stand.stop().await;
}

#[tokio::test]
async fn gx23_a_held_worker_stops_and_tells_those_who_wait() {
    let mut stand = stand(Gate::held(), as_it_is).await;
    let job = stand.jobs.enqueue(Act::Return).await.unwrap();
    let gate = stand.gate.clone();
    let waiting = tokio::spawn(async move { gate.cycle_done().await });
    tokio::task::yield_now().await;
    stand.running.stop();
    within(stand.running.wait()).await.unwrap();
    let error = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker stopped before the cycle was done"
    );
    assert!(stand.pass_one().await.is_err(), "nor does a later one wait");
    assert_eq!(job.state().await.unwrap(), State::Pending);
}

#[tokio::test]
async fn a_cycle_that_a_shutdown_cuts_short_says_what_was_given_back() {
    let no_drain = |worker: Shape| worker.drain(Duration::ZERO);
    let stand = stand(Gate::held(), no_drain).await;
    let job = stand.jobs.enqueue(Act::Wait).await.unwrap();
    let gate = stand.gate.clone();
    let waiting = tokio::spawn(async move { gate.pass_one().await });
    let mut watch = job.watch();
    within(async { while watch.next().await.unwrap().unwrap().job.state != State::Running {} })
        .await;
    let jobs = stand.jobs.clone();
    stand.stop().await;
    let report = within(waiting).await.unwrap().unwrap();
    assert_eq!(report.count(majordomo_core::EndingKind::Released), 1);
    assert_eq!(states(&jobs).await, [State::Pending]);
}

#[tokio::test]
async fn g102_gx23_a_cycle_whose_claim_or_write_fails_is_done_with_the_storages_error() {
    let stand = stand(Gate::held(), as_it_is).await;
    let job = stand.jobs.enqueue(Act::Return).await.unwrap();
    for (verbs, chance, kind) in [
        (
            Verbs::Claim,
            Chance {
                refused: 1.0,
                lost: 0.0,
            },
            ErrorKind::Unavailable,
        ),
        (
            Verbs::Settle,
            Chance {
                refused: 1.0,
                lost: 0.0,
            },
            ErrorKind::Unavailable,
        ),
    ] {
        stand.faulty.set(verbs, chance);
        let error = stand.pass_one().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        stand.faulty.set(verbs, Trouble::default());
    }
    within(job.result())
        .await
        .expect("the worker wrote it on its own");
    assert!(stand.pass_one().await.unwrap().is_idle());
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn g102_gx23_a_cycle_whose_claim_is_never_answered_is_done_with_an_error() {
    let mut stand = stand(Gate::held(), as_it_is).await;
    let job = stand.jobs.enqueue(Act::Return).await.unwrap();
    let never = Trouble {
        never_answered: 1.0,
        ..Trouble::default()
    };
    stand.faulty.set(Verbs::Claim, never);
    let error = stand.pass_one().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(
        error.message().contains("gave no answer to `claim` in 10s"),
        "{error}"
    );
    stand.faulty.set(Verbs::Claim, Trouble::default());
    stand.gate.release();
    within(job.result())
        .await
        .expect("what was claimed unheard is given back and runs");
    assert_eq!(job.details().await.unwrap().job.charged, 0);
    // The heartbeat has a thread of its own, whose time is not paused.
    stand.running.stop();
    stand.running.wait().await.unwrap();
}

#[tokio::test]
async fn a_job_that_loses_its_lease_does_not_keep_its_cycle_from_being_done() {
    let beats = |worker: Shape| worker.heartbeat(Duration::from_millis(5));
    let stand = stand(Gate::held(), beats).await;
    let job = stand.jobs.enqueue(Act::Wait).await.unwrap();
    let gate = stand.gate.clone();
    let waiting = tokio::spawn(async move { gate.pass_one().await });
    let lease = within(async {
        loop {
            if let Some(lease) = job.details().await.unwrap().job.lease {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let taken = majordomo_core::Ending::new(lease, majordomo_core::Verdict::Release);
    let storage = stand.jobs.storage();
    storage.settle(vec![taken], None).await.unwrap();
    let report = within(waiting).await.unwrap().unwrap();
    assert_eq!((report.ran(), report.stale), (0, 1));
    stand.stop().await;
}

#[tokio::test]
async fn an_attempt_that_ignores_its_timeout_is_dropped_and_its_slot_is_free() {
    let one = |worker: Shape| worker.concurrency(1).grace(Duration::from_millis(1));
    let stand = stand(Gate::held(), one).await;
    let ignores = stand.jobs.enqueue(Act::Ignore).attempts(1);
    let ignores = ignores.timeout(Duration::from_millis(1)).await.unwrap();
    stand.jobs.enqueue(Act::Return).await.unwrap();
    assert_eq!(stand.pass_one().await.unwrap().dead(), 1);
    let error = ignores.details().await.unwrap().job.error.unwrap();
    assert_eq!(error.kind, majordomo_core::FailureKind::Timeout);
    assert_eq!(stand.pass_one().await.unwrap().completed(), 1);
    stand.stop().await;
}

#[tokio::test]
async fn a_gate_holds_one_worker_at_a_time() {
    let first = stand(Gate::held(), as_it_is).await;
    let second = || {
        let worker = Worker::new(&first.jobs, first.open.clone());
        worker.handle::<Act>().gate(&first.gate).start()
    };
    let error = second().await.unwrap_err();
    assert!(error.to_string().contains("a gate of its own"), "{error}");
    let (jobs, gate, open) = (first.jobs.clone(), first.gate.clone(), first.open.clone());
    first.stop().await;
    let worker = Worker::new(&jobs, open).handle::<Act>().gate(&gate);
    let mut next = worker.start().await.unwrap();
    assert!(within(gate.pass_one()).await.unwrap().is_idle());
    next.stop();
    within(next.wait()).await.unwrap();
}

/// Two tests in one process, so to speak: each with its own worker and gate,
/// and even on one storage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g104_gx23_the_gates_of_two_workers_do_not_disturb_each_other() {
    let memory = Memory::new();
    let worker = async |queue: &str| {
        let gate = Gate::held();
        let jobs = Client::new(memory.clone());
        let worker = Worker::new(&jobs, watch::Sender::new(false));
        let worker = worker.handle::<Act>().queue(queue).gate(&gate);
        (jobs, gate, worker.start().await.unwrap())
    };
    let (jobs, one, mut first) = worker("one").await;
    let (_, other, mut second) = worker("other").await;
    for queue in ["one", "other"] {
        for _ in 0..3 {
            jobs.enqueue(Act::Return).queue(queue).await.unwrap();
        }
    }
    assert_eq!(within(one.pass_one()).await.unwrap().completed(), 3);
    assert!(other.is_held());
    let waiting = states(&jobs).await;
    let waiting = waiting.iter().filter(|state| **state == State::Pending);
    assert_eq!(waiting.count(), 3, "the other gate let nothing through");
    one.release();
    assert!(other.is_held());
    assert_eq!(within(other.pass_one()).await.unwrap().completed(), 3);
    for running in [&mut first, &mut second] {
        running.stop();
        within(running.wait()).await.unwrap();
    }
}
