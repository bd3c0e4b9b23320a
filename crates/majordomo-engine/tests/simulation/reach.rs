//! What the seeds reach: a simulation in which nothing goes wrong proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use majordomo_core::{
    Change, Changed, DeadReason, EndingKind, Inserted, JobId, Memory, Proof, Renewed, Settled,
    State, Verdict,
};
use majordomo_testkit::Simulation;
use majordomo_testkit::simulation::{Answer, Entry, Event, SEEDS};

/// What must happen somewhere, besides the endings of each kind.
const MEANT: &[&str] = &[
    "a lease is lost and swept",
    "a stale ending is refused",
    "an ending is repeated after a lost reply",
    "a worker hears that a lease is lost",
    "a worker hears of a cancel",
    "an insert is repeated after a lost reply",
    "a key is held by another job",
    "a client hears nothing certain",
    "a pending job is cancelled",
    "a finished job is run again",
    "a job expires before it starts",
    "a job that kills its processes is poison",
    "a job has had all its attempts",
    "a node is killed",
    "a node stops among others",
    "a node is cut off",
    "the storage's clock jumps",
    "two attempts of one job run at once on two nodes",
    "code that does not listen is dropped",
    "a slot goes to a job that was claimed ahead",
    "a claimed job is given back before it begins",
    "a claimed job expires before it begins",
];

#[test]
fn the_seeds_reach_what_they_are_meant_to_reach() {
    let simulation = Simulation::of(Memory::with_clock);
    let endings = EndingKind::ALL.iter().map(|kind| kind.as_str());
    let mut missing: BTreeSet<&str> = endings.chain(MEANT.iter().copied()).collect();
    for seed in 0..SEEDS {
        for seen in seen(&simulation.run(seed).history) {
            missing.remove(seen);
        }
        if missing.is_empty() {
            println!("all of it is reached by seed {seed}");
            return;
        }
    }
    panic!("no seed reaches these: {missing:#?}");
}

fn seen(history: &[Entry]) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let mut ended: BTreeSet<(JobId, u64)> = BTreeSet::new();
    let mut inside: BTreeSet<(JobId, u64)> = BTreeSet::new();
    let mut begun: BTreeSet<(JobId, u64)> = BTreeSet::new();
    // The nodes that had just left a job's code when they were last heard of.
    let mut left: BTreeMap<&str, Duration> = BTreeMap::new();
    for entry in history {
        let just_left = left.remove(entry.who.as_str()) == Some(entry.passed);
        let what = match &entry.event {
            Event::Ended {
                job,
                token,
                proof,
                verdict,
                answer: Settled::Applied(_),
            } => {
                seen.insert(verdict.kind().as_str());
                if *proof == Proof::Lease && !begun.contains(&(*job, *token)) {
                    seen.insert(match verdict {
                        Verdict::Release => "a claimed job is given back before it begins",
                        Verdict::Expired => "a claimed job expires before it begins",
                        other => other.kind().as_str(),
                    });
                }
                match verdict {
                    _ if !ended.insert((*job, *token)) => {
                        "an ending is repeated after a lost reply"
                    }
                    Verdict::Dead {
                        reason: DeadReason::Poison,
                    } => "a job that kills its processes is poison",
                    Verdict::Dead {
                        reason: DeadReason::Exhausted,
                    } => "a job has had all its attempts",
                    _ if *proof == Proof::Expired => "a lease is lost and swept",
                    _ => continue,
                }
            }
            Event::Ended { .. } => "a stale ending is refused",
            Event::Renewed { answer, .. } => match answer {
                Renewed::Lost => "a worker hears that a lease is lost",
                Renewed::CancelAsked => "a worker hears of a cancel",
                Renewed::Kept => continue,
            },
            Event::Inserted(job, Inserted::Existing(existing)) => {
                if job.id == *existing {
                    "an insert is repeated after a lost reply"
                } else {
                    "a key is held by another job"
                }
            }
            Event::Heard(_, Answer::Failed(majordomo_core::ErrorKind::Unknown)) => {
                "a client hears nothing certain"
            }
            Event::Changed(_, change, Changed::Done(state)) => match (change, state) {
                (Change::Cancel, State::Cancelled) => "a pending job is cancelled",
                (Change::Retry { .. }, _) => "a finished job is run again",
                (Change::Expire, _) => "a job expires before it starts",
                _ => continue,
            },
            Event::Began(job, token) => {
                begun.insert((*job, *token));
                if just_left {
                    seen.insert("a slot goes to a job that was claimed ahead");
                }
                let both = inside.iter().any(|(other, _)| other == job);
                inside.insert((*job, *token));
                if !both {
                    continue;
                }
                "two attempts of one job run at once on two nodes"
            }
            Event::Left(job, token, how) => {
                inside.remove(&(*job, *token));
                left.insert(&entry.who, entry.passed);
                if *how != "drops" {
                    continue;
                }
                "code that does not listen is dropped"
            }
            Event::Killed => {
                // What it ran is gone; which that was does not matter here.
                inside.clear();
                "a node is killed"
            }
            Event::Stopped => "a node stops among others",
            Event::CutOff => "a node is cut off",
            Event::Jumped(_) => "the storage's clock jumps",
            Event::Healed => break,
            _ => continue,
        };
        seen.insert(what);
    }
    seen
}
