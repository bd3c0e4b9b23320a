//! What became of the attempts of a step or of a cycle, for tests.

use std::fmt;

use majordomo_core::{EndingKind, Settled, State};

/// What a step, a drain or a cycle did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The attempts that ended, by how, in the order they were claimed.
    pub endings: Vec<EndingKind>,
    /// Attempts whose ending was refused, because the lease was lost.
    pub stale: u64,
    /// Attempts of other workers that were lost and ended by this step's sweep.
    pub lost: u64,
    /// Jobs that expired before they started.
    pub expired: u64,
}

impl Report {
    /// How many attempts ran.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.endings.len()
    }

    /// How many attempts ended so.
    #[must_use]
    pub fn count(&self, kind: EndingKind) -> usize {
        self.endings
            .iter()
            .filter(|ending| **ending == kind)
            .count()
    }

    /// How many attempts completed their job.
    #[must_use]
    pub fn completed(&self) -> usize {
        self.count(EndingKind::Completed)
    }

    /// How many attempts failed, whether their job is tried again or is dead.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(EndingKind::Retried) + self.dead()
    }

    /// How many attempts left their job dead.
    #[must_use]
    pub fn dead(&self) -> usize {
        self.count(EndingKind::Dead)
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what another one did.
    pub fn merge(&mut self, other: Self) {
        self.endings.extend(other.endings);
        self.stale += other.stale;
        self.lost += other.lost;
        self.expired += other.expired;
    }

    /// Adds the ending of one attempt as the storage answered it.
    pub(super) fn add(&mut self, came: Came) {
        match came {
            Came::Ended(kind) => self.endings.push(kind),
            Came::Stale => self.stale += 1,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempts ran", self.ran())?;
        let mut before = ": ";
        for kind in EndingKind::ALL {
            let count = self.count(kind);
            if count > 0 {
                write!(f, "{before}{count} {kind}")?;
                before = ", ";
            }
        }
        let others = [
            (self.stale, "refused as stale"),
            (self.lost, "lost by other workers"),
            (self.expired, "expired unstarted"),
        ];
        others
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, "; {count} {what}"))
    }
}

/// How one attempt came out, by the storage's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Its ending is written.
    Ended(EndingKind),
    /// Its lease was lost, so nothing is.
    Stale,
}

impl Came {
    pub(super) fn of(kind: EndingKind, settled: Settled) -> Self {
        match settled {
            // A cancel that was asked for meanwhile turns any other ending into itself.
            Settled::Applied(State::Cancelled) => Self::Ended(EndingKind::Cancelled),
            Settled::Applied(_) => Self::Ended(kind),
            Settled::Stale => Self::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_in_words_what_happened() {
        let report = Report {
            endings: vec![
                EndingKind::Retried,
                EndingKind::Completed,
                EndingKind::Retried,
                EndingKind::Dead,
            ],
            stale: 1,
            ..Report::default()
        };
        assert_eq!(
            report.to_string(),
            "4 attempts ran: 1 completed, 2 retried, 1 dead; 1 refused as stale"
        );
        assert_eq!(
            (report.completed(), report.failed(), report.dead()),
            (1, 3, 1)
        );
        assert_eq!(Report::default().to_string(), "0 attempts ran");
    }
}
