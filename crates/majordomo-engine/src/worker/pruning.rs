//! The pruner of a worker: prunes now and then, beside heartbeat and sweeper.

use tokio::time::{Instant, sleep};

use crate::pruner::{self, Pruned};

use super::shared::Shared;
use super::trouble::Failures;

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
