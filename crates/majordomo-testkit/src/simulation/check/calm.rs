//! The calm after the faults: no job waits while a node is idle, and no node
//! that lives loses a lease.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::{Change, Changed, JobId, Proof, Settled, State};

use super::Findings;
use super::book::Book;
use super::code::Code;
use crate::simulation::history::{Entry, Event, short};

/// How long a due job may wait while a node is idle. Polls and the waits after
/// failures are shorter in every plan.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long code may go on after its job was cancelled: a heartbeat and the
/// grace, both shorter in every plan.
const HEARING: Duration = Duration::from_secs(12);
/// How long what was under way may still suffer from a fault that is over.
const UNDER_WAY: Duration = Duration::from_secs(15);

/// The nodes that live and the jobs that wait.
#[derive(Debug, Default)]
pub(super) struct Calm {
    healed: Option<Duration>,
    /// Since when each living node is known to be idle, if it is.
    nodes: BTreeMap<String, Option<Duration>>,
    /// Since when each due job is known to wait.
    waiting: BTreeMap<JobId, Duration>,
    /// When running jobs were cancelled, with the token of the attempt.
    cancelled: BTreeMap<(JobId, u64), Duration>,
}

impl Calm {
    pub(super) fn read(
        &mut self,
        entry: &Entry,
        book: &Book,
        code: &Code,
        findings: &mut Findings,
    ) {
        match &entry.event {
            Event::Started => drop(self.nodes.insert(entry.who.clone(), None)),
            Event::Stopping | Event::Killed | Event::Stopped => {
                self.nodes.remove(&entry.who);
            }
            Event::Healed => self.healed = Some(entry.passed),
            Event::Ended {
                job,
                token,
                proof: Proof::Expired,
                answer: Settled::Applied(_),
                ..
            } => self.no_lease_is_lost(*job, *token, book, findings),
            Event::Changed(job, Change::Cancel, Changed::Done(State::Running)) => {
                if let Some(known) = book.jobs.get(job).filter(|_| self.is_calm(entry.passed)) {
                    self.cancelled
                        .entry((*job, known.token))
                        .or_insert(entry.passed);
                }
            }
            _ => {}
        }
        if self.is_calm(entry.passed) {
            self.nobody_waits(entry.passed, book, code, findings);
            self.cancels_are_heard(entry.passed, code, findings);
        }
    }

    fn is_calm(&self, passed: Duration) -> bool {
        self.healed
            .is_some_and(|healed| passed > healed + UNDER_WAY)
    }

    fn cancels_are_heard(&self, now: Duration, code: &Code, findings: &mut Findings) {
        for ((job, token), since) in &self.cancelled {
            let deaf = now > *since + HEARING && code.runs(*job, *token);
            findings.expect(!deaf, "R19", || {
                format!(
                    "attempt {token} of {} does not hear of its cancel",
                    short(*job)
                )
            });
        }
    }

    fn no_lease_is_lost(&self, job: JobId, token: u64, book: &Book, findings: &mut Findings) {
        let known = book.jobs.get(&job);
        let given = known.and_then(|known| known.given.get(&token));
        let Some(given) = given else { return };
        let lives = self.nodes.contains_key(&given.to) && self.is_calm(given.at);
        findings.expect(!lives, "R11", || {
            format!("{} lives, and lost its lease of {}", given.to, short(job))
        });
    }

    fn nobody_waits(&mut self, now: Duration, book: &Book, code: &Code, findings: &mut Findings) {
        for (node, idle) in &mut self.nodes {
            let has_leases = book.jobs.values().any(|job| {
                let given = job.given.get(&job.token);
                job.state == State::Running && given.is_some_and(|given| given.to == *node)
            });
            if has_leases || code.is_inside(node) {
                *idle = None;
            } else {
                idle.get_or_insert(now);
            }
        }
        // What is paused or limited may wait.
        let free = book.controls.is_empty();
        self.waiting.retain(|id, _| free && book.waits(*id));
        for id in book.jobs.keys().filter(|id| free && book.waits(**id)) {
            self.waiting.entry(*id).or_insert(now);
        }
        let long = |since: &Duration| now > *since + PATIENCE;
        let idle = self
            .nodes
            .iter()
            .find(|(_, idle)| idle.as_ref().is_some_and(long));
        let waiting = self.waiting.iter().find(|(_, since)| long(since));
        if let Some(((node, _), (job, _))) = idle.zip(waiting) {
            findings.expect(false, "R24", || {
                format!("{} waits, and {node} has nothing to do", short(*job))
            });
        }
    }
}
