//! Trouble that goes on and on, such as a storage that is away for an hour: it
//! is told at once, and then once a minute, not at each try.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two warnings about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// Failures of one thing, one after the other.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// When the last one was told.
    told: Option<Instant>,
    /// How many there were since.
    untold: u64,
}

impl Failures {
    /// Counts one; if it is to be told, says how many there were since the last
    /// that was, itself included.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u64> {
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
