//! Instants and durations as the contract has them: whole microseconds, and
//! arithmetic that stops at the end of time instead of failing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// When something should happen, resolved by the storage's clock when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At the instant of the write.
    #[default]
    Now,
    /// This long after the instant of the write.
    In(#[serde(with = "micros")] Duration),
    /// At this instant, which may be past.
    At(Timestamp),
}

impl When {
    /// The instant meant, if `now` is the storage's time.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::In(duration) => after(now, duration),
            Self::At(instant) => from_micros(instant.as_microsecond()),
        }
    }
}

impl From<Duration> for When {
    fn from(duration: Duration) -> Self {
        Self::In(duration)
    }
}

impl From<Timestamp> for When {
    fn from(instant: Timestamp) -> Self {
        Self::At(instant)
    }
}

/// The instant `duration` after `instant`, in whole microseconds; the last
/// instant there is if that lies beyond.
#[must_use]
pub fn after(instant: Timestamp, duration: Duration) -> Timestamp {
    from_micros(instant.as_microsecond().saturating_add(micros_of(duration)))
}

/// The time from `from` to `to`; zero if `to` is the earlier one.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    let micros = to.as_microsecond().saturating_sub(from.as_microsecond());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Microseconds since the Unix epoch as an instant, kept within the range of [`Timestamp`].
#[must_use]
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        last_instant()
    })
}

/// A duration in whole microseconds, at most `i64::MAX`.
#[must_use]
pub fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn last_instant() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::MAX.as_microsecond()).unwrap_or(Timestamp::MAX)
}

/// Serde for a [`Duration`] as whole microseconds.
pub mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the duration as an integer of microseconds.
    ///
    /// # Errors
    /// Whatever the serializer refuses.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(super::micros_of(*duration))
    }

    /// Reads an integer of microseconds.
    ///
    /// # Errors
    /// If it is not an integer, or negative.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// Serde for an optional [`Duration`] as whole microseconds.
pub mod optional_micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the duration as an integer of microseconds, or null.
    ///
    /// # Errors
    /// Whatever the serializer refuses.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(super::micros_of).serialize(serializer)
    }

    /// Reads an integer of microseconds, or null.
    ///
    /// # Errors
    /// If it is neither, or negative.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_its_end_instead_of_failing() {
        let now = from_micros(0);
        assert_eq!(after(now, Duration::MAX), last_instant());
        assert_eq!(from_micros(i64::MIN), Timestamp::MIN);
        assert_eq!(
            between(after(now, Duration::from_secs(5)), now),
            Duration::ZERO
        );
        assert_eq!(
            When::In(Duration::from_millis(1500))
                .resolve(now)
                .to_string(),
            "1970-01-01T00:00:01.5Z"
        );
    }

    #[test]
    fn instants_are_whole_microseconds() {
        let fine = Timestamp::from_nanosecond(1_234_567_891).unwrap();
        assert_eq!(
            When::At(fine).resolve(from_micros(0)).as_nanosecond(),
            1_234_567_000
        );
    }
}
