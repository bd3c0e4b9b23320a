//! The clients: what they were told must be so.

use std::collections::{BTreeMap, BTreeSet};

use majordomo_core::{Inserted, JobId};
use majordomo_engine::Cancelled;

use super::Findings;
use crate::simulation::drive::Last;
use crate::simulation::history::{Answer, Ask, Entry, Event, short};

/// What the clients asked for, and what they may rely on.
#[derive(Debug, Default)]
pub(super) struct Clients {
    asked: BTreeMap<usize, Ask>,
    answered: BTreeSet<usize>,
    /// Cancels that were asked for while a retry of their job was under way, so
    /// that either may be the later one.
    crossed: BTreeSet<usize>,
    /// Jobs that are stored, as far as the clients know.
    stored: BTreeSet<JobId>,
    /// Jobs that were cancelled before they started, and that nobody has asked
    /// to run again since.
    cancelled: BTreeSet<JobId>,
}

impl Clients {
    pub(super) fn read(&mut self, entry: &Entry, findings: &mut Findings) {
        match &entry.event {
            Event::Asked(number, ask) => {
                match ask {
                    Ask::Retry(job) => drop(self.cancelled.remove(job)),
                    Ask::Cancel(job) if self.is_retrying(*job) => {
                        self.crossed.insert(*number);
                    }
                    _ => {}
                }
                self.asked.insert(*number, ask.clone());
            }
            Event::Heard(number, answer) => {
                self.answered.insert(*number);
                self.hear(*number, answer);
            }
            Event::Began(job, token) => {
                findings.expect(!self.cancelled.contains(job), "R19", || {
                    format!(
                        "attempt {token} of {} began after its client was told that it would not",
                        short(*job)
                    )
                });
            }
            _ => {}
        }
    }

    /// Whether a request to run this job again is under way.
    fn is_retrying(&self, job: JobId) -> bool {
        let mut asked = self.asked.iter();
        asked.any(|(number, ask)| *ask == Ask::Retry(job) && !self.answered.contains(number))
    }

    fn hear(&mut self, number: usize, answer: &Answer) {
        match (self.asked.get(&number), answer) {
            (Some(Ask::Insert(jobs)), Answer::Inserted(inserted)) => {
                let stored = jobs.iter().zip(inserted);
                self.stored
                    .extend(stored.map(|(job, inserted)| match inserted {
                        Inserted::New => *job,
                        Inserted::Existing(existing) => *existing,
                    }));
            }
            (Some(Ask::Cancel(job)), Answer::Cancelled(Cancelled::Done)) => {
                // If someone has asked for a retry meanwhile, either may be the later one.
                let retried = self
                    .asked
                    .range(number..)
                    .any(|(_, ask)| *ask == Ask::Retry(*job));
                if !retried && !self.crossed.contains(&number) {
                    self.cancelled.insert(*job);
                }
            }
            _ => {}
        }
    }

    /// Whatever was acknowledged is there.
    pub(super) fn finish(&self, last: &Last, findings: &mut Findings) {
        let there: BTreeSet<JobId> = last.jobs.iter().map(|details| details.job.id).collect();
        for job in self.stored.difference(&there) {
            findings.expect(false, "R1", || {
                format!("{} was acknowledged and is not there", short(*job))
            });
        }
    }
}
