//! The end: what is left must be what the history says, and nothing unfinished.

use std::collections::BTreeMap;

use majordomo_core::{Details, EndingKind, State};

use super::Findings;
use super::book::Book;
use super::known::Known;
use crate::simulation::drive::Last;
use crate::simulation::history::short;

/// Compares what is left with what the storage must know.
pub(super) fn compare(book: &Book, last: &Last, healed: bool, findings: &mut Findings) {
    let left: BTreeMap<_, _> = last
        .jobs
        .iter()
        .map(|details| (details.job.id, details))
        .collect();
    let mut counts = book.counts.clone();
    for (id, known) in &book.jobs {
        match left.get(id) {
            Some(details) => {
                if known.state == State::Pending && details.job.state == State::Expired {
                    *counts.entry(EndingKind::Expired).or_default() += 1;
                }
                compare_one(known, details, findings);
            }
            None => findings.expect(false, "R1", || format!("{} is gone", short(*id))),
        }
    }
    for (id, details) in &left {
        findings.expect(book.jobs.contains_key(id), "R1", || {
            format!("nobody stored {}", short(*id))
        });
        let state = details.job.state;
        findings.expect(!healed || state.is_finished(), "R4", || {
            format!("{} is still {state} at the end", short(*id))
        });
    }
    for kind in EndingKind::ALL {
        let (told, counted) = (last.tally.count(kind), counts.get(&kind).copied());
        findings.expect(told == counted.unwrap_or(0), "statistics", || {
            format!(
                "they say {told} {kind}, and there were {}",
                counted.unwrap_or(0)
            )
        });
    }
}

fn compare_one(known: &Known, details: &Details, findings: &mut Findings) {
    let job = &details.job;
    let name = short(job.id);
    let lapsed = known.state == State::Pending
        && job.state == State::Expired
        && job.ended_at.is_some_and(|ended| known.is_lapsed(ended));
    findings.expect(known.state == job.state || lapsed, "R5", || {
        format!("{name} is {}, and must be {}", job.state, known.state)
    });
    findings.expect(
        (known.token, known.charged) == (job.token, job.charged),
        "R8",
        || {
            format!(
                "{name} has token {} and {} charged attempts, and must have {} and {}",
                job.token, job.charged, known.token, known.charged
            )
        },
    );
    findings.expect(job.charged <= job.max_attempts, "R8", || {
        format!("{name} has had {} attempts", job.charged)
    });
    for (token, (kind, _)) in &known.endings {
        let attempt = details
            .attempts
            .iter()
            .find(|attempt| attempt.token == *token);
        let ending = attempt.and_then(|attempt| attempt.ending);
        findings.expect(ending == Some(*kind), "R24", || {
            format!("attempt {token} of {name} was acknowledged as {kind}, and is {ending:?}")
        });
    }
}
