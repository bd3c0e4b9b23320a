//! The loop of a worker: claims as many jobs as there are free slots, hands
//! them to attempts, and writes endings as they come in.
//!
//! One call is under way at a time, and it does both: the endings that came in
//! meanwhile are written together, and the slots they freed are filled in the
//! same transaction. So a busy worker batches without any timer, and an idle
//! one loses no time. When there is nothing to do the loop sleeps until a wake,
//! the next due time, or the poll.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use majordomo_core::{
    Backoff, Claimed, Class, Details, Ending, Error, Filter, Lease, Order, Settled, State,
    Timestamp, Verdict, Wake, limits, time,
};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Ears;
use crate::context::CancelReason;
use crate::live::Live;

use super::appetite::Appetite;
use super::attempt;
use super::heartbeat::Heart;
use super::shared::{Shared, Stop};

/// The most endings written in one call.
const BATCH: usize = 1000;
/// How long a call may still take once the worker was told to stop.
const LAST_CALL: Duration = Duration::from_secs(1);

pub(super) struct Pump<App> {
    pub(super) shared: Arc<Shared<App>>,
    ears: Ears,
    /// The attempts under way: each takes a slot until it is over.
    pub(super) attempts: JoinSet<Over>,
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
    unsure: bool,
}

/// The end of an attempt; without an ending if its lease was lost.
pub(super) struct Over {
    live: Arc<Live>,
    ending: Option<Ending>,
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
            attempts: JoinSet::new(),
            endings: VecDeque::new(),
            appetite: Appetite::new(&shared.settings.queues),
            look_at: now,
            failures: 0,
            not_before: now,
            unsure: false,
            shared,
        }
    }

    /// Claims and settles until told to stop.
    async fn work(&mut self, stopping: &mut watch::Receiver<Stop>) {
        while *stopping.borrow_and_update() == Stop::No {
            self.collect();
            self.hear();
            if Instant::now() >= self.not_before && (!self.endings.is_empty() || self.wants_more())
            {
                let claim = self.wants_more();
                let told = async {
                    let _ = stopping.changed().await;
                    tokio::time::sleep(LAST_CALL).await;
                };
                let unfinished = tokio::select! {
                    () = self.call(claim) => false,
                    () = told => true,
                };
                self.unsure |= unfinished && claim;
                continue;
            }
            // Once the next try may be made and there is nothing to try, its time is no time to wait for.
            let wait = if Instant::now() < self.not_before {
                self.not_before
            } else {
                self.look_at
            };
            let idle = self.free() > 0 || !self.endings.is_empty();
            tokio::select! {
                biased;
                _ = stopping.changed() => {}
                Some(over) = self.attempts.join_next() => self.take(over),
                wake = self.ears.next() => if wake.work { self.appetite.wake() },
                () = sleep_until(wait), if idle => {}
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

    fn poll(&self) -> Duration {
        let jitter = 0.9 + 0.1 * fastrand::f64();
        self.shared.settings.poll.mul_f64(jitter)
    }

    fn free(&self) -> usize {
        let slots = self.shared.settings.concurrency;
        slots.saturating_sub(self.attempts.len())
    }

    fn wants_more(&self) -> bool {
        // While endings can't be written there is no point in more of them.
        let able = self.failures == 0 || self.endings.is_empty();
        able && self.free() > 0 && self.appetite.is_hungry()
    }

    /// Takes in what is over, without waiting.
    pub(super) fn collect(&mut self) {
        while let Some(over) = self.attempts.try_join_next() {
            self.take(over);
        }
    }

    pub(super) fn take(&mut self, over: Result<Over, JoinError>) {
        // Attempts catch their panics, and are only aborted at the very end.
        let Ok(over) = over else { return };
        if over.live.suspect {
            // The next suspect, which had to wait for this one, may come.
            self.appetite.wake();
        }
        match over.ending {
            Some(ending) => self.endings.push_back(ending),
            None => self.shared.delist(&over.live.lease),
        }
    }

    /// Writes endings, and claims if asked to, in one call.
    pub(super) async fn call(&mut self, claim: bool) {
        let batch: Vec<Ending> = self.endings.iter().take(BATCH).cloned().collect();
        let slots = self.free();
        let claim = claim.then(|| self.shared.claim(self.appetite.split(slots)));
        let claims = claim.is_some();
        let storage = Arc::clone(self.shared.client.storage());
        let result = match claim {
            Some(claim) if batch.is_empty() => {
                let claimed = storage.claim(claim).await;
                claimed.map(|claimed| (Vec::new(), Some(claimed)))
            }
            then => storage.settle(batch, then).await,
        };
        match result {
            Ok((settled, claimed)) => {
                self.failures = 0;
                self.settled(&settled);
                if let Some(claimed) = claimed {
                    self.start(claimed);
                }
                if self.unsure {
                    self.give_back_orphans().await;
                }
            }
            Err(error) => {
                self.unsure |= claims && error.class() == Class::Ambiguous;
                self.failed(&error);
            }
        }
    }

    fn settled(&mut self, settled: &[Settled]) {
        for (ending, settled) in self.endings.drain(..settled.len()).zip(settled) {
            self.shared.delist(&ending.lease);
            if *settled == Settled::Stale {
                let (job, kind) = (ending.lease.job, ending.verdict.kind());
                tracing::warn!(%job, ending = %kind, "refused: the lease was lost before");
            }
        }
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
            self.endings.rotate_left(1);
        }
        // Leases that are lost take their endings with them, so that what can't
        // be written any more is not tried for ever.
        let shared = &self.shared;
        self.endings.retain(|ending| {
            let live = shared.find(&ending.lease);
            let lost = |live: Arc<Live>| live.cancel.reason() == Some(CancelReason::LeaseLost);
            let gone = live.is_none_or(lost);
            if gone {
                shared.delist(&ending.lease);
                let job = ending.lease.job;
                tracing::warn!(%job, "the lease was lost before its ending could be written");
            }
            !gone
        });
    }

    /// Gives back jobs that run under this worker's name and that it knows
    /// nothing of, because the reply to their claim was lost.
    async fn give_back_orphans(&mut self) {
        let filter = Filter {
            worker: Some(self.shared.settings.name.clone()),
            ..Filter::all().state(State::Running)
        };
        let storage = self.shared.client.storage();
        let found = storage.find(&filter, Order::default(), None, limits::PAGE);
        let Ok(page) = found.await else { return };
        let leases = page.items.into_iter().filter_map(|job| job.lease);
        let orphans: Vec<Ending> = leases
            .filter(|lease| self.shared.find(lease).is_none())
            .map(|lease| Ending::new(lease, Verdict::Release))
            .collect();
        self.unsure = page.next.is_some();
        if orphans.is_empty() {
            return;
        }
        tracing::info!(
            jobs = orphans.len(),
            "gave back jobs whose claim was not heard of"
        );
        // Should this fail as well, the next call tries it again.
        self.unsure |= storage.settle(orphans, None).await.is_err();
    }

    fn start(&mut self, claimed: Claimed) {
        let jobs = claimed.jobs.iter().map(|(details, _)| &details.job);
        self.appetite.fed(jobs);
        let now = Instant::now();
        let due = claimed
            .next_due
            .map(|due| now + time::between(claimed.now, due));
        // What was known of the queues not asked this time still holds.
        self.look_at = self.look_at.min(due.unwrap_or(self.look_at));
        for (details, lease) in claimed.jobs {
            self.spawn(details, lease, claimed.now);
        }
    }

    fn spawn(&mut self, details: Details, lease: Lease, claimed_at: Timestamp) {
        let live = Arc::new(Live::new(lease, details.job.is_suspect()));
        let earlier = self.shared.enlist(&live);
        let shared = Arc::clone(&self.shared);
        self.attempts.spawn(async move {
            if let Some(earlier) = earlier {
                earlier.cancel.is_over().await;
            }
            let ending = attempt::run(&shared, details, &live, claimed_at).await;
            Over { live, ending }
        });
    }

    /// Makes a last call within the time that is left for it.
    pub(super) async fn last_call(&mut self, within: Duration) {
        if timeout(within, self.call(false)).await.is_err() {
            self.failures = self.failures.saturating_add(1);
        }
    }
}

/// The waits while the storage is out of reach: 50 ms, doubling, at most 2 s.
fn backoff() -> Backoff {
    Backoff::exponential(Duration::from_millis(50), 2.0)
        .cap(Duration::from_secs(2))
        .jitter(0.5)
}
