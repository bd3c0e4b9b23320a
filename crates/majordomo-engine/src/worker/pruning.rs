//! The pruner of a worker: prunes now and then, beside heartbeat and sweeper.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::pruner::{self, Pruned};

use super::shared::Shared;

/// The shortest time between two warnings about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// Prunes for ever. One that fails is told, not too often, and the next goes on.
pub(super) async fn prune<App: Send + Sync + 'static>(shared: &Shared<App>) {
    let settings = &shared.settings;
    let mut failures = Failures::default();
    loop {
        let jitter = 0.9 + 0.2 * fastrand::f64();
        sleep(settings.prune.mul_f64(jitter)).await;
        match pruner::prune(&**shared.client.storage(), &settings.retention).await {
            Ok(Pruned { removed }) => {
                failures = Failures::default();
                if removed > 0 {
                    tracing::info!(removed, "pruned");
                }
            }
            Err(error) => {
                if let Some(since_last) = failures.tell(Instant::now()) {
                    tracing::warn!(%error, since_last, "cannot prune");
                }
            }
        }
    }
}

/// Prunes that failed one after the other.
#[derive(Debug, Default)]
struct Failures {
    /// When the last one was told.
    told: Option<Instant>,
    /// How many there were since.
    untold: u64,
}

impl Failures {
    /// Counts one; if it is to be told, says how many there were since the last
    /// that was, itself included.
    fn tell(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_without_end_is_told_once_a_minute() {
        let (mut failures, began) = (Failures::default(), Instant::now());
        let told: Vec<_> = (0..181)
            .filter_map(|second| failures.tell(began + Duration::from_secs(second)))
            .collect();
        assert_eq!(told, [1, 60, 60, 60]);
    }
}
