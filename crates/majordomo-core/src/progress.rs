//! How far an attempt has come, and a history of it that never grows beyond bounds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::limits;
use crate::payload::check_value;

/// A report of progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Which step of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Anything else, for those who show it; at most [`limits::NOTE`] as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// When it was stored, by the storage's clock; the epoch before that.
    pub at: Timestamp,
}

/// A step of a known number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

impl Step {
    /// How far that is; 100 if there is nothing to do.
    #[must_use]
    pub fn percent(self) -> f64 {
        if self.total == 0 {
            100.0
        } else {
            (self.done as f64 / self.total as f64 * 100.0).clamp(0.0, 100.0)
        }
    }
}

impl Progress {
    /// A report. The percentage is kept within 0 to 100, with anything that is
    /// no number as 0; a note over [`limits::NOTE`] is cut. An empty note is none.
    #[must_use]
    pub fn new(percent: f64, note: &str) -> Self {
        let percent = if percent.is_nan() {
            0.0
        } else {
            percent.clamp(0.0, 100.0)
        };
        let note = (!note.is_empty()).then(|| limits::shorten(note, limits::NOTE));
        Self {
            percent,
            note,
            step: None,
            data: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    /// A report of steps, with the percentage that follows.
    #[must_use]
    pub fn of_steps(step: Step, note: &str) -> Self {
        Self {
            step: Some(step),
            ..Self::new(step.percent(), note)
        }
    }

    /// With data of its own.
    #[must_use]
    pub fn data(self, data: Value) -> Self {
        Self {
            data: Some(data),
            ..self
        }
    }

    /// Refuses a note or data that are too long.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLarge`] over [`limits::NOTE`], and what
    /// [`check_value`] says of the data.
    pub fn check(&self) -> Result<()> {
        let note = self.note.as_ref().map_or(0, String::len);
        limits::check("the progress note", note, limits::NOTE)?;
        let data = self.data.as_ref();
        data.map_or(Ok(()), |data| {
            check_value("the progress data", data, limits::NOTE)
        })
    }
}

/// Adds a report to a history and thins it if it has grown over
/// [`limits::HISTORY`]: the first and the last stay, and of the others the one
/// goes that leaves the smallest gap in time, so that what is left lies evenly.
pub fn record(history: &mut Vec<Progress>, report: Progress) {
    history.push(report);
    if history.len() <= limits::HISTORY {
        return;
    }
    let gap = |around: &[Progress]| around[2].at.as_microsecond() - around[0].at.as_microsecond();
    let closest = history
        .windows(3)
        .enumerate()
        .min_by_key(|(index, around)| (gap(around), *index))
        .map(|(index, _)| index + 1);
    if let Some(index) = closest {
        history.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    #[test]
    fn odd_percentages_are_brought_into_range() {
        for (given, kept) in [
            (-5.0, 0.0),
            (250.0, 100.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 100.0),
            (12.5, 12.5),
        ] {
            assert_eq!(Progress::new(given, "").percent, kept);
        }
        assert_eq!(Step { done: 0, total: 0 }.percent(), 100.0);
        assert_eq!(
            Step {
                done: 3_000_000_000,
                total: 6_000_000_000
            }
            .percent(),
            50.0
        );
    }

    #[test]
    fn a_long_history_is_thinned_evenly_and_keeps_first_and_last() {
        let mut history = Vec::new();
        for index in 0..=10_000_i64 {
            let mut report = Progress::new(index as f64 / 100.0, "");
            report.at = time::from_micros(index * 1000);
            record(&mut history, report);
        }
        assert_eq!(history.len(), limits::HISTORY);
        assert_eq!(history[0].percent, 0.0);
        assert_eq!(history[limits::HISTORY - 1].percent, 100.0);
        let widest = history
            .windows(2)
            .map(|pair| pair[1].percent - pair[0].percent)
            .fold(0.0, f64::max);
        assert!(widest <= 4.0, "the widest gap is {widest} %");
    }

    #[test]
    fn a_note_is_checked_to_the_byte() {
        assert_eq!(
            Progress::new(1.0, &"x".repeat(5000)).note.unwrap().len(),
            limits::NOTE
        );
        let mut report = Progress::new(1.0, "");
        report.note = Some("x".repeat(limits::NOTE));
        report.check().unwrap();
        report.note = Some("x".repeat(limits::NOTE + 1));
        assert!(report.check().is_err());
    }
}
