//! Drives a simulation: carries out its plan, heals, waits until every job is
//! finished, and reads what is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use majordomo_core::{
    Control, Details, Filter, JobId, Order, Query, Storage, Tally, limits, series::Width, time,
};
use majordomo_engine::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::clock::PausedClock;
use super::history::{Answer, Ask, Entries, Entry, Event, Record};
use super::node::{self, Fate, Link, Node};
use super::plan::{HORIZON, Plan, Step};
use super::wire::{Net, Wire};
use super::work::App;
use super::{LinkMaker, Simulation};

/// How long the jobs have to be finished once all faults are over.
const HEALING: Duration = Duration::from_secs(15 * 60);
/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(500);

/// What is left in the storage at the end.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// Every job.
    pub jobs: Vec<Details>,
    /// All statistics together.
    pub tally: Tally,
}

struct Drive {
    plan: Plan,
    storage: Arc<dyn Storage>,
    linked: LinkMaker,
    record: Record,
    net: Arc<Net>,
    random: fastrand::Rng,
    began: Instant,
    /// What is still to happen, by time and number.
    steps: BTreeMap<(Duration, usize), Step>,
    numbers: usize,
    healed: bool,
    nodes: BTreeMap<String, Node>,
    /// Which node is in each place, and how many there were.
    places: Vec<(Option<String>, u32)>,
    lives: JoinSet<(String, bool)>,
    kills: mpsc::UnboundedSender<String>,
    client: (Link, Client),
    clients: u32,
    asks: usize,
    operations: JoinSet<()>,
}

/// Runs the simulation of a seed on a paused runtime.
pub(super) async fn run(
    simulation: &Simulation,
    seed: u64,
    entries: Arc<Entries>,
) -> (Vec<Entry>, Last) {
    let clock = PausedClock::new();
    let storage = (simulation.storage)(Arc::new(clock.clone()));
    let (kills, killed) = mpsc::unbounded_channel();
    let record = Record::new(clock, entries);
    let mut plan = Plan::new(seed);
    let net = Arc::new(Net::new(record.clone(), plan.pace));
    let mut random = fastrand::Rng::with_seed(!seed);
    let linked = (simulation.link)(Arc::clone(&storage));
    let wire = Wire::new("client-0", linked, &net, random.u64(..));
    let link = Link::new(wire, random.u64(..), plan.trouble);
    let steps = std::mem::take(&mut plan.steps);
    let mut drive = Drive {
        places: vec![(None, 0); plan.nodes],
        plan,
        storage,
        linked: Arc::clone(&simulation.link),
        record,
        net,
        random,
        began: Instant::now(),
        steps: BTreeMap::new(),
        numbers: 0,
        healed: false,
        nodes: BTreeMap::new(),
        lives: JoinSet::new(),
        kills,
        client: (link.clone(), link.client()),
        clients: 0,
        asks: 0,
        operations: JoinSet::new(),
    };
    for (at, step) in steps {
        drive.schedule(at, step);
    }
    drive.go(killed).await;
    let last = last(&*drive.storage).await;
    (drive.record.take(), last)
}

impl Drive {
    async fn go(&mut self, mut killed: mpsc::UnboundedReceiver<String>) {
        self.until(HORIZON, &mut killed).await;
        self.heal();
        if self.net.is_spun() {
            return;
        }
        while self.operations.join_next().await.is_some() {}
        self.lift().await;
        let end = self.began.elapsed() + HEALING;
        while self.began.elapsed() < end && !self.net.is_spun() {
            if self.steps.is_empty() && self.is_finished().await {
                break;
            }
            let look = self.began.elapsed() + LOOK;
            self.until(look, &mut killed).await;
        }
        if self.net.is_spun() {
            return;
        }
        for node in self.nodes.values() {
            node.fate.send_replace(Fate::Stop);
        }
        while self.lives.join_next().await.is_some() {}
    }

    /// Lets things happen until then.
    async fn until(&mut self, end: Duration, killed: &mut mpsc::UnboundedReceiver<String>) {
        loop {
            let next = self.steps.first_key_value().map(|(key, _)| *key);
            let next = next.filter(|(at, _)| *at < end);
            let wake = self.began + next.map_or(end, |(at, _)| at);
            tokio::select! {
                biased;
                Some(name) = killed.recv() => {
                    let down = Duration::from_millis(self.random.u64(0..3_000));
                    self.kill(&name, down);
                }
                Some(ended) = self.lives.join_next() => {
                    let (name, started) = ended.expect("a node does not panic");
                    self.buried(&name, started);
                }
                Some(ended) = self.operations.join_next() => {
                    let panicked = ended.is_err_and(|error| error.is_panic());
                    assert!(!panicked, "a client panicked");
                }
                () = sleep_until(wake) => match next.and_then(|key| self.steps.remove(&key)) {
                    Some(step) => self.take(step),
                    None => return,
                },
            }
        }
    }

    fn schedule(&mut self, at: Duration, step: Step) {
        self.numbers += 1;
        self.steps.insert((at, self.numbers), step);
    }

    fn later(&mut self, wait: Duration, step: Step) {
        self.schedule(self.began.elapsed() + wait, step);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Insert(_) | Step::Cancel(_) | Step::Retry(..) => self.ask(step),
            Step::Control(scope, control) => {
                let storage = Arc::clone(self.client.1.storage());
                // Tried once: what was carried out is written down.
                self.operations.spawn(async move {
                    let _ = storage.set_control(scope, control).await;
                });
            }
            Step::KillClient => self.kill_client(),
            Step::Start(place) => self.start(place),
            Step::Kill(place, down) => {
                if let Some(name) = self.places[place].0.clone() {
                    self.kill(&name, down);
                }
            }
            Step::Stop(place, down) => {
                if let Some(name) = self.places[place].0.take() {
                    self.record.write(&name, Event::Stopping);
                    self.nodes[&name].fate.send_replace(Fate::Stop);
                    self.later(down, Step::Start(place));
                    if self.random.bool() {
                        let wait = down.mul_f64(self.random.f64());
                        self.later(wait, Step::Hurry(name));
                    }
                }
            }
            Step::Cut(place, wait) => {
                if let Some(name) = self.places[place].0.clone() {
                    self.record.write(&name, Event::CutOff);
                    self.nodes[&name].link.wire.cut(true);
                    self.later(wait, Step::Join(name));
                }
            }
            Step::Join(name) => {
                if let Some(node) = self.nodes.get(&name) {
                    self.record.write(&name, Event::Joined);
                    node.link.wire.cut(false);
                }
            }
            Step::Hurry(name) => {
                if let Some(node) = self.nodes.get(&name)
                    && !node.link.wire.is_dead()
                {
                    self.record.write(&name, Event::Hurried);
                    node.fate.send_replace(Fate::Hurry);
                }
            }
            Step::Outage(wait) => {
                self.record.write("all", Event::CutOff);
                self.net.down.store(true, Ordering::SeqCst);
                self.later(wait, Step::Return);
            }
            Step::Return => {
                self.record.write("all", Event::Joined);
                self.net.down.store(false, Ordering::SeqCst);
            }
            Step::Jump(by) => {
                self.record.clock.jump(by);
                self.record.write("clock", Event::Jumped(by));
            }
        }
    }

    fn link(&mut self, name: &str) -> Link {
        let linked = (self.linked)(Arc::clone(&self.storage));
        let wire = Wire::new(name, linked, &self.net, self.random.u64(..));
        let link = Link::new(wire, self.random.u64(..), self.plan.trouble);
        if self.healed {
            link.heal();
        }
        link
    }

    fn start(&mut self, place: usize) {
        if self.places[place].0.is_some() {
            return;
        }
        self.places[place].1 += 1;
        let name = format!("node-{place}.{}", self.places[place].1);
        let link = self.link(&name);
        let app = App {
            node: name.clone(),
            record: self.record.clone(),
            wire: Arc::clone(&link.wire),
            kills: self.kills.clone(),
        };
        let (fate, told) = watch::channel(Fate::Run);
        let life = node::live(link.clone(), app, self.plan.settings, told);
        let named = name.clone();
        self.lives.spawn(async move { (named, life.await) });
        self.places[place].0 = Some(name.clone());
        self.nodes.insert(name, Node { place, link, fate });
    }

    fn kill(&mut self, name: &str, down: Duration) {
        let Some(node) = self
            .nodes
            .get(name)
            .filter(|node| !node.link.wire.is_dead())
        else {
            return;
        };
        self.record.write(name, Event::Killed);
        node.link.wire.die();
        node.fate.send_replace(Fate::Die);
        let place = node.place;
        if self.places[place].0.as_deref() == Some(name) {
            self.places[place].0 = None;
            self.later(down, Step::Start(place));
        }
    }

    /// Takes in that a node is no more. One that never reached the storage is
    /// started again.
    fn buried(&mut self, name: &str, started: bool) {
        let Some(node) = self.nodes.remove(name) else {
            return;
        };
        if !started && self.places[node.place].0.as_deref() == Some(name) {
            self.places[node.place].0 = None;
            self.later(Duration::from_secs(1), Step::Start(node.place));
        }
    }

    fn kill_client(&mut self) {
        self.client.0.wire.die();
        self.operations.abort_all();
        self.record.write(&self.client_name(), Event::Killed);
        self.clients += 1;
        let link = self.link(&self.client_name());
        self.client = (link.clone(), link.client());
    }

    fn client_name(&self) -> String {
        format!("client-{}", self.clients)
    }

    fn ask(&mut self, step: Step) {
        self.asks += 1;
        let (number, name) = (self.asks, self.client_name());
        let (client, record) = (self.client.1.clone(), self.record.clone());
        self.operations.spawn(async move {
            let ask = match &step {
                Step::Cancel(job) => Ask::Cancel(*job),
                Step::Retry(job, _) => Ask::Retry(*job),
                Step::Insert(jobs) => Ask::Insert(jobs.iter().map(|job| job.id).collect()),
                _ => return,
            };
            record.write(&name, Event::Asked(number, ask));
            let answer = match step {
                Step::Cancel(job) => client.cancel(job).await.map(Answer::Cancelled),
                Step::Retry(job, wait) => client.retry(job, wait).await.map(|()| Answer::Retried),
                Step::Insert(jobs) => client.insert(jobs).await.map(Answer::Inserted),
                _ => return,
            };
            let answer = answer.unwrap_or_else(|error| Answer::Failed(error.kind()));
            record.write(&name, Event::Heard(number, answer));
        });
    }

    fn heal(&mut self) {
        self.healed = true;
        self.record.write("all", Event::Healed);
        self.client.0.heal();
        self.nodes.values().for_each(|node| node.link.heal());
        // Nothing that makes trouble happens any more.
        self.steps
            .retain(|_, step| matches!(step, Step::Start(_) | Step::Insert(_) | Step::Cancel(_)));
    }

    /// Takes every control away.
    async fn lift(&self) {
        let controls = self.storage.controls().await.expect("controls are read");
        for (scope, _) in controls {
            let lifted = Control::default();
            let setting = self.storage.set_control(scope.clone(), lifted.clone());
            setting.await.expect("a control is lifted");
            self.record.write("all", Event::Controlled(scope, lifted));
        }
    }

    async fn is_finished(&self) -> bool {
        let jobs = all(&*self.storage).await;
        let found = self.storage.get(&jobs).await.expect("jobs are read");
        let finished = |details: &Details| details.job.state.is_finished();
        found.iter().flatten().all(finished)
    }
}

/// The ids of all jobs.
async fn all(storage: &dyn Storage) -> Vec<JobId> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = storage
            .find(&Filter::all(), Order::default(), after, limits::PAGE)
            .await
            .expect("jobs are listed");
        jobs.extend(page.items.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            return jobs;
        }
    }
}

async fn last(storage: &dyn Storage) -> Last {
    let ids = all(storage).await;
    let jobs = storage.get(&ids).await.expect("jobs are read");
    let query = Query {
        by: majordomo_core::By::All,
        from: time::from_micros(0),
        to: time::from_micros(4_000_000_000_000_000),
        width: Width::Day,
    };
    let mut tally = Tally::default();
    for bucket in storage.series(&query).await.expect("statistics are read") {
        tally.merge(&bucket.tally);
    }
    Last {
        jobs: jobs.into_iter().flatten().collect(),
        tally,
    }
}
