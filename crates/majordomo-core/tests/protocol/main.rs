//! The protocol of claim, renew, settle and sweep, in every order in which a
//! few of these can happen, with answers lost, calls that arrive late or twice,
//! workers that stand still or vanish, and an operator who interferes.
//!
//! The rules are those of the crate; the model only moves them. With the fence
//! every property holds in every reachable state. With one of the tempting
//! guards in its place the checker must find what goes wrong: a model that
//! can't see that would show nothing.

mod moves;
mod properties;
mod storage;
mod world;

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, Model, Path};

use moves::{Move, Protocol};
use properties::{LIVE_LEASE, ONE_ENDING};
use storage::{Guard, Storage};
use world::{Left, World};

/// How much takes part and may happen in one model. All of it at once would be
/// too much to go through while a person waits.
#[derive(Clone, Copy, Debug)]
struct Scene {
    jobs: usize,
    workers: usize,
    claims: u8,
    faults: u8,
    cancels: u8,
    retries: u8,
    /// Fewer states than this mean that the model has lost some of its moves.
    least_states: usize,
}

impl Scene {
    fn model(self, guard: Guard) -> Protocol {
        Protocol {
            storage: Storage::new(guard),
            jobs: self.jobs,
            workers: self.workers,
            claims: self.claims,
            left: Left {
                faults: self.faults,
                cancels: self.cancels,
                retries: self.retries,
            },
        }
    }
}

const ONE_JOB: Scene = Scene {
    jobs: 1,
    workers: 2,
    claims: 2,
    faults: 1,
    cancels: 1,
    retries: 1,
    least_states: 20_000,
};

const SCENES: [Scene; 6] = [
    ONE_JOB,
    Scene {
        faults: 2,
        cancels: 0,
        retries: 0,
        least_states: 25_000,
        ..ONE_JOB
    },
    Scene {
        claims: 3,
        faults: 0,
        least_states: 20_000,
        ..ONE_JOB
    },
    Scene {
        workers: 3,
        claims: 3,
        faults: 0,
        cancels: 0,
        retries: 0,
        least_states: 3_500,
        ..ONE_JOB
    },
    // One claim more than a job has attempts.
    Scene {
        workers: 1,
        claims: 4,
        faults: 0,
        cancels: 0,
        retries: 0,
        least_states: 1_000,
        ..ONE_JOB
    },
    Scene {
        jobs: 2,
        claims: 1,
        cancels: 0,
        retries: 0,
        least_states: 5_000,
        ..ONE_JOB
    },
];

#[test]
fn with_the_fence_every_order_of_events_keeps_every_property() {
    let mut possible = BTreeSet::new();
    for scene in SCENES {
        let checker = scene.model(Guard::Token).checker().threads(2);
        let checker = checker.spawn_bfs().join();
        let states = checker.unique_state_count();
        println!("{scene:?}: {states} states, all of them seen");
        for property in checker.model().properties() {
            match property.expectation {
                Expectation::Sometimes => {
                    possible.extend(checker.discovery(property.name).map(|_| property.name));
                }
                _ => checker.assert_no_discovery(property.name),
            }
        }
        assert!(
            states >= scene.least_states,
            "{scene:?} has only {states} states"
        );
    }
    for property in ONE_JOB.model(Guard::Token).properties() {
        let is_possible = possible.contains(property.name);
        assert!(
            is_possible || property.expectation != Expectation::Sometimes,
            "it never happens that {}",
            property.name
        );
    }
}

/// The shortest way in which this guard breaks `property`.
fn counterexample(guard: Guard, property: &'static str) -> Path<World, Move> {
    // No operator is needed for it to go wrong.
    let scene = Scene {
        cancels: 0,
        retries: 0,
        ..ONE_JOB
    };
    let found = (1..20).find_map(|depth| {
        let checker = scene.model(guard).checker().target_max_depth(depth);
        checker.threads(1).spawn_bfs().join().discovery(property)
    });
    let path = found.unwrap_or_else(|| panic!("under {guard:?} it holds that {property}"));
    println!("under {guard:?} it does not hold that {property}: {path}");
    path
}

#[test]
fn a_guard_by_state_accepts_two_endings_of_one_claim() {
    counterexample(Guard::State, ONE_ENDING);
}

#[test]
fn a_guard_by_worker_accepts_two_endings_of_one_claim() {
    counterexample(Guard::Worker, ONE_ENDING);
}

#[test]
fn a_guard_by_attempt_number_accepts_two_endings_of_one_claim() {
    counterexample(Guard::AttemptNumber, ONE_ENDING);
}

#[test]
fn a_sweeper_that_trusts_its_own_look_ends_a_renewed_lease() {
    counterexample(Guard::OldLook, LIVE_LEASE);
}
