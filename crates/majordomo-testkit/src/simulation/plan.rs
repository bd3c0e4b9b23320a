//! What a seed stands for: how many nodes with which settings, how bad the
//! faults are, and what happens when.

use std::time::Duration;

use majordomo_core::{Backoff, Control, Hold, JobId, NewJob, Pause, Payload, Scope, When};

use crate::faulty::{Chance, Late, Trouble};

use super::wire::Pace;
use super::work::{Act, Deed, End, TASK};

/// How long things go wrong, before all faults are over.
pub(super) const HORIZON: Duration = Duration::from_secs(45);
/// When the calm begins after that: nothing is under way any more from before.
const CALM: Duration = Duration::from_secs(20);
/// The queues that every node takes jobs from.
pub(super) const QUEUES: [&str; 2] = ["default", "other"];
/// The limit key that some jobs share.
const LIMIT_KEY: &str = "tenant";
/// The share of jobs that take down every process they run in.
const KILLERS: f64 = 0.02;
/// How many unique keys there are.
const KEYS: usize = 3;

/// All that is decided beforehand.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) settings: Settings,
    /// What goes wrong with calls, besides what the pace of the wires does.
    pub(super) trouble: Trouble,
    pub(super) pace: Pace,
    pub(super) steps: Vec<(Duration, Step)>,
}

/// The settings of every worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) prefetch: usize,
    pub(super) queues: [Share; QUEUES.len()],
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) sweep: Duration,
    pub(super) poll: Duration,
    pub(super) grace: Duration,
    pub(super) drain: Duration,
}

/// The part of one queue in every worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) concurrency: Option<usize>,
    pub(super) weight: u32,
}

/// Something that happens from outside.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A client stores jobs, all or none.
    Insert(Vec<NewJob>),
    /// A client cancels a job.
    Cancel(JobId),
    /// A client runs a finished job again.
    Retry(JobId, Duration),
    /// The clients' process dies, and another one takes its place.
    KillClient,
    /// A node starts in this place.
    Start(usize),
    /// The node in this place dies, and another one starts after a while.
    Kill(usize, Duration),
    /// The node in this place is told to stop, and another one starts after a while.
    Stop(usize, Duration),
    /// This node is told to stop at once.
    Hurry(String),
    /// The node in this place is cut off for a while.
    Cut(usize, Duration),
    /// This node reaches the storage again.
    Join(String),
    /// Nobody reaches the storage for a while.
    Outage(Duration),
    /// Everybody reaches it again.
    Return,
    /// An operator pauses or limits something.
    Control(Scope, Control),
    /// The storage's clock jumps.
    Jump(Duration),
}

impl Plan {
    /// The plan of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random {
            rng: fastrand::Rng::with_seed(seed),
            quick: 0.0,
        };
        random.quick = *random.one_of(&[0.0, 0.0, 0.8, 0.97]);
        let nodes = random.rng.usize(2..=4);
        let mut plan = Self {
            nodes,
            settings: random.settings(),
            trouble: random.trouble(),
            pace: Pace {
                slow: random.rng.f64() * 0.5,
                stuck: random.rng.f64() * 0.1,
                longest: random.between(1_000, 12_000),
            },
            steps: Vec::new(),
        };
        for node in 0..nodes {
            plan.steps
                .push((random.between(0, 1_000), Step::Start(node)));
        }
        let most = if random.quick > 0.0 { 72 } else { 44 };
        let count = random.rng.u32(8..=most);
        random.jobs(count, &mut plan.steps);
        random.calm(count, &mut plan.steps);
        random.events(nodes, plan.settings.lease, &mut plan.steps);
        plan
    }
}

struct Random {
    rng: fastrand::Rng,
    /// The share of jobs that take next to no time, so that more of them are
    /// claimed ahead of a free slot.
    quick: f64,
}

impl Random {
    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.rng.usize(..choices.len())]
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.f64() < share
    }

    /// Between these numbers of milliseconds.
    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(least..=most))
    }

    /// Some time before the horizon.
    fn any_time(&mut self) -> Duration {
        HORIZON.mul_f64(self.rng.f64())
    }

    fn trouble(&mut self) -> Trouble {
        let faults = *self.one_of(&[0.0, 0.02, 0.1, 0.25]);
        let mut share = |most: f64| most * faults * self.rng.f64();
        Trouble {
            chance: Chance {
                refused: share(1.0),
                lost: share(1.0),
            },
            // A worker gives these up in time; a client waits for the end of all faults.
            never_arrives: share(0.1),
            never_answered: share(0.1),
            twice: share(0.5),
            arrives_late: self.late(),
            answered_late: self.late(),
        }
    }

    fn late(&mut self) -> Late {
        let longest = *self.one_of(&[0, 0, 0, 50, 400, 3_000]);
        Late {
            from: Duration::ZERO,
            to: self.between(0, longest),
        }
    }

    fn settings(&mut self) -> Settings {
        let lease = self.between(3_000, 12_000);
        let concurrency = self.rng.usize(1..=6);
        let mut share = || Share {
            concurrency: self.rng.bool().then(|| self.rng.usize(1..=concurrency)),
            weight: self.rng.u32(1..=5),
        };
        let queues = QUEUES.map(|_| share());
        Settings {
            concurrency,
            prefetch: self.rng.usize(0..=2 * concurrency),
            queues,
            lease,
            heartbeat: lease.mul_f64(0.2 + 0.3 * self.rng.f64()),
            sweep: self.between(800, 4_000),
            poll: self.between(200, 2_000),
            grace: self.between(0, 4_000),
            drain: self.between(0, 6_000),
        }
    }

    fn jobs(&mut self, count: u32, steps: &mut Vec<(Duration, Step)>) {
        let mut number = 0;
        let mut ids = Vec::new();
        // Spread out, or in a few bursts that keep every node busy.
        let bursts: Vec<Duration> = (0..self.rng.usize(0..=3))
            .map(|_| self.any_time())
            .collect();
        while number < count {
            let at = match bursts.is_empty() {
                true => self.any_time(),
                false => *self.one_of(&bursts) + self.between(0, 300),
            };
            let most = if self.quick > 0.0 { 10 } else { 3 };
            let size = if self.chance(0.2) { most } else { 1 };
            let group: Vec<NewJob> = (0..size).map(|more| self.job(number + more)).collect();
            number += size;
            ids.extend(group.iter().map(|job| job.id));
            if self.chance(0.1 + 0.3 * self.quick) {
                // So soon that a claim may be under way.
                let cancel = Step::Cancel(self.one_of(&group).id);
                steps.push((at + self.between(0, 300), cancel));
            }
            steps.push((at, Step::Insert(group)));
        }
        for _ in 0..count / 3 {
            let (at, job) = (self.any_time(), *self.one_of(&ids));
            let step = if self.rng.bool() {
                Step::Cancel(job)
            } else {
                Step::Retry(job, self.between(0, 5_000))
            };
            steps.push((at, step));
        }
    }

    /// A few jobs in the calm, some of which are cancelled while they run.
    fn calm(&mut self, count: u32, steps: &mut Vec<(Duration, Step)>) {
        // Groups may have taken some more numbers.
        for number in count + 10..count + 13 {
            let mut job = self.job(number);
            job.due = When::Now;
            let at = HORIZON + CALM + self.between(0, 3_000);
            if self.chance(0.7) {
                let wait = self.between(500, 10_000);
                steps.push((at + wait, Step::Cancel(job.id)));
            }
            steps.push((at, Step::Insert(vec![job])));
        }
    }

    fn job(&mut self, number: u32) -> NewJob {
        let act = Act {
            deeds: self.deeds(),
        };
        let payload = Payload::json(&act).expect("a deed is JSON");
        let mut job = NewJob::new(TASK, payload);
        // Ids come from the seed, and grow.
        job.id = format!("{number:08x}-0000-7000-8000-{:012x}", self.rng.u32(..))
            .parse()
            .expect("it is a UUID");
        job.queue = (*self.one_of(&QUEUES)).to_owned();
        job.priority = self.rng.i16(-1..=1);
        job.max_attempts = self.rng.u32(1..=5);
        job.limit_key = self.chance(0.4).then(|| LIMIT_KEY.to_owned());
        let first = self.between(100, 2_000);
        job.backoff = Backoff::exponential(first, 1.0 + self.rng.f64())
            .cap(Duration::from_secs(4))
            .jitter(self.rng.f64() * 0.5);
        if self.chance(0.3) {
            job.due = When::In(self.between(0, 20_000));
        }
        if self.chance(0.25) {
            let longest = *self.one_of(&[1_500, 25_000]);
            job.expires = Some(When::In(self.between(200, longest)));
        }
        if self.chance(self.quick * 0.4) {
            // So soon that it may still wait for a slot then.
            job.due = When::Now;
            job.expires = Some(When::In(self.between(10, 200)));
        }
        if self.chance(0.4) {
            job.timeout = Some(self.between(300, 6_000));
        }
        if self.chance(0.3) {
            job.holds
                .push(Hold::new(format!("key-{}", self.rng.usize(..KEYS))));
        }
        job
    }

    fn deeds(&mut self) -> Vec<Deed> {
        if self.chance(KILLERS) {
            let (after, end) = (self.rng.u64(0..1_500), End::Kill);
            return vec![Deed { after, end }];
        }
        if self.chance(self.quick) {
            let (after, end) = (self.rng.u64(0..10), End::Complete);
            return vec![Deed { after, end }];
        }
        let count = *self.one_of(&[0, 0, 1, 2, 4]);
        let mut deeds: Vec<Deed> = (0..count).map(|_| self.deed()).collect();
        let after = if self.chance(0.25) {
            self.rng.u64(8_000..20_000)
        } else {
            self.rng.u64(0..3_000)
        };
        let end = if self.chance(0.3) {
            End::Stubborn
        } else {
            End::Complete
        };
        deeds.push(Deed { after, end });
        deeds
    }

    fn deed(&mut self) -> Deed {
        let wait = self.rng.u64(4_000..9_000);
        let end = *self.one_of(&[
            End::Fail,
            End::Fail,
            End::Fail,
            End::RetryAfter(wait),
            End::Snooze(wait / 3),
            End::Snooze(0),
            End::Panic,
            End::Panic,
            End::Hang,
            End::Deaf,
            End::Kill,
            End::Stubborn,
            End::Permanent,
            End::Cancel,
        ]);
        let longest = *self.one_of(&[50, 1_500, 15_000]);
        Deed {
            after: self.rng.u64(0..longest),
            end,
        }
    }

    fn events(&mut self, nodes: usize, lease: Duration, steps: &mut Vec<(Duration, Step)>) {
        if self.chance(0.4) {
            self.controls(steps);
        }
        for _ in 0..self.rng.u32(1..=8) {
            let (at, node) = (self.any_time(), self.rng.usize(..nodes));
            let down = self.between(0, 8_000);
            let step = match self.rng.u32(..10) {
                0..=1 => Step::Kill(node, down),
                2 => Step::Stop(node, down),
                // Often beyond the lease, so that others take over.
                3..=5 => Step::Cut(node, lease.mul_f64(0.2 + 2.5 * self.rng.f64())),
                6 => Step::KillClient,
                7..=8 => Step::Outage(lease.mul_f64(1.5 * self.rng.f64())),
                _ => Step::Jump(self.between(500, 30_000)),
            };
            steps.push((at, step));
        }
    }

    /// Limits or pauses something, and lifts that again; what is not lifted
    /// before is lifted at the end.
    fn controls(&mut self, steps: &mut Vec<(Duration, Step)>) {
        let scope = match self.rng.u32(..3) {
            0 => Scope::Queue((*self.one_of(&QUEUES)).to_owned()),
            1 => Scope::Task(TASK.to_owned()),
            _ => Scope::LimitKey(LIMIT_KEY.to_owned()),
        };
        let control = Control {
            paused: self.chance(0.3).then(Pause::default),
            max_running: Some(self.rng.u32(1..=2)),
        };
        let (at, lifted) = (self.any_time(), self.any_time());
        steps.push((at, Step::Control(scope.clone(), control)));
        steps.push((lifted, Step::Control(scope, Control::default())));
    }
}
