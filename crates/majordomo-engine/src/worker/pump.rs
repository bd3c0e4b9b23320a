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

use majordomo_core::{
    Backoff, Claimed, Details, Ending, Lease, Settled, Timestamp, Verdict, Wake, time,
};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::client::Ears;
use crate::context::{CancelReason, Live};

use super::appetite::Appetite;
use super::attempt;
use super::heartbeat::Heart;
use super::shared::{Shared, Stop};

/// The most endings written in one call.
const BATCH: usize = 1000;

struct Pump<App> {
    shared: Arc<Shared<App>>,
    ears: Ears,
    /// The attempts under way: each takes a slot until it is over.
    attempts: JoinSet<Over>,
    /// Endings to be written, oldest first.
    endings: VecDeque<Ending>,
    /// Which queues may have more to claim.
    appetite: Appetite,
    /// When to look again although nothing says so.
    look_at: Instant,
    /// Failed calls in a row, and when to try again.
    failures: u32,
    not_before: Instant,
}

/// The end of an attempt; without an ending if its lease was lost.
struct Over {
    job: majordomo_core::JobId,
    ending: Option<Ending>,
}

/// Runs until told to stop and drained.
pub(super) async fn run<App: Send + Sync + 'static>(
    shared: Arc<Shared<App>>,
    heart: Heart,
    mut stopping: watch::Receiver<Stop>,
) {
    let ears = shared.client.listen();
    let appetite = Appetite::new(&shared.settings.queues);
    let now = Instant::now();
    let mut pump = Pump {
        shared,
        ears,
        attempts: JoinSet::new(),
        endings: VecDeque::new(),
        appetite,
        look_at: now,
        failures: 0,
        not_before: now,
    };
    pump.work(&mut stopping).await;
    pump.wind_down(&mut stopping).await;
    heart.stop().await;
    tracing::info!(worker = pump.shared.settings.name, "worker stopped");
}

impl<App: Send + Sync + 'static> Pump<App> {
    /// Claims and settles until told to stop.
    async fn work(&mut self, stopping: &mut watch::Receiver<Stop>) {
        while *stopping.borrow_and_update() == Stop::No {
            self.collect();
            if Instant::now() >= self.not_before && (!self.endings.is_empty() || self.wants_more())
            {
                self.call(self.wants_more()).await;
                continue;
            }
            let wait = if self.failures > 0 {
                self.not_before
            } else {
                self.look_at
            };
            let full = self.free() == 0;
            tokio::select! {
                biased;
                changed = stopping.changed() => if changed.is_err() { return },
                Some(over) = self.attempts.join_next() => self.take(over),
                wake = self.ears.next() => if wake.work { self.appetite.wake() },
                () = sleep_until(wait), if !full || self.failures > 0 => self.appetite.wake(),
            }
        }
    }

    /// Claims nothing more; waits for what runs, then tells it to stop, then
    /// gives it back.
    async fn wind_down(&mut self, stopping: &mut watch::Receiver<Stop>) {
        let settings = self.shared.settings.clone();
        let mut tell_at = Instant::now() + settings.drain;
        let mut told = false;
        let mut leave_at = None;
        loop {
            self.collect();
            if self.attempts.is_empty() && self.endings.is_empty() {
                return;
            }
            let now = Instant::now();
            if *stopping.borrow_and_update() == Stop::Now {
                tell_at = tell_at.min(now);
            }
            if !told && now >= tell_at {
                self.shared.cancel_all(CancelReason::Shutdown);
                told = true;
                leave_at = Some(now + settings.shutdown_grace() + Duration::from_millis(500));
            }
            if leave_at.is_some_and(|leave_at| now >= leave_at)
                || (told && *stopping.borrow() == Stop::Now)
            {
                self.give_back().await;
                return;
            }
            if now >= self.not_before && !self.endings.is_empty() {
                self.call(false).await;
                continue;
            }
            let mut wait = leave_at.unwrap_or(tell_at);
            if !self.endings.is_empty() {
                wait = wait.min(self.not_before);
            }
            tokio::select! {
                biased;
                Some(over) = self.attempts.join_next() => self.take(over),
                () = sleep_until(wait) => {}
                changed = stopping.changed(), if *stopping.borrow() != Stop::Now => if changed.is_err() {
                    // Nobody is left to hurry us.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                },
            }
        }
    }

    /// Gives back the leases of everything that would not stop. Only a blocking
    /// attempt can still go on after that, until its thread or the process ends.
    async fn give_back(&mut self) {
        self.collect();
        self.attempts.abort_all();
        let unsettled: Vec<_> = self.endings.iter().map(|ending| ending.lease.job).collect();
        let stuck = self.shared.live_list();
        let stuck = stuck
            .iter()
            .filter(|live| !unsettled.contains(&live.lease.job));
        let released: Vec<_> = stuck
            .map(|live| Ending::new(live.lease.clone(), Verdict::Release))
            .collect();
        self.endings.extend(released);
        while !self.endings.is_empty() && self.failures < 3 {
            self.call(false).await;
        }
    }

    fn free(&self) -> usize {
        self.shared
            .settings
            .concurrency
            .saturating_sub(self.attempts.len())
    }

    fn wants_more(&self) -> bool {
        // While endings can't be written there is no point in more of them.
        let able = self.failures == 0 || self.endings.is_empty();
        able && self.free() > 0 && self.appetite.is_hungry()
    }

    /// Takes in what is over, without waiting.
    fn collect(&mut self) {
        while let Some(over) = self.attempts.try_join_next() {
            self.take(over);
        }
    }

    fn take(&mut self, over: Result<Over, JoinError>) {
        // Attempts catch their panics, and are only aborted at the very end.
        let Ok(over) = over else { return };
        match over.ending {
            Some(ending) => self.endings.push_back(ending),
            None => self.shared.delist(over.job),
        }
    }

    /// Writes endings, and claims if asked to, in one call.
    async fn call(&mut self, claim: bool) {
        let batch: Vec<Ending> = self.endings.iter().take(BATCH).cloned().collect();
        let claim = claim.then(|| self.shared.claim(self.appetite.split(self.free())));
        let storage = Arc::clone(self.shared.client.storage());
        let result = match claim {
            Some(claim) if batch.is_empty() => storage
                .claim(claim)
                .await
                .map(|claimed| (Vec::new(), Some(claimed))),
            then => storage.settle(batch, then).await,
        };
        match result {
            Ok((settled, claimed)) => {
                self.failures = 0;
                self.settled(&settled);
                if let Some(claimed) = claimed {
                    self.start(claimed);
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    fn settled(&mut self, settled: &[Settled]) {
        for (ending, settled) in self.endings.drain(..settled.len()).zip(settled) {
            self.shared.delist(ending.lease.job);
            if *settled == Settled::Stale {
                tracing::warn!(job = %ending.lease.job, ending = %ending.verdict.kind(), "refused: the lease was lost before");
            }
        }
        self.shared.client.notify(Wake::ALL);
    }

    fn failed(&mut self, error: &majordomo_core::Error) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff().delay(self.failures, fastrand::f64());
        self.not_before = Instant::now() + wait;
        // The first, and then each time that the number doubles.
        if self.failures.is_power_of_two() {
            let (failures, endings) = (self.failures, self.endings.len());
            tracing::warn!(%error, failures, endings, "the storage is out of reach, will be tried again");
        }
        // Leases that are lost take their endings with them, so that what can't
        // be written any more is not tried for ever.
        let shared = &self.shared;
        let gone = |ending: &Ending| {
            let live = shared.live().get(&ending.lease.job).cloned();
            live.is_none_or(|live| live.cancel.reason() == Some(CancelReason::LeaseLost))
        };
        self.endings.retain(|ending| {
            let gone = gone(ending);
            if gone {
                shared.delist(ending.lease.job);
                tracing::warn!(job = %ending.lease.job, "the lease was lost before its ending could be written");
            }
            !gone
        });
    }

    fn start(&mut self, claimed: Claimed) {
        self.appetite
            .fed(claimed.jobs.iter().map(|(details, _)| &details.job));
        let now = Instant::now();
        let poll = now
            + self
                .shared
                .settings
                .poll
                .mul_f64(0.9 + 0.1 * fastrand::f64());
        let due = claimed
            .next_due
            .map_or(poll, |due| now + time::between(claimed.now, due));
        // What was known of the queues not asked this time still holds.
        let known = if self.look_at > now {
            self.look_at
        } else {
            poll
        };
        self.look_at = due.min(known).min(poll);
        for (details, lease) in claimed.jobs {
            self.spawn(details, lease, claimed.now);
        }
    }

    fn spawn(&mut self, details: Details, lease: Lease, claimed_at: Timestamp) {
        let live = Arc::new(Live::new(lease, details.job.is_suspect()));
        self.shared.enlist(Arc::clone(&live));
        let shared = Arc::clone(&self.shared);
        self.attempts.spawn(async move {
            let ending = attempt::run(&shared, details, &live, claimed_at).await;
            Over {
                job: live.lease.job,
                ending,
            }
        });
    }
}

/// The waits while the storage is out of reach: 50 ms, doubling, at most 2 s.
fn backoff() -> Backoff {
    Backoff::exponential(Duration::from_millis(50), 2.0)
        .cap(Duration::from_secs(2))
        .jitter(0.5)
}
