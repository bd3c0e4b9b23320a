//! A worker that moves only when told to: no loop, no thread, no timer of its
//! own. With a manual clock, a retry that is a year away is a matter of
//! milliseconds.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use majordomo_core::{Result, Timestamp};
use tokio::time::Instant;

use crate::live::Live;
use crate::sweeper;

use super::appetite::Appetite;
use super::attempt;
use super::report::{Came, Report};
use super::shared::Shared;
use super::slots::Moment;

/// Runs what is due, when told to.
pub struct Stepper<App> {
    shared: Arc<Shared<App>>,
    next_due: Mutex<Option<Timestamp>>,
}

impl<App: Send + Sync + 'static> Stepper<App> {
    pub(super) fn new(shared: Arc<Shared<App>>) -> Self {
        Self {
            shared,
            next_due: Mutex::default(),
        }
    }

    /// Sweeps once, claims what is due up to the concurrency, runs it to its
    /// end, and writes the endings.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn step(&self) -> Result<Report> {
        let storage = self.shared.client.storage();
        let swept = sweeper::sweep(&**storage).await?;
        let mut report = Report {
            lost: swept.lost,
            expired: swept.expired,
            ..Report::default()
        };
        let mut appetite = Appetite::new(&self.shared.settings.queues);
        let (room, rooms) = self.shared.slots.room();
        let claimed = storage
            .claim(self.shared.claim(appetite.split(room, &rooms)))
            .await?;
        let claimed_at = Moment {
            there: claimed.now,
            here: Instant::now(),
        };
        *self.lock_next_due() = claimed.next_due;
        let attempts = claimed.jobs.into_iter().map(|(details, lease)| {
            let good_until = claimed_at.here + self.shared.settings.lease;
            let live = Live::new(lease, details.job.is_suspect(), good_until);
            let live = Arc::new(live);
            let shared = Arc::clone(&self.shared);
            let earlier = shared.enlist(&live);
            async move {
                for earlier in earlier {
                    earlier.cancel.is_over().await;
                }
                let ending = attempt::run(&shared, Arc::new(details), &live, claimed_at).await;
                shared.delist(&live.lease);
                ending
            }
        });
        let endings: Vec<_> = futures_util::future::join_all(attempts)
            .await
            .into_iter()
            .flatten()
            .collect();
        let kinds: Vec<_> = endings.iter().map(|ending| ending.verdict.kind()).collect();
        if !endings.is_empty() {
            let (settled, _) = storage.settle(endings, None).await?;
            for (kind, settled) in kinds.into_iter().zip(settled) {
                report.add(Came::of(kind, settled));
            }
        }
        Ok(report)
    }

    /// When the next job of its queues and tasks is due, as of its latest step;
    /// `None` if none waits for its time.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        *self.lock_next_due()
    }

    fn lock_next_due(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.next_due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps until nothing is due any more.
    ///
    /// # Errors
    /// If the storage fails, or jobs are still due after 100,000 steps, which
    /// happens if a job snoozes itself without end.
    pub async fn drain(&self) -> Result<Report> {
        let mut report = Report::default();
        for _ in 0..100_000 {
            let step = self.step().await?;
            let idle = step.is_idle();
            report.merge(step);
            if idle {
                return Ok(report);
            }
        }
        Err(
            majordomo_core::Error::invalid("jobs are still due after 100000 steps")
                .hint("does a job snooze itself for no time?"),
        )
    }
}

impl<App> fmt::Debug for Stepper<App> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper")
            .field("worker", &self.shared.settings.name)
            .finish_non_exhaustive()
    }
}
