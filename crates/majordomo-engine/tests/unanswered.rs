//! What a worker says about a storage that answers late, twice or never: one
//! clear line, and not one for each try.
//!
//! The subscriber is that of the test's thread, so that tests at the same time
//! do not hear each other. A heartbeat on a thread of its own is not heard.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use majordomo_core::{Memory, State, Task};
use majordomo_engine::{Client, Context, Handle, Result, Run, Spawner, Worker};
use majordomo_testkit::faulty::{Chance, Faulty, Late, Trouble, Verbs};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber, span};

const SECOND: Duration = Duration::from_secs(1);

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

/// Ends once it is told to.
#[derive(Serialize, Deserialize)]
struct Wait;

impl Task for Wait {
    type Output = ();
    const NAME: &'static str = "wait";
}

impl Run<Arc<Notify>> for Wait {
    async fn run(self, gate: &Arc<Notify>, _: &Context) -> Result<()> {
        gate.notified().await;
        Ok(())
    }
}

/// The warnings and errors of this thread, each as one line of text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn listen() -> (Self, DefaultGuard) {
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        (lines, guard)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn faulty() -> (Arc<Faulty<Memory>>, Client) {
    let faulty = Arc::new(Faulty::new(Arc::new(Memory::new()), 3));
    let jobs = Client::shared(faulty.clone());
    (faulty, jobs)
}

async fn is_completed(job: &Handle<Nothing>) {
    assert_eq!(job.wait().await.unwrap().job.state, State::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_never_answers_is_told_of_once_and_then_ever_more_rarely() {
    let (lines, _listening) = Lines::listen();
    let (faulty, jobs) = faulty();
    let never = Trouble {
        never_answered: 1.0,
        ..Trouble::default()
    };
    faulty.set(Verbs::Claim, never);
    let mut running = Worker::new(&jobs, ())
        .handle::<Nothing>()
        .start()
        .await
        .unwrap();
    let job = jobs.enqueue(Nothing).await.unwrap();
    while faulty.calls(Verbs::Claim).hung < 20 {
        tokio::time::sleep(SECOND).await;
    }
    let told = lines.take();
    assert!(
        told[0].contains(
            "the storage gave no answer to `claim` in 10s, so it may have been carried out"
        ),
        "{told:#?}"
    );
    assert!(
        told[0].contains("hint: see whether it is overloaded"),
        "{told:#?}"
    );
    assert_eq!(told.len(), 5, "after failures 1, 2, 4, 8 and 16: {told:#?}");
    faulty.set(Verbs::Claim, Trouble::default());
    is_completed(&job).await;
    assert_eq!(lines.take(), Vec::<String>::new());
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_late_or_twice_are_no_reason_to_complain() {
    let (lines, _listening) = Lines::listen();
    let (faulty, jobs) = faulty();
    let strange = Trouble {
        answered_late: Late::by(5 * SECOND),
        twice: 1.0,
        ..Trouble::default()
    };
    faulty.set(Verbs::Settle, strange);
    let mut running = Worker::new(&jobs, ())
        .handle::<Nothing>()
        .start()
        .await
        .unwrap();
    for _ in 0..3 {
        let job = jobs.enqueue(Nothing).await.unwrap();
        is_completed(&job).await;
    }
    running.stop();
    running.wait().await.unwrap();
    assert!(faulty.calls(Verbs::Settle).twice > 0);
    assert_eq!(lines.take(), Vec::<String>::new());
}

/// The storage is away for a minute, with a job that runs and one that waits:
/// few lines, few calls that do not come in step, and back to work at once.
#[tokio::test(start_paused = true)]
async fn g58_g69_gx33_an_outage_of_a_minute_is_told_in_few_lines_and_over_soon_after() {
    const AWAY: Duration = Duration::from_secs(60);
    let (lines, _listening) = Lines::listen();
    let (faulty, jobs) = faulty();
    let gate = Arc::new(Notify::new());
    let mut running = Worker::new(&jobs, Arc::clone(&gate))
        .handle::<Wait>()
        .spawner(Spawner::Task)
        .start()
        .await
        .unwrap();
    let handles = jobs.enqueue_many([Wait, Wait]).await.unwrap();
    for handle in &handles {
        while handle.state().await.unwrap() != State::Running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let set_all = |refused: f64| {
        for verbs in Verbs::ALL {
            faulty.set(verbs, Chance { refused, lost: 0.0 });
        }
    };
    set_all(1.0);
    let began = Instant::now();
    // One of them ends now: its ending is what the worker can't write.
    gate.notify_one();
    let mut tries = Vec::new();
    while began.elapsed() < AWAY {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = faulty.calls(Verbs::Settle).refused as usize;
        tries.resize(refused, began.elapsed());
    }
    let told = lines.take();
    assert!((1..=20).contains(&told.len()), "{told:#?}");
    let waits: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((25..=90).contains(&tries.len()), "{waits:?}");
    assert!(waits[0] < SECOND / 10, "the first is short: {waits:?}");
    let distinct: BTreeSet<_> = waits[8..].iter().collect();
    assert!(distinct.len() > 8, "later waits are not alike: {waits:?}");
    set_all(0.0);
    let back = Instant::now();
    let late = jobs.enqueue(Wait).await.unwrap();
    gate.notify_one();
    gate.notify_one();
    for handle in handles.iter().chain([&late]) {
        while handle.state().await.unwrap() != State::Completed {
            gate.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let job = handle.details().await.unwrap().job;
        assert_eq!((job.token, job.charged), (1, 0), "it ran once");
    }
    assert!(back.elapsed() < 4 * SECOND, "took {:?}", back.elapsed());
    running.stop();
    running.wait().await.unwrap();
}
