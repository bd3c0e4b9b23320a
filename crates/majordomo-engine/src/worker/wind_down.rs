//! The end of a worker, in three stages: what runs may finish; then it is told
//! to stop; then it is given back. A second signal goes to the last stage.

use std::time::Duration;

use majordomo_core::Verdict;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::context::CancelReason;

use super::pump::Pump;
use super::shared::Stop;

/// How long dropped attempts have to come to an end.
const DROPPING: Duration = Duration::from_millis(250);
/// How long the storage is tried for the very last endings.
const WRITING: Duration = Duration::from_millis(1500);
/// The pause between tries; jittered.
const PAUSE: Duration = Duration::from_millis(50);

impl<App: Send + Sync + 'static> Pump<App> {
    /// Claims nothing more, and ends.
    pub(super) async fn wind_down(&mut self, stopping: &mut watch::Receiver<Stop>) {
        self.shared.slots.close();
        let tell_at = Instant::now() + self.shared.settings.drain;
        if self.finish_until(tell_at, stopping).await {
            return;
        }
        self.shared.cancel_all(CancelReason::Shutdown);
        // The grace of the attempts, and a moment for their endings.
        let leave_at = Instant::now() + self.shared.settings.shutdown_grace() + DROPPING;
        if self.finish_until(leave_at, stopping).await {
            return;
        }
        self.give_back().await;
    }

    /// Lets attempts end and writes their endings, until none is left (true), or
    /// until this instant or the second signal (false).
    async fn finish_until(&mut self, until: Instant, stopping: &mut watch::Receiver<Stop>) -> bool {
        loop {
            self.collect();
            let written = self.endings.is_empty() && !self.unsure;
            if self.runners.is_empty() && written {
                return true;
            }
            let now = Instant::now();
            if now >= until || *stopping.borrow_and_update() == Stop::Now {
                return false;
            }
            if now >= self.not_before && !written {
                let unsure = self.unsure;
                tokio::select! {
                    biased;
                    () = self.last_call(until - now) => continue,
                    () = hurried(stopping) => {}
                }
                self.unsure = unsure;
                continue;
            }
            let wait = match written {
                true => until,
                false => until.min(self.not_before),
            };
            tokio::select! {
                biased;
                () = self.shared.slots.changed.notified() => {}
                Some(_) = self.runners.join_next() => {}
                () = hurried(stopping) => {}
                () = sleep_until(wait) => {}
            }
        }
    }

    /// Drops everything that would not stop and gives its leases back. Only a
    /// blocking attempt can still go on after that, until its thread or the
    /// process ends.
    async fn give_back(&mut self) {
        self.runners.abort_all();
        let dropped = async { while self.runners.join_next().await.is_some() {} };
        // One that blocks its thread can't be waited for.
        let _ = timeout(DROPPING, dropped).await;
        self.collect();
        let ended: Vec<_> = self.endings.iter().map(|ending| ending.lease.job).collect();
        for live in self.shared.live() {
            let lost = live.cancel.reason() == Some(CancelReason::LeaseLost);
            if !lost && !ended.contains(&live.lease.job) {
                self.endings.push_back(live.ending(Verdict::Release));
            }
        }
        let until = Instant::now() + WRITING;
        while !self.endings.is_empty() || self.unsure {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let jobs = self.endings.len();
                tracing::error!(
                    jobs,
                    "could not write the endings of these jobs: they run again once their leases are out"
                );
                return;
            }
            self.last_call(left).await;
            if self.failures > 0 {
                sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }
}

/// The second signal.
async fn hurried(stopping: &mut watch::Receiver<Stop>) {
    if stopping.changed().await.is_err() {
        // Nobody is left to hurry us.
        std::future::pending::<()>().await;
    }
}
