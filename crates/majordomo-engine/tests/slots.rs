//! How a worker fills its slots: limits are exact, a free slot is filled at
//! once, and nobody waits for a neighbour. Time is tokio's, and paused: it goes
//! on only when nothing else can.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use majordomo_core::{Backoff, Filter, ManualClock, Memory, Order, State, Task};
use majordomo_engine::{Client, Context, Queue, Result, Run, Spawner, Worker, sweeper};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Counts who runs at once, by queue.
#[derive(Default)]
struct App {
    running: Mutex<BTreeMap<String, usize>>,
    most: Mutex<BTreeMap<String, usize>>,
    all: AtomicUsize,
    most_of_all: AtomicUsize,
    order: Mutex<Vec<String>>,
    done: AtomicUsize,
    /// Until this is told, jobs that sleep for no time do not end.
    gate: Notify,
}

impl App {
    fn enter(&self, queue: &str) {
        self.order
            .lock()
            .expect("nobody panicked")
            .push(queue.to_owned());
        let now = {
            let mut running = self.running.lock().expect("nobody panicked");
            let now = running.entry(queue.to_owned()).or_default();
            *now += 1;
            *now
        };
        let mut most = self.most.lock().expect("nobody panicked");
        let of_queue = most.entry(queue.to_owned()).or_default();
        *of_queue = now.max(*of_queue);
        let all = self.all.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_of_all.fetch_max(all, Ordering::SeqCst);
    }

    async fn has_done(&self, jobs: usize) {
        while self.done.load(Ordering::SeqCst) < jobs {
            tokio::time::sleep(MILLISECOND).await;
        }
    }

    fn leave(&self, queue: &str) {
        self.all.fetch_sub(1, Ordering::SeqCst);
        self.done.fetch_add(1, Ordering::SeqCst);
        *self
            .running
            .lock()
            .expect("nobody panicked")
            .get_mut(queue)
            .expect("it has entered") -= 1;
    }

    fn most_in(&self, queue: &str) -> usize {
        self.most
            .lock()
            .expect("nobody panicked")
            .get(queue)
            .copied()
            .unwrap_or(0)
    }
}

#[derive(Serialize, Deserialize)]
struct Sleep(Duration);

impl Task for Sleep {
    type Output = ();
    const NAME: &'static str = "sleep";
}

impl Run<Arc<App>> for Sleep {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        let queue = cx.job().queue.clone();
        app.enter(&queue);
        match self.0.is_zero() {
            true => app.gate.notified().await,
            false => tokio::time::sleep(self.0).await,
        }
        app.leave(&queue);
        Ok(())
    }
}

fn setup() -> (Client, Worker<Arc<App>>, Arc<App>) {
    let jobs = Client::new(Memory::new());
    let app = Arc::new(App::default());
    // A poll of an hour: whatever happens, happens because the worker was told.
    let worker = Worker::new(&jobs, Arc::clone(&app))
        .handle::<Sleep>()
        .timeout(Duration::from_secs(3600))
        .poll(Duration::from_secs(3600));
    (jobs, worker, app)
}

async fn count(jobs: &Client, state: State) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let filter = Filter::all().state(state);
        let page = jobs.find(&filter, Order::default(), after, 1000);
        let page = page.await.expect("memory answers");
        count += page.items.len();
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}

async fn all_are(jobs: &Client, state: State, number: usize) {
    while count(jobs, state).await < number {
        tokio::time::sleep(MILLISECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g61_gx7_a_thousand_quick_jobs_do_not_wait_for_a_long_one_beside_them() {
    let (jobs, worker, app) = setup();
    let long = jobs.enqueue(Sleep(Duration::from_secs(10))).await.unwrap();
    let quick = (0..1000).map(|_| Sleep(MILLISECOND));
    jobs.enqueue_many(quick).await.unwrap();
    let started = Instant::now();
    let mut running = worker.concurrency(4).start().await.unwrap();
    app.has_done(1000).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(long.state().await.unwrap(), State::Running);
    long.result().await.unwrap();
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn g5_five_thousand_sleeping_jobs_never_exceed_the_limit_and_never_leave_a_slot_free() {
    const LIMIT: usize = 50;
    let (jobs, worker, app) = setup();
    let tasks = (0..5000).map(|_| Sleep(Duration::from_secs(1)));
    jobs.enqueue_many(tasks).await.unwrap();
    let started = Instant::now();
    let mut running = worker.concurrency(LIMIT).start().await.unwrap();
    app.has_done(5000).await;
    let took = started.elapsed();
    all_are(&jobs, State::Completed, 5000).await;
    assert_eq!(app.most_of_all.load(Ordering::SeqCst), LIMIT);
    let least = Duration::from_secs(5000 / LIMIT as u64);
    assert!(least <= took && took < least.mul_f64(1.05), "{took:?}");
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn g5_g72_two_queues_in_one_worker_keep_to_a_limit_of_one_and_of_eight() {
    let (jobs, worker, app) = setup();
    for queue in ["one", "eight"] {
        for _ in 0..40 {
            let task = Sleep(Duration::from_secs(1));
            jobs.enqueue(task).queue(queue).await.unwrap();
        }
    }
    let worker = worker
        .queue(Queue::new("one").concurrency(1))
        .queue(Queue::new("eight").concurrency(8));
    let started = Instant::now();
    let mut running = worker.start().await.unwrap();
    app.has_done(80).await;
    assert_eq!((app.most_in("one"), app.most_in("eight")), (1, 8));
    assert!(
        started.elapsed() < Duration::from_secs(42),
        "no slot was left free"
    );
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn gx30_queues_share_the_slots_by_their_weights_and_none_is_wasted() {
    let (jobs, worker, app) = setup();
    for queue in ["heavy", "light"] {
        for _ in 0..300 {
            let task = Sleep(Duration::from_secs(1));
            jobs.enqueue(task).queue(queue).await.unwrap();
        }
    }
    let worker = worker
        .concurrency(4)
        .queue(Queue::new("heavy").weight(3))
        .queue("light");
    let mut running = worker.start().await.unwrap();
    app.has_done(600).await;
    let order = app.order.lock().unwrap().clone();
    let heavy = order[..400]
        .iter()
        .filter(|queue| *queue == "heavy")
        .count();
    assert!(
        (290..=300).contains(&heavy),
        "{heavy} of the first 400 were heavy"
    );
    assert_eq!(
        app.most_in("light"),
        4,
        "it gets all slots once it is alone"
    );
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn g54_gx8_every_slot_is_used_with_the_default_settings() {
    let (jobs, worker, app) = setup();
    let tasks = (0..100).map(|_| Sleep(Duration::from_secs(60)));
    jobs.enqueue_many(tasks).await.unwrap();
    let mut running = worker.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        app.all.load(Ordering::SeqCst),
        64,
        "the default concurrency"
    );
    assert_eq!(
        count(&jobs, State::Running).await,
        64,
        "no more is claimed than can start"
    );
    running.stop_now();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn g29_while_all_slots_are_busy_no_more_is_claimed_than_the_prefetch() {
    let (jobs, worker, _) = setup();
    let mut running = worker.concurrency(4).prefetch(2).start().await.unwrap();
    jobs.enqueue_many((0..50).map(|_| Sleep(MILLISECOND)))
        .await
        .unwrap();
    all_are(&jobs, State::Completed, 50).await;
    jobs.enqueue_many((0..50).map(|_| Sleep(Duration::from_secs(60))))
        .await
        .unwrap();
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(count(&jobs, State::Running).await);
        tokio::time::sleep(MILLISECOND).await;
    }
    assert_eq!(most, 6, "four slots and two ahead");
    running.stop_now();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_claimed_ahead_and_can_t_start_goes_to_another_worker() {
    let (jobs, worker, _) = setup();
    let mut first = worker.concurrency(1).name("first").start().await.unwrap();
    jobs.enqueue_many((0..20).map(|_| Sleep(MILLISECOND)))
        .await
        .unwrap();
    all_are(&jobs, State::Completed, 20).await;
    let both = [Sleep(Duration::from_secs(600)), Sleep(MILLISECOND)];
    let handles = jobs.enqueue_many(both).await.unwrap();
    all_are(&jobs, State::Running, 2).await;
    let other = Worker::new(&jobs, Arc::new(App::default())).handle::<Sleep>();
    let mut second = other.name("second").start().await.unwrap();
    handles[1].result().await.unwrap();
    let details = handles[1].details().await.unwrap();
    let workers: Vec<_> = details
        .attempts
        .iter()
        .map(|attempt| attempt.worker.as_str())
        .collect();
    assert_eq!(workers, ["first", "second"]);
    assert_eq!(details.job.charged, 0, "giving back costs no attempt");
    assert_eq!(handles[0].state().await.unwrap(), State::Running);
    for running in [&mut first, &mut second] {
        running.stop_now();
        running.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_it_waits_for_a_slot_never_starts() {
    let (jobs, worker, app) = setup();
    let mut running = worker.concurrency(1).start().await.unwrap();
    jobs.enqueue_many((0..20).map(|_| Sleep(MILLISECOND)))
        .await
        .unwrap();
    all_are(&jobs, State::Completed, 20).await;
    let both = [Sleep(Duration::ZERO), Sleep(MILLISECOND)];
    let handles = jobs.enqueue_many(both).await.unwrap();
    all_are(&jobs, State::Running, 2).await;
    handles[1].cancel().await.unwrap();
    // The worker gives it back, having no slot for it.
    all_are(&jobs, State::Cancelled, 1).await;
    app.gate.notify_one();
    handles[0].result().await.unwrap();
    assert_eq!(handles[1].state().await.unwrap(), State::Cancelled);
    assert_eq!(app.order.lock().unwrap().len(), 21);
    running.stop();
    running.wait().await.unwrap();
}

/// A task whose first attempt goes on until the gate is told, whatever it is
/// told itself. It writes down which attempts began.
#[derive(Serialize, Deserialize)]
struct Stay;

impl Task for Stay {
    type Output = ();
    const NAME: &'static str = "stay";
}

impl Run<Arc<App>> for Stay {
    async fn run(self, app: &Arc<App>, cx: &Context) -> Result<()> {
        let token = cx.job().token;
        app.enter(&token.to_string());
        if token == 1 {
            app.gate.notified().await;
        }
        app.leave(&token.to_string());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_loses_its_lease_while_it_waits_for_an_earlier_one_never_begins() {
    const LEASE: Duration = Duration::from_secs(30);
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = ManualClock::default();
    let jobs = Client::new(Memory::with_clock(Arc::new(clock.clone())));
    let app = Arc::new(App::default());
    let worker = Worker::new(&jobs, Arc::clone(&app)).handle::<Stay>();
    let worker = worker.concurrency(3).lease(LEASE).timeout(HOUR).grace(HOUR);
    let worker = worker.poll(MILLISECOND).spawner(Spawner::Task);
    let backoff = Backoff::fixed(Duration::from_secs(1));
    let handle = jobs.enqueue(Stay).backoff(backoff).await.unwrap();
    let mut running = worker.start().await.unwrap();
    for token in 1..=3 {
        while handle.details().await.unwrap().job.token < token {
            tokio::time::sleep(MILLISECOND).await;
        }
        if token < 3 {
            // The same worker loses it, and gets it again.
            clock.advance(LEASE);
            let swept = sweeper::sweep(&**jobs.storage()).await.unwrap();
            assert_eq!(swept.lost, 1);
            clock.advance(Duration::from_secs(1));
        }
    }
    app.gate.notify_one();
    let result = tokio::time::timeout(HOUR, handle.result()).await;
    result.expect("the third attempt begins").unwrap();
    let order = app.order.lock().expect("nobody panicked").clone();
    assert_eq!(order, ["1", "3"]);
    running.stop();
    running.wait().await.unwrap();
}
