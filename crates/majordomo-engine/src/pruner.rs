//! The pruner: removes finished jobs that have been kept as long as the
//! [`Retention`] says. Every worker runs one; all of them at once do no harm,
//! because the storage removes each job once and looks at it again as it does.
//!
//! It removes in chunks with pauses between, so that claims and endings of this
//! and other processes come through however much there is to remove. What an
//! interrupted prune leaves is what the next one finds. Where workers of one
//! storage have different retentions, the shortest counts.

use std::time::Duration;

use majordomo_core::{Result, Storage, limits};
use tokio::time::sleep;

use crate::retention::Retention;

/// Jobs removed in one call, which is one transaction.
const CHUNK: usize = 500;
const _: () = assert!(CHUNK <= limits::PAGE, "fewer removed would mean none left");
/// The longest pause between two chunks; the shortest is half of it.
const PAUSE: Duration = Duration::from_millis(10);

/// What a prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Finished jobs removed.
    pub removed: u64,
}

/// Prunes once: until nothing is left that had to go when it began.
///
/// # Errors
/// If the storage can't be reached. The next prune goes on.
pub async fn prune(storage: &dyn Storage, retention: &Retention) -> Result<Pruned> {
    let now = storage.now().await?;
    let mut pruned = Pruned::default();
    for rule in retention.rules(now) {
        loop {
            let removed = storage.remove(&rule, CHUNK).await?;
            pruned.removed += removed;
            if removed < CHUNK as u64 {
                break;
            }
            sleep(PAUSE.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
        }
    }
    Ok(pruned)
}
