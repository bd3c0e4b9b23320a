//! The tasks' code: what runs where, and what must not run at once.

use std::collections::BTreeSet;
use std::time::Duration;

use majordomo_core::JobId;

use super::Findings;
use super::book::Book;
use crate::simulation::history::{Entry, Event, short};

/// How late the answer to a claim may be before a start after the expiry is
/// held against the engine: it can't know how long the answer was under way. It
/// gives up calls after a third of a lease, which is no longer in any plan.
const UNDER_WAY: Duration = Duration::from_secs(4);

/// The attempts whose code runs, and those whose code ran.
#[derive(Debug, Default)]
pub(super) struct Code {
    inside: BTreeSet<(JobId, u64, String)>,
    begun: BTreeSet<(JobId, u64)>,
}

impl Code {
    pub(super) fn read(&mut self, entry: &Entry, book: &Book, findings: &mut Findings) {
        match &entry.event {
            Event::Began(job, token) => self.begin(*job, *token, entry, book, findings),
            Event::Left(job, token, _) => {
                self.inside.remove(&(*job, *token, entry.who.clone()));
            }
            Event::Killed => self.inside.retain(|(_, _, node)| *node != entry.who),
            Event::Spun => findings.expect(false, "no spin", || {
                "the engine calls the storage without end".to_owned()
            }),
            Event::Stopped => {
                let left = self.inside.iter().find(|(_, _, node)| *node == entry.who);
                findings.expect(left.is_none(), "R12", || {
                    let (job, token, node) = left.expect("there is one");
                    format!("{node} has stopped and still runs {}#{token}", short(*job))
                });
            }
            _ => {}
        }
    }

    /// Whether code runs on this node.
    pub(super) fn is_inside(&self, node: &str) -> bool {
        self.inside.iter().any(|(_, _, inside)| inside == node)
    }

    /// Whether the code of this attempt runs.
    pub(super) fn runs(&self, job: JobId, token: u64) -> bool {
        let mut inside = self.inside.iter();
        inside.any(|(other, number, _)| (*other, *number) == (job, token))
    }

    fn begin(
        &mut self,
        job: JobId,
        token: u64,
        entry: &Entry,
        book: &Book,
        findings: &mut Findings,
    ) {
        let name = short(job);
        findings.expect(self.begun.insert((job, token)), "R6", || {
            format!("attempt {token} of {name} began twice")
        });
        let known = book.jobs.get(&job);
        let given = known.and_then(|known| known.given.get(&token));
        findings.expect(
            given.is_some_and(|given| given.to == entry.who),
            "R6",
            || format!("attempt {token} of {name} began where it was not given"),
        );
        for (_, other, node) in self.inside.iter().filter(|(other, _, _)| *other == job) {
            findings.expect(*node != entry.who, "R6", || {
                format!("attempts {other} and {token} of {name} run at once in one process")
            });
            // Of two attempts the earlier must have lost its lease. It may even
            // begin after that, if the answer to its claim was late.
            let earlier = token.min(*other);
            let lost = known.is_some_and(|known| known.endings.contains_key(&earlier));
            findings.expect(lost, "R6", || {
                format!(
                    "attempts {other} and {token} of {name} run at once, and neither lost its lease"
                )
            });
        }
        // One that became a suspect by losing this very attempt was none when it began.
        let is_suspect = |job: &JobId, token: &u64| {
            let known = book.jobs.get(job);
            known.is_some_and(|known| known.is_suspect() && !known.endings.contains_key(token))
        };
        let mut others = self.inside.iter().filter(|(_, _, node)| *node == entry.who);
        let together = is_suspect(&job, &token)
            && others.any(|(other, token, _)| *other != job && is_suspect(other, token));
        findings.expect(!together, "R9", || {
            format!("{name} is not the only suspect that runs on its node")
        });
        if let Some(given) = given {
            findings.expect(entry.passed < given.good_until, "R6", || {
                format!("attempt {token} of {name} began after its lease had run out")
            });
        }
        if let Some((given, left)) = given.and_then(|given| Some((given, given.left?))) {
            let waited = entry.passed.saturating_sub(given.at);
            findings.expect(waited < left + UNDER_WAY, "R18", || {
                format!("{name} began {waited:?} after its claim, {left:?} before its expiry")
            });
        }
        self.inside.insert((job, token, entry.who.clone()));
    }
}
