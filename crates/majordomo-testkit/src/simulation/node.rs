//! A node: a real worker with its own name, on its own wire to the storage.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::Storage;
use majordomo_engine::{Client, Queue, Spawner, Worker};
use tokio::sync::watch;

use crate::faulty::{Faulty, Trouble};

use super::history::Event;
use super::plan::{QUEUES, Settings};
use super::wire::Wire;
use super::work::{Act, App};

/// How long an attempt may run unless its job says otherwise.
const TIMEOUT: Duration = Duration::from_secs(25);
/// How long a node tries to reach the storage when it starts.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a node is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Run,
    Stop,
    Hurry,
    Die,
}

/// A way to the storage with all its faults.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) wire: Arc<Wire>,
    faulty: Arc<Faulty<Wire>>,
}

impl Link {
    pub(super) fn new(wire: Arc<Wire>, seed: u64, trouble: Trouble) -> Self {
        let faulty = Faulty::new(Arc::clone(&wire), seed).with_all(trouble);
        Self {
            wire,
            faulty: Arc::new(faulty),
        }
    }

    pub(super) fn client(&self) -> Client {
        let storage: Arc<dyn Storage> = Arc::clone(&self.faulty) as _;
        Client::shared(storage).patience(PATIENCE)
    }

    /// Ends all faults for good.
    pub(super) fn heal(&self) {
        self.wire.calm();
        self.faulty.heal();
    }
}

/// A running node, as the simulation holds it.
pub(super) struct Node {
    pub(super) place: usize,
    pub(super) link: Link,
    pub(super) fate: watch::Sender<Fate>,
}

/// The life of a node. Says whether it ever started.
pub(super) async fn live(
    link: Link,
    app: App,
    settings: Settings,
    mut fate: watch::Receiver<Fate>,
) -> bool {
    let worker = worker(&link.client(), app.clone(), settings);
    let mut running = tokio::select! {
        biased;
        _ = fate.wait_for(|fate| *fate == Fate::Die) => return true,
        running = worker.start() => match running {
            Ok(running) => running,
            Err(_) => return false,
        },
    };
    app.record.write(&app.node, Event::Started);
    loop {
        match *fate.borrow_and_update() {
            Fate::Run => {}
            Fate::Stop => running.stop(),
            Fate::Hurry => running.stop_now(),
            Fate::Die => running.kill(),
        }
        tokio::select! {
            biased;
            ended = running.wait() => {
                ended.expect("a worker's loop does not panic");
                if !link.wire.is_dead() {
                    app.record.write(&app.node, Event::Stopped);
                }
                return true;
            }
            changed = fate.changed() => changed.expect("the simulation holds the other end"),
        }
    }
}

fn worker(client: &Client, app: App, settings: Settings) -> Worker<App> {
    let name = app.node.clone();
    let mut worker = Worker::new(client, app)
        .handle::<Act>()
        .name(name)
        .spawner(Spawner::Task)
        .concurrency(settings.concurrency)
        .prefetch(settings.prefetch)
        .lease(settings.lease)
        .heartbeat(settings.heartbeat)
        .sweep(settings.sweep)
        .poll(settings.poll)
        .timeout(TIMEOUT)
        .grace(settings.grace)
        .drain(settings.drain);
    for (name, share) in QUEUES.into_iter().zip(settings.queues) {
        let queue = Queue {
            concurrency: share.concurrency,
            ..Queue::new(name).weight(share.weight)
        };
        worker = worker.queue(queue);
    }
    worker
}
