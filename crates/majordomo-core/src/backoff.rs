//! How long to wait before the next attempt: fixed, linear, exponential or a
//! list, with a cap, jitter and a maximum age. A function of one's own is a
//! method of the task ([`crate::Task::retry_delay`]), because code can't be stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{micros, optional_micros};

/// The shortest wait before a retry: a failing job can never spin.
pub const SHORTEST: Duration = Duration::from_millis(1);

/// A retry policy, stored with each job. The maximum number of attempts is a
/// field of the job itself.
///
/// The default waits 5 s, then twice as long each time, at most 1 h, varied by
/// 10 % either way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// The waits before cap and jitter.
    pub delays: Delays,
    /// No wait is longer than this.
    #[serde(
        default,
        with = "optional_micros",
        skip_serializing_if = "Option::is_none"
    )]
    pub cap: Option<Duration>,
    /// Each wait is varied at random by up to this share of itself, either way; 0 to 1.
    #[serde(default)]
    pub jitter: f64,
    /// A job this old, counted from its creation, is not retried but dead.
    #[serde(
        default,
        with = "optional_micros",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_age: Option<Duration>,
}

/// The shape of a series of waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delays {
    /// Always the same.
    Fixed(#[serde(with = "micros")] Duration),
    /// `first`, `first + step`, `first + 2 × step` and so on.
    Linear {
        /// The first wait.
        #[serde(with = "micros")]
        first: Duration,
        /// What each further wait adds.
        #[serde(with = "micros")]
        step: Duration,
    },
    /// `first`, `first × factor`, `first × factor²` and so on.
    Exponential {
        /// The first wait.
        #[serde(with = "micros")]
        first: Duration,
        /// What each wait is multiplied by; values below 1 count as 1.
        factor: f64,
    },
    /// These waits in turn, in microseconds; the last one repeats.
    List(Vec<u64>),
}

impl Backoff {
    /// Always wait `delay`.
    #[must_use]
    pub fn fixed(delay: Duration) -> Self {
        Self::plain(Delays::Fixed(delay))
    }

    /// Wait `first`, and `step` longer each time.
    #[must_use]
    pub fn linear(first: Duration, step: Duration) -> Self {
        Self::plain(Delays::Linear { first, step })
    }

    /// Wait `first`, and `factor` times as long each time.
    #[must_use]
    pub fn exponential(first: Duration, factor: f64) -> Self {
        Self::plain(Delays::Exponential { first, factor })
    }

    /// Wait these times in turn; the last one repeats.
    #[must_use]
    pub fn list(delays: impl IntoIterator<Item = Duration>) -> Self {
        let delays = delays
            .into_iter()
            .map(|delay| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        Self::plain(Delays::List(delays.collect()))
    }

    /// No wait is longer than `cap`.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = Some(cap);
        self
    }

    /// Vary each wait by up to `share` of itself, either way. Kept within 0 to 1.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Give up on jobs older than `age`.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The wait after the `attempt`-th charged attempt (from 1), with `random`
    /// in 0 to 1 deciding the jitter: 0.5 means none, unless the cap leaves room
    /// for less than for more. At least [`SHORTEST`], at most the cap.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let earlier = attempt.saturating_sub(1);
        let plain = match &self.delays {
            Delays::Fixed(delay) => delay.as_secs_f64(),
            Delays::Linear { first, step } => {
                first.as_secs_f64() + step.as_secs_f64() * f64::from(earlier)
            }
            Delays::Exponential { first, factor } => {
                first.as_secs_f64() * factor.max(1.0).powf(f64::from(earlier))
            }
            Delays::List(delays) => {
                let last = delays.len().saturating_sub(1);
                let index = usize::try_from(earlier).unwrap_or(last).min(last);
                Duration::from_micros(delays.get(index).copied().unwrap_or(0)).as_secs_f64()
            }
        };
        let share = if self.jitter.is_nan() {
            0.0
        } else {
            self.jitter.clamp(0.0, 1.0)
        };
        // The cap narrows the range that is drawn from. Were it put on what was
        // drawn, most waits would be the cap itself, and all who wait in step.
        let cap = self.cap.map_or(f64::INFINITY, |cap| cap.as_secs_f64());
        let least = plain.min(cap) * (1.0 - share);
        let most = (plain * (1.0 + share)).min(cap);
        let varied = least + (most - least) * random.clamp(0.0, 1.0);
        let delay = Duration::try_from_secs_f64(varied).unwrap_or(Duration::MAX);
        delay.min(self.cap.unwrap_or(Duration::MAX)).max(SHORTEST)
    }

    fn plain(delays: Delays) -> Self {
        Self {
            delays,
            cap: None,
            jitter: 0.0,
            max_age: None,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(5), 2.0)
            .cap(Duration::from_secs(3600))
            .jitter(0.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(backoff: &Backoff, attempts: std::ops::RangeInclusive<u32>) -> Vec<u64> {
        attempts
            .map(|attempt| backoff.delay(attempt, 0.5).as_secs())
            .collect()
    }

    #[test]
    fn each_shape_waits_as_it_says() {
        let second = Duration::from_secs(1);
        let table = [
            (Backoff::fixed(300 * second), vec![300, 300, 300, 300, 300]),
            (
                Backoff::linear(10 * second, 5 * second),
                vec![10, 15, 20, 25, 30],
            ),
            (
                Backoff::exponential(120 * second, 2.0),
                vec![120, 240, 480, 960, 1920],
            ),
            (
                Backoff::exponential(second, 3.0).cap(20 * second),
                vec![1, 3, 9, 20, 20],
            ),
            (
                Backoff::list([second, 4 * second, 9 * second]),
                vec![1, 4, 9, 9, 9],
            ),
        ];
        for (backoff, expected) in table {
            assert_eq!(seconds(&backoff, 1..=5), expected, "{backoff:?}");
            let stored = serde_json::to_string(&backoff).unwrap();
            assert_eq!(serde_json::from_str::<Backoff>(&stored).unwrap(), backoff);
        }
    }

    #[test]
    fn gx13_an_empty_list_or_a_zero_wait_still_waits() {
        assert_eq!(Backoff::list([]).delay(1, 0.5), SHORTEST);
        assert_eq!(Backoff::fixed(Duration::ZERO).delay(9, 0.0), SHORTEST);
    }

    /// Those who wait for the same storage shall not all come back in step.
    #[test]
    fn gx33_waits_are_varied_at_the_cap_too() {
        let second = Duration::from_secs(1);
        let backoff = Backoff::exponential(second, 2.0)
            .cap(10 * second)
            .jitter(0.5);
        let waits = [0.0, 0.25, 0.5, 0.75, 1.0].map(|random| backoff.delay(99, random));
        assert_eq!(
            waits,
            [5000, 6250, 7500, 8750, 10_000].map(Duration::from_millis)
        );
    }

    proptest! {
        #[test]
        fn gx13_every_wait_is_within_jitter_and_cap(
            first in 0_u64..10_000_000,
            factor in 0.0..10.0_f64,
            jitter in -1.0..2.0_f64,
            cap in 1_u64..10_000,
            attempt in 0_u32..=u32::MAX,
            random in 0.0..=1.0_f64,
        ) {
            let cap = Duration::from_millis(cap);
            let plain = Backoff::exponential(Duration::from_micros(first), factor);
            let waits = plain.clone().jitter(jitter).cap(cap).delay(attempt, random);
            prop_assert!(waits >= SHORTEST && waits <= cap.max(SHORTEST));
            let share = jitter.clamp(0.0, 1.0);
            let varied = plain.clone().jitter(jitter).delay(attempt, random).as_secs_f64();
            let middle = plain.delay(attempt, 0.5).as_secs_f64();
            if middle < 1e9 && middle > SHORTEST.as_secs_f64() {
                prop_assert!(varied >= middle * (1.0 - share) - 1e-3 && varied <= middle * (1.0 + share) + 1e-3);
            }
        }
    }
}
