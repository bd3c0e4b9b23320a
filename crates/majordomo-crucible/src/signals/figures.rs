//! What a trial measured, and whether it is as promised.

use std::time::Duration;

use anyhow::Result;

use super::crew::Crew;
use crate::check::check;

/// The figures of one promise.
#[derive(Debug)]
pub(super) struct Figures {
    what: String,
    times: Vec<Duration>,
    limit: Duration,
    lost: usize,
    stale: usize,
    /// What is not as promised, in words.
    pub(super) broken: Vec<String>,
}

impl Figures {
    /// Figures of times, of which this share must be within `limit`.
    pub(super) fn of(what: &str, mut times: Vec<Duration>, share: f64, limit: Duration) -> Self {
        times.sort_unstable();
        let mut figures = Self {
            what: what.to_owned(),
            times,
            limit,
            lost: 0,
            stale: 0,
            broken: Vec::new(),
        };
        match figures.at(share) {
            None => figures.expect(false, || "nothing was measured".to_owned()),
            Some(time) => figures.expect(time <= limit, || {
                let share = share * 100.0;
                format!("{share:.0} % took up to {time:.1?}, more than {limit:?}")
            }),
        }
        figures
    }

    /// Notes what does not hold.
    pub(super) fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(format!("{}: {}", self.what, fault()));
        }
    }

    /// Checks every job's history, once all are done: none may be lost, and each
    /// must have been completed by the last of its attempts.
    pub(super) async fn judge(&mut self, crew: &Crew) -> Result<()> {
        let verdict = check(&crew.jobs, &crew.enqueued).await?;
        self.lost += crew.enqueued.len().saturating_sub(verdict.completed);
        self.stale += verdict.wrong.len().saturating_sub(self.lost);
        for wrong in verdict.wrong.into_iter().take(20) {
            self.expect(false, || wrong);
        }
        Ok(())
    }

    /// Notes stale writes that were accepted.
    pub(super) fn stale(&mut self, writes: Vec<String>) {
        self.stale += writes.len();
        for write in writes {
            self.expect(false, || write);
        }
    }

    /// The time that this share of them took at most.
    fn at(&self, share: f64) -> Option<Duration> {
        let last = self.times.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank among a few thousand times"
        )]
        let rank = (self.times.len() as f64 * share).ceil() as usize;
        self.times.get(rank.saturating_sub(1).min(last)).copied()
    }
}

/// The figures as a Markdown table.
pub(super) fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "| measured | count | p50 | p99 | max | limit | lost | stale accepted |\n|---|---|---|---|---|---|---|---|\n",
    );
    for figures in all {
        let time = |share| figures.at(share).map_or("-".to_owned(), spell);
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            figures.what,
            figures.times.len(),
            time(0.5),
            time(0.99),
            time(1.0),
            spell(figures.limit),
            figures.lost,
            figures.stale
        ));
    }
    text
}

fn spell(time: Duration) -> String {
    match time < Duration::from_secs(1) {
        true => format!("{} ms", time.as_millis()),
        false => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_too_late_breaks_the_promise() {
        let times = || (1..=100).map(Duration::from_secs).collect();
        let limit = Duration::from_secs(99);
        assert_eq!(Figures::of("a", times(), 0.99, limit).broken, [""; 0]);
        let late = Figures::of("a", times(), 1.0, limit).broken.join("");
        assert!(late.contains("100 % took up to"), "{late}");
        let none = Figures::of("a", Vec::new(), 1.0, limit).broken.join("");
        assert!(none.contains("nothing was measured"), "{none}");
    }

    #[test]
    fn the_table_shows_ranks_and_counts() {
        let times = (1..=200).map(Duration::from_millis).collect();
        let mut figures = Figures::of("a", times, 1.0, Duration::from_secs(40));
        figures.stale(vec!["one".to_owned()]);
        let table = table(&[figures]);
        assert!(
            table.ends_with("| a | 200 | 100 ms | 198 ms | 200 ms | 40.0 s | 0 | 1 |\n"),
            "{table}"
        );
    }
}
