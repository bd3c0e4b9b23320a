//! A worker that moves only when told to: no loop, no thread, no timer of its
//! own. With a manual clock, a retry that is a year away is a matter of
//! milliseconds.

use std::fmt;
use std::sync::Arc;

use majordomo_core::{EndingKind, Result, Settled};
use tokio::time::Instant;

use crate::live::Live;
use crate::sweeper;

use super::appetite::Appetite;
use super::attempt;
use super::shared::Shared;
use super::slots::Moment;

/// Runs what is due, when told to.
pub struct Stepper<App> {
    shared: Arc<Shared<App>>,
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The attempts that ended, by how, in the order they were claimed.
    pub endings: Vec<EndingKind>,
    /// Attempts whose ending was refused, because the lease was lost.
    pub stale: u64,
    /// Attempts of other workers that were lost and ended by this step's sweep.
    pub lost: u64,
    /// Jobs that expired before they started.
    pub expired: u64,
}

impl Report {
    /// How many attempts ran.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.endings.len()
    }

    /// How many attempts ended so.
    #[must_use]
    pub fn count(&self, kind: EndingKind) -> usize {
        self.endings
            .iter()
            .filter(|ending| **ending == kind)
            .count()
    }

    fn merge(&mut self, other: Self) {
        self.endings.extend(other.endings);
        self.stale += other.stale;
        self.lost += other.lost;
        self.expired += other.expired;
    }
}

impl<App: Send + Sync + 'static> Stepper<App> {
    pub(super) fn new(shared: Arc<Shared<App>>) -> Self {
        Self { shared }
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
        let attempts = claimed.jobs.into_iter().map(|(details, lease)| {
            let live = Arc::new(Live::new(lease, details.job.is_suspect()));
            let shared = Arc::clone(&self.shared);
            let earlier = shared.enlist(&live);
            async move {
                if let Some(earlier) = earlier {
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
                match settled {
                    // A cancel that was asked for meanwhile turns any other ending into itself.
                    Settled::Applied(majordomo_core::State::Cancelled) => {
                        report.endings.push(EndingKind::Cancelled)
                    }
                    Settled::Applied(_) => report.endings.push(kind),
                    Settled::Stale => report.stale += 1,
                }
            }
        }
        Ok(report)
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
            let idle = step == Report::default();
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
