//! Jobs that run while they are enqueued.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use majordomo_core::{Backoff, State, Task};
use majordomo_engine::{Client, Context, Result, Run, RunBlocking, TaskError, Worker};
use majordomo_testkit::{Inline, Kit};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

/// What ran, in the order in which it ended.
struct App {
    ended: Mutex<Vec<u32>>,
    jobs: Client,
}

/// Fails on its first attempt if told to.
#[derive(Serialize, Deserialize)]
struct Leaf {
    number: u32,
    fails: bool,
}

impl Task for Leaf {
    type Output = u32;
    const NAME: &'static str = "leaf";
}

impl Run<Arc<App>> for Leaf {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<u32> {
        if self.fails && cx.attempt() == 1 {
            return Err(TaskError::new("the first attempt fails"));
        }
        app.ended.lock().unwrap().push(self.number);
        Ok(self.number)
    }
}

/// Enqueues a leaf and needs its result.
#[derive(Serialize, Deserialize)]
struct Parent;

impl Task for Parent {
    type Output = u32;
    const NAME: &'static str = "parent";
}

impl Run<Arc<App>> for Parent {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<u32> {
        let by_context = cx.client().enqueue(leaf(1)).await?.result().await?;
        let by_app = app.jobs.enqueue(leaf(2)).await?.result().await?;
        app.ended.lock().unwrap().push(0);
        Ok(by_context + by_app)
    }
}

/// Enqueues the next of its kind.
#[derive(Serialize, Deserialize)]
struct Chain(u32);

impl Task for Chain {
    type Output = ();
    const NAME: &'static str = "chain";
}

impl Run<Arc<App>> for Chain {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        if self.0 > 0 {
            cx.client().enqueue(Self(self.0 - 1)).await?;
        }
        app.ended.lock().unwrap().push(self.0);
        Ok(())
    }
}

/// Enqueues from a thread of its own.
#[derive(Serialize, Deserialize)]
struct Blocking;

impl Task for Blocking {
    type Output = State;
    const NAME: &'static str = "blocking";
}

impl RunBlocking<Arc<App>> for Blocking {
    fn run(self, app: &Arc<App>, _: &Context) -> Result<State> {
        let runtime = tokio::runtime::Handle::current();
        let state = runtime.block_on(async {
            let handle = app.jobs.enqueue(leaf(7)).await?;
            handle.state().await
        })?;
        Ok(state)
    }
}

fn leaf(number: u32) -> Leaf {
    Leaf {
        number,
        fails: false,
    }
}

fn inline(kit: &Kit) -> (Inline<Arc<App>>, Arc<App>) {
    let mut made = None;
    let worker = |jobs: &Client| {
        let app = Arc::new(App {
            ended: Mutex::default(),
            jobs: jobs.clone(),
        });
        made = Some(Arc::clone(&app));
        let worker = Worker::new(jobs, app).handle::<Leaf>().handle::<Parent>();
        worker.handle::<Chain>().handle_blocking::<Blocking>()
    };
    let inline = kit.inline(worker).unwrap();
    (inline, made.unwrap())
}

#[tokio::test]
async fn code_that_enqueues_finds_its_jobs_done() {
    async fn code_under_test(jobs: &Client) -> Result<State> {
        jobs.enqueue_many([leaf(1), leaf(2)]).await?;
        Ok(jobs.enqueue(leaf(3)).await?.state().await?)
    }
    let kit = Kit::new();
    let (inline, app) = inline(&kit);
    let state = code_under_test(&inline.jobs).await.unwrap();
    assert_eq!(state, State::Completed);
    assert_eq!(*app.ended.lock().unwrap(), [1, 2, 3]);
    assert_eq!(inline.run(leaf(4)).await.unwrap().output, Some(4));
}

#[tokio::test]
async fn a_failure_stays_pending_with_its_error_and_is_retried_when_due() {
    let kit = Kit::new();
    let (inline, app) = inline(&kit);
    let fails = Leaf {
        number: 5,
        fails: true,
    };
    let backoff = Backoff::fixed(HOUR);
    let handle = inline.jobs.enqueue(fails).backoff(backoff).await.unwrap();
    let job = handle.details().await.unwrap().job;
    assert_eq!((job.state, job.charged), (State::Pending, 1));
    assert_eq!(job.error.unwrap().message, "the first attempt fails");
    assert_eq!(majordomo_core::time::between(kit.now(), job.due), HOUR);
    inline.jobs.enqueue(leaf(6)).await.unwrap();
    assert_eq!(*app.ended.lock().unwrap(), [6], "it is not due yet");
    kit.advance(HOUR);
    assert_eq!(inline.worker.drain().await.unwrap().completed(), 1);
    assert_eq!(*app.ended.lock().unwrap(), [6, 5]);
}

#[tokio::test]
async fn what_is_due_later_only_waits() {
    let kit = Kit::new();
    let (inline, _) = inline(&kit);
    let later = inline.jobs.enqueue(leaf(1)).after(HOUR).await.unwrap();
    assert_eq!(later.state().await.unwrap(), State::Pending);
    kit.advance(HOUR);
    inline.worker.drain().await.unwrap();
    assert_eq!(later.state().await.unwrap(), State::Completed);
}

#[tokio::test]
async fn a_handler_that_enqueues_and_needs_the_result_gets_it() {
    let kit = Kit::new();
    let (inline, app) = inline(&kit);
    assert_eq!(inline.run(Parent).await.unwrap().output, Some(3));
    assert_eq!(*app.ended.lock().unwrap(), [1, 2, 0]);
}

#[tokio::test]
async fn a_chain_of_any_length_is_done_before_the_first_enqueue_returns() {
    const LENGTH: u32 = 2000;
    let kit = Kit::new();
    let (inline, app) = inline(&kit);
    inline.jobs.enqueue(Chain(LENGTH)).await.unwrap();
    let mut ended = app.ended.lock().unwrap().clone();
    ended.sort_unstable();
    assert_eq!(ended, Vec::from_iter(0..=LENGTH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_handler_may_enqueue_too() {
    let kit = Kit::new();
    let (inline, _) = inline(&kit);
    let ran = inline.run(Blocking).await.unwrap();
    assert_eq!(ran.output, Some(State::Completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enqueues_at_the_same_time_each_find_their_job_done() {
    let kit = Kit::new();
    let (inline, app) = inline(&kit);
    let enqueue = |number: u32| {
        let jobs = inline.jobs.clone();
        tokio::spawn(async move {
            let handle = jobs.enqueue(leaf(number)).await.unwrap();
            handle.state().await.unwrap()
        })
    };
    for enqueued in (0..100).map(enqueue).collect::<Vec<_>>() {
        assert_eq!(enqueued.await.unwrap(), State::Completed);
    }
    assert_eq!(app.ended.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn without_its_worker_a_client_only_enqueues() {
    let kit = Kit::new();
    let (inline, _) = inline(&kit);
    let jobs = inline.jobs.clone();
    drop(inline);
    let handle = jobs.enqueue(leaf(1)).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), State::Pending);
}
