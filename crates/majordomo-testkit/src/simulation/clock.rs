//! The storage's clock of a simulation: it follows the runtime's paused time,
//! and can jump ahead of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use majordomo_core::{Clock, Timestamp, time};
use tokio::time::Instant;

/// When every simulation starts: 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000_000;

/// A clock that follows the runtime's time. Clones are the same clock.
#[derive(Clone, Debug)]
pub(super) struct PausedClock {
    began: Instant,
    /// By how many microseconds it has jumped in all.
    ahead: Arc<AtomicI64>,
}

impl PausedClock {
    /// A clock that starts now. The runtime's time must be paused.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            ahead: Arc::default(),
        }
    }

    /// The time that has passed, jumps not counted.
    pub(super) fn passed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Jumps ahead, as a machine's clock does that is set.
    pub(super) fn jump(&self, by: Duration) {
        self.ahead.fetch_add(time::micros_of(by), Ordering::SeqCst);
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::SeqCst);
        time::from_micros(START + ahead + time::micros_of(self.passed()))
    }
}
