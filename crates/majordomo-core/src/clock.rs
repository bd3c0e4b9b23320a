//! The only place that reads the system's clock.
//!
//! Time belongs to the storage (law 3). A database server has a clock of its
//! own; the memory storage and SQLite take one of these.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::time;

/// Tells the time to a storage that has no clock of its own.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The present instant, in whole microseconds, never earlier than one told before.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, which may be adjusted at any time. If it is set back,
/// this one goes on from what it told last at the pace of the machine's
/// monotonic clock, until the machine's has caught up: no lease is extended and
/// no due time reopened by an adjustment, and nothing stands still meanwhile.
#[derive(Debug)]
pub struct SystemClock {
    latest: Mutex<Told>,
}

/// What was told last, in microseconds, and when that was.
#[derive(Clone, Copy, Debug)]
struct Told {
    micros: i64,
    at: Instant,
}

impl Told {
    /// What is to be told at `at`, when the machine's clock shows `wall`.
    fn next(self, wall: i64, at: Instant) -> Self {
        let passed = time::micros_of(at.saturating_duration_since(self.at));
        let micros = wall.max(self.micros.saturating_add(passed));
        Self { micros, at }
    }
}

impl SystemClock {
    /// A clock that follows the machine's.
    #[must_use]
    pub fn new() -> Self {
        let micros = Timestamp::now().as_microsecond();
        let told = Told {
            micros,
            at: Instant::now(),
        };
        Self {
            latest: Mutex::new(told),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.next(Timestamp::now().as_microsecond(), Instant::now());
        time::from_micros(latest.micros)
    }
}

/// A clock that a test moves by hand. Clones share the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    micros: Arc<AtomicI64>,
}

impl ManualClock {
    /// Starts at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self {
            micros: Arc::new(AtomicI64::new(start.as_microsecond())),
        }
    }

    /// Moves the time on by `by`, rounded down to whole microseconds.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let _ = self
            .micros
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(time::from_micros(now.saturating_add(by)).as_microsecond())
            });
    }

    /// Moves the time back by `by`, as a clock does that somebody sets.
    pub fn turn_back(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let _ = self
            .micros
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(time::from_micros(now.saturating_sub(by)).as_microsecond())
            });
    }
}

impl Default for ManualClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::starting_at(time::from_micros(1_767_225_600_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        time::from_micros(self.micros.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let mut before = clock.now();
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= before);
            before = now;
        }
    }

    #[test]
    fn a_clock_that_is_set_back_is_bridged_and_one_set_ahead_is_followed() {
        let began = Instant::now();
        let told = Told {
            micros: 1_000_000,
            at: began,
        };
        let later = began + Duration::from_secs(5);
        assert_eq!(told.next(1_000, later).micros, 6_000_000);
        assert_eq!(told.next(9_000_000, later).micros, 9_000_000);
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::default();
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:00Z");
        clock.clone().advance(Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
        clock.advance(Duration::MAX);
        assert!(
            clock.now() > Timestamp::from_second(0).unwrap(),
            "the end of time is a limit, not a panic"
        );
    }
}
