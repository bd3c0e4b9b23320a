//! The loop of a worker: claims as many jobs as there are free slots, hands
//! them to attempts, and writes endings as they come in.
//!
//! One call is under way at a time, and it does both: the endings that came in
//! meanwhile are written together, and the slots they freed are filled in the
//! same transaction. So a busy worker batches without any timer, and an idle
//! one loses no time. When there is nothing to do the loop sleeps until a wake,
//! the next due time, or the poll.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use majordomo_core::{
    Backoff, Claim, Claimed, Class, Ending, EndingKind, Error, JobId, Result, Settled, Wake, time,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Ears;
use crate::context::CancelReason;
use crate::live::Live;

use super::appetite::Appetite;
use super::heartbeat::Heart;
use super::runner;
use super::shared::{Shared, Stop};
use super::slots::{Moment, New};
use super::unheard;

/// The most endings written in one call.
const BATCH: usize = 1000;
/// How long a call may still take once the worker was told to stop.
const LAST_CALL: Duration = Duration::from_secs(1);

pub(super) struct Pump<App> {
    pub(super) shared: Arc<Shared<App>>,
    ears: Ears,
    /// The slots at work; each ends when it finds nothing to start.
    pub(super) runners: JoinSet<()>,
    /// Endings to be written, oldest first.
    pub(super) endings: VecDeque<Ending>,
    /// Which queues may have more to claim.
    appetite: Appetite,
    /// When to look again although nothing says so.
    look_at: Instant,
    /// Failed calls in a row, and when to try again.
    pub(super) failures: u32,
    pub(super) not_before: Instant,
    /// Whether jobs may have been claimed by a call whose reply was lost.
    pub(super) unsure: bool,
    /// How many endings go into one call: less while the storage refuses some.
    most: usize,
}

/// A call to the storage under way.
struct Call {
    claims: bool,
    /// Whether it first looks for jobs of a claim whose reply was lost.
    looks: bool,
    answer: Pin<Box<dyn Future<Output = Result<Answer>> + Send>>,
}

/// What a call brings back.
struct Answer {
    settled: Vec<Settled>,
    claimed: Option<Claimed>,
    /// When it was asked, and when the answer came.
    asked: Instant,
    at: Instant,
}

/// Runs until told to stop and drained.
pub(super) async fn run<App: Send + Sync + 'static>(
    shared: Arc<Shared<App>>,
    heart: Heart,
    mut stopping: watch::Receiver<Stop>,
) {
    let mut pump = Pump::new(shared);
    pump.work(&mut stopping).await;
    pump.wind_down(&mut stopping).await;
    heart.stop().await;
    tracing::info!(worker = pump.shared.settings.name, "worker stopped");
}

impl<App: Send + Sync + 'static> Pump<App> {
    fn new(shared: Arc<Shared<App>>) -> Self {
        let now = Instant::now();
        Self {
            ears: shared.client.listen(),
            runners: JoinSet::new(),
            endings: VecDeque::new(),
            appetite: Appetite::new(&shared.settings.queues),
            look_at: now,
            failures: 0,
            not_before: now,
            unsure: false,
            most: BATCH,
            shared,
        }
    }

    /// Claims and settles until told to stop.
    async fn work(&mut self, stopping: &mut watch::Receiver<Stop>) {
        let mut call: Option<Call> = None;
        // Kept from turn to turn: to set a timer is dearer than to leave it as it is.
        let timer = sleep_until(self.look_at);
        tokio::pin!(timer);
        while *stopping.borrow_and_update() == Stop::No {
            self.collect();
            self.hear();
            if call.is_none() && Instant::now() >= self.not_before {
                call = self.call();
            }
            let wait = self.wait();
            if timer.deadline() != wait {
                timer.as_mut().reset(wait);
            }
            tokio::select! {
                biased;
                _ = stopping.changed() => {}
                answer = answer_of(&mut call) => if let Some(call) = call.take() {
                    self.answered(&call, answer);
                },
                () = self.shared.slots.changed.notified(), if call.is_none() => {}
                wake = self.ears.next() => if wake.work { self.appetite.wake() },
                () = &mut timer => {}
            }
        }
        // What was claimed ahead does not start any more.
        self.shared.slots.close();
        if let Some(mut last) = call {
            match timeout(LAST_CALL, &mut last.answer).await {
                Ok(answer) => self.answered(&last, answer),
                Err(_) => self.unsure |= last.claims || last.looks,
            }
        }
    }

    /// Takes in, without waiting, what says that there may be more to claim:
    /// also while one queue keeps every slot busy, or the others would starve.
    fn hear(&mut self) {
        let now = Instant::now();
        if now >= self.look_at {
            self.appetite.wake();
            self.look_at = now + self.poll();
        }
        if !self.appetite.is_all_hungry()
            && let Some(Wake { work: true, .. }) = self.ears.next().now_or_never()
        {
            self.appetite.wake();
        }
    }

    /// When to go on although nothing has happened.
    fn wait(&self) -> Instant {
        let look_at = match self.not_before > Instant::now() {
            true => self.not_before,
            false => self.look_at,
        };
        let give_back_at = self.shared.slots.give_back_at();
        look_at.min(give_back_at.unwrap_or(look_at))
    }

    fn poll(&self) -> Duration {
        let jitter = 0.9 + 0.1 * fastrand::f64();
        self.shared.settings.poll.mul_f64(jitter)
    }

    /// Takes in what is over, without waiting.
    pub(super) fn collect(&mut self) {
        let slots = &self.shared.slots;
        slots.give_back(Instant::now());
        if slots.gather(&mut self.endings) {
            // The next suspect, which had to wait for this one, may come.
            self.appetite.wake();
        }
        while self.runners.try_join_next().is_some() {}
    }

    /// The next call, if there is anything to write or to ask for.
    fn call(&mut self) -> Option<Call> {
        let (mut room, rooms) = self.shared.slots.room();
        // What this call can't write yet still counts as running.
        room = room.saturating_sub(self.endings.len().saturating_sub(self.most));
        // While endings can't be written there is no point in more of them.
        let able = self.failures == 0 || self.endings.is_empty();
        let claim = (able && room > 0 && self.appetite.is_hungry(&rooms))
            .then(|| self.shared.claim(self.appetite.split(room, &rooms)));
        let nothing = claim.is_none() && self.endings.is_empty() && !self.unsure;
        (!nothing).then(|| self.ask(claim))
    }

    /// Writes endings, and claims if asked to, in one call to the storage.
    fn ask(&mut self, claim: Option<Claim>) -> Call {
        let looks = std::mem::take(&mut self.unsure);
        // Who looks for what was claimed unheard must not claim beside it.
        let claim = claim.filter(|_| !looks);
        let claims = claim.is_some();
        let batch: Vec<Ending> = self.endings.iter().take(self.most).cloned().collect();
        let shared = Arc::clone(&self.shared);
        let answer = Box::pin(async move {
            let (storage, asked) = (shared.client.storage(), Instant::now());
            let (settled, claimed) = match claim {
                Some(claim) if batch.is_empty() => (Vec::new(), Some(storage.claim(claim).await?)),
                None if batch.is_empty() => (Vec::new(), None),
                then => storage.settle(batch, then).await?,
            };
            let at = Instant::now();
            if looks {
                // After the write, behind which nothing that was asked before is still on its way.
                unheard::give_back(&shared).await?;
            }
            Ok(Answer {
                settled,
                claimed,
                asked,
                at,
            })
        });
        Call {
            claims,
            looks,
            answer,
        }
    }

    /// Takes in the answer to a call.
    fn answered(&mut self, call: &Call, answer: Result<Answer>) {
        match answer {
            Ok(answer) => {
                // That it can be read again says nothing of what failed.
                if call.claims || !answer.settled.is_empty() {
                    self.failures = 0;
                }
                self.most = (self.most * 2).min(BATCH);
                self.settled(&answer.settled);
                if let Some(claimed) = answer.claimed {
                    self.start(claimed, answer.asked, answer.at);
                }
            }
            Err(error) => {
                let lost = call.claims && error.class() == Class::Ambiguous;
                self.unsure |= lost || call.looks;
                self.failed(&error);
            }
        }
    }

    fn settled(&mut self, settled: &[Settled]) {
        let mut refused = Refused::default();
        for (ending, settled) in self.endings.drain(..settled.len()).zip(settled) {
            self.shared.delist(&ending.lease);
            if *settled == Settled::Stale {
                refused.add(&ending);
            }
        }
        refused.tell("the storage refused endings: the leases were lost before");
        if !settled.is_empty() {
            self.shared.client.notify(Wake::ALL);
        }
    }

    fn failed(&mut self, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff().delay(self.failures, fastrand::f64());
        self.not_before = Instant::now() + wait;
        // The first, and then each time that the number doubles.
        if self.failures.is_power_of_two() {
            let (failures, endings) = (self.failures, self.endings.len());
            tracing::warn!(%error, failures, endings, "the storage failed, will be tried again");
        }
        // Whatever the others in its batch suffer from, the next may not.
        if error.class() == Class::Final && self.endings.len() > 1 {
            self.most = (self.most.min(self.endings.len()) / 2).max(1);
            self.endings.rotate_left(self.most);
        }
        // Leases that are lost take their endings with them, so that what can't
        // be written any more is not tried for ever.
        let shared = &self.shared;
        let mut refused = Refused::default();
        self.endings.retain(|ending| {
            let live = shared.find(&ending.lease);
            let lost = |live: Arc<Live>| live.cancel.reason() == Some(CancelReason::LeaseLost);
            let gone = live.is_none_or(lost);
            if gone {
                shared.delist(&ending.lease);
                refused.add(ending);
            }
            !gone
        });
        refused.tell("leases were lost before their endings could be written");
    }

    /// Starts what was claimed, as far as there are slots.
    fn start(&mut self, claimed: Claimed, asked: Instant, at: Instant) {
        let jobs = claimed.jobs.iter().map(|(details, _)| &details.job);
        self.appetite.fed(jobs);
        let due = claimed
            .next_due
            .map(|due| at + time::between(claimed.now, due));
        // What was known of the queues not asked this time still holds.
        self.look_at = self.look_at.min(due.unwrap_or(self.look_at));
        let claimed_at = Moment {
            there: claimed.now,
            here: at,
        };
        let good_until = asked + self.shared.settings.lease;
        let new = claimed.jobs.into_iter().map(|(details, lease)| {
            let live = Live::new(lease, details.job.is_suspect(), good_until);
            let live = Arc::new(live);
            let earlier = self.shared.enlist(&live);
            New {
                details: Arc::new(details),
                live,
                earlier,
            }
        });
        let new = new.collect();
        for _ in 0..self.shared.slots.take_in(new, claimed_at) {
            self.runners.spawn(runner::run(Arc::clone(&self.shared)));
        }
    }

    /// Writes endings, within the time that is left for it.
    pub(super) async fn last_call(&mut self, within: Duration) {
        let mut call = self.ask(None);
        match timeout(within, &mut call.answer).await {
            Ok(answer) => self.answered(&call, answer),
            Err(_) => {
                self.unsure |= call.looks;
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}

/// Endings that can't be written any more, told in one line however many they are.
#[derive(Default)]
struct Refused {
    jobs: usize,
    first: Option<(JobId, EndingKind)>,
}

impl Refused {
    fn add(&mut self, ending: &Ending) {
        self.jobs += 1;
        self.first
            .get_or_insert((ending.lease.job, ending.verdict.kind()));
    }

    fn tell(&self, what: &str) {
        if let Some((job, ending)) = self.first {
            tracing::warn!(jobs = self.jobs, first = %job, %ending, "{what}");
        }
    }
}

/// The answer to a call under way; never if there is none.
async fn answer_of(call: &mut Option<Call>) -> Result<Answer> {
    match call {
        Some(call) => (&mut call.answer).await,
        None => std::future::pending().await,
    }
}

/// The waits while the storage is out of reach: 50 ms, doubling, at most 2 s.
fn backoff() -> Backoff {
    Backoff::exponential(Duration::from_millis(50), 2.0)
        .cap(Duration::from_secs(2))
        .jitter(0.5)
}
