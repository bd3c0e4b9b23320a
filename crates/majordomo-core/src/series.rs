//! Statistics over time: how many attempts ended how, how long they took and
//! how long they waited. Written in the transaction that caused them, so that a
//! recount from the rows agrees, and kept when the rows are removed.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ending::EndingKind;
use crate::job::Job;
use crate::time;

/// What to report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// One series, or one for each task or queue.
    pub by: By,
    /// From this instant, included; rounded down to the minute.
    pub from: Timestamp,
    /// To this instant, not included; rounded down to the minute.
    pub to: Timestamp,
    /// How wide each bucket is.
    pub width: Width,
}

/// What a series is broken down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Nothing: one series, named by the empty string.
    #[default]
    All,
    /// One series for each task.
    Task,
    /// One series for each queue.
    Queue,
}

/// The width of a bucket, aligned to UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Width {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    #[default]
    Hour,
    /// 24 hours.
    Day,
}

impl Width {
    /// The start of the bucket that `instant` lies in.
    #[must_use]
    pub fn start_of(self, instant: Timestamp) -> Timestamp {
        let width: i64 = match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        };
        let micros = instant.as_microsecond();
        time::from_micros(micros - micros.rem_euclid(width))
    }
}

/// One span of time of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// When it starts.
    pub start: Timestamp,
    /// The task or queue.
    pub name: String,
    /// What happened in it.
    pub tally: Tally,
}

/// Counts of endings, and the times of the attempts that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Attempts that completed their job.
    pub completed: u64,
    /// Attempts that failed and left their job pending.
    pub retried: u64,
    /// Attempts that put their job off.
    pub snoozed: u64,
    /// Attempts given back.
    pub released: u64,
    /// Attempts whose lease ran out and left their job pending.
    pub lost: u64,
    /// Jobs given up.
    pub dead: u64,
    /// Jobs cancelled, running or not.
    pub cancelled: u64,
    /// Jobs that expired.
    pub expired: u64,
    /// How long attempts ran, from claim to ending.
    pub run: Spread,
    /// How long attempts were waited for, from due to claim.
    pub wait: Spread,
}

/// Some durations, in whole microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// All together.
    pub sum: u64,
    /// The shortest; 0 if there is none.
    pub min: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    /// Takes in one more.
    pub fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.merge(&Self {
            count: 1,
            sum: micros,
            min: micros,
            max: micros,
        });
    }

    /// Takes in all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The average, if there is any.
    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        self.sum.checked_div(self.count).map(Duration::from_micros)
    }
}

impl Tally {
    /// The tally of one ending. `claimed` says when the attempt began and since
    /// when its job was due; `None` for a job that ended without one.
    #[must_use]
    pub fn of(kind: EndingKind, claimed: Option<Span>, now: Timestamp) -> Self {
        let mut tally = Self::default();
        *tally.count_mut(kind) = 1;
        if let Some(Span { due, started }) = claimed {
            tally.run.add(time::between(started, now));
            tally.wait.add(time::between(due, started));
        }
        tally
    }

    /// Takes in all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for kind in EndingKind::ALL {
            *self.count_mut(kind) += other.count(kind);
        }
        self.run.merge(&other.run);
        self.wait.merge(&other.wait);
    }

    /// How many ended so.
    #[must_use]
    pub fn count(&self, kind: EndingKind) -> u64 {
        match kind {
            EndingKind::Completed => self.completed,
            EndingKind::Retried => self.retried,
            EndingKind::Snoozed => self.snoozed,
            EndingKind::Released => self.released,
            EndingKind::Lost => self.lost,
            EndingKind::Dead => self.dead,
            EndingKind::Cancelled => self.cancelled,
            EndingKind::Expired => self.expired,
        }
    }

    /// The counter of this kind of ending.
    pub fn count_mut(&mut self, kind: EndingKind) -> &mut u64 {
        match kind {
            EndingKind::Completed => &mut self.completed,
            EndingKind::Retried => &mut self.retried,
            EndingKind::Snoozed => &mut self.snoozed,
            EndingKind::Released => &mut self.released,
            EndingKind::Lost => &mut self.lost,
            EndingKind::Dead => &mut self.dead,
            EndingKind::Cancelled => &mut self.cancelled,
            EndingKind::Expired => &mut self.expired,
        }
    }
}

/// When an attempt's job was due and when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Since when it could have begun.
    pub due: Timestamp,
    /// When it began.
    pub started: Timestamp,
}

impl Span {
    /// The span of a running job's attempt.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        job.started_at.map(|started| Self {
            due: job.due,
            started,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_start_on_the_minute_hour_and_day() {
        let instant: Timestamp = "2026-03-08T07:45:31.5Z".parse().unwrap();
        assert_eq!(
            Width::Minute.start_of(instant).to_string(),
            "2026-03-08T07:45:00Z"
        );
        assert_eq!(
            Width::Hour.start_of(instant).to_string(),
            "2026-03-08T07:00:00Z"
        );
        assert_eq!(
            Width::Day.start_of(instant).to_string(),
            "2026-03-08T00:00:00Z"
        );
        let early: Timestamp = "1969-12-31T23:59:30Z".parse().unwrap();
        assert_eq!(
            Width::Minute.start_of(early).to_string(),
            "1969-12-31T23:59:00Z"
        );
    }

    #[test]
    fn tallies_add_up_in_any_order() {
        let now = time::from_micros(1000);
        let span = |started| {
            Some(Span {
                due: time::from_micros(0),
                started: time::from_micros(started),
            })
        };
        let parts = [
            Tally::of(EndingKind::Completed, span(400), now),
            Tally::of(EndingKind::Retried, span(100), now),
            Tally::of(EndingKind::Cancelled, None, now),
        ];
        let sum = |order: [usize; 3]| {
            order.iter().fold(Tally::default(), |mut all, index| {
                all.merge(&parts[*index]);
                all
            })
        };
        let all = sum([0, 1, 2]);
        assert_eq!(all, sum([2, 0, 1]));
        assert_eq!((all.completed, all.retried, all.cancelled), (1, 1, 1));
        assert_eq!(
            all.run,
            Spread {
                count: 2,
                sum: 1500,
                min: 600,
                max: 900
            }
        );
        assert_eq!(
            all.wait,
            Spread {
                count: 2,
                sum: 500,
                min: 100,
                max: 400
            }
        );
    }
}
