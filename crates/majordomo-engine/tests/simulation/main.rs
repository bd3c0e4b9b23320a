//! The engine in simulated trouble: several nodes over the memory storage. And
//! what finds nothing here can find something: two storages with a deliberate
//! flaw are seen within the same seeds.

mod reach;

use std::sync::Arc;

use majordomo_core::Memory;
use majordomo_testkit::Simulation;
use majordomo_testkit::sabotage::{Hasty, Unfenced};
use majordomo_testkit::simulation::{Outcome, SEEDS};

majordomo_testkit::simulation!(
    every_promise_is_kept_whatever_befalls_the_nodes,
    Memory::with_clock
);

#[test]
fn the_same_seed_gives_the_same_history() {
    let simulation = Simulation::of(Memory::with_clock);
    for seed in 0..5 {
        let first = simulation.run(seed);
        assert!(first.history.len() > 100, "{}", first.trace());
        let other = simulation.clone();
        let second = std::thread::spawn(move || other.run(seed));
        let second = second.join().expect("a simulation runs");
        assert_eq!(first.trace(), second.trace(), "seed {seed}");
        assert_eq!(first.history, second.history);
    }
    assert_ne!(simulation.run(1).trace(), simulation.run(2).trace());
}

/// Some seed sees the flaw in these words, and sees all of it again when it is
/// replayed.
fn is_found(simulation: &Simulation, words: &str) {
    let in_words = |outcome: &Outcome| {
        let mut broken = outcome.broken.iter();
        broken.any(|broken| broken.to_string().contains(words))
    };
    let found = (0..SEEDS)
        .map(|seed| simulation.run(seed))
        .find(in_words)
        .expect("no seed sees the flaw");
    println!("seed {} of {SEEDS}:\n{}", found.seed, found.report());
    let again = simulation.run(found.seed);
    assert_eq!(found.trace(), again.trace());
    assert_eq!(found.broken, again.broken);
}

#[test]
fn a_storage_without_a_fence_is_found() {
    let unfenced = |clock| Unfenced::new(Arc::new(Memory::with_clock(clock)));
    let simulation = Simulation::of(unfenced);
    is_found(&simulation, "a stale renewal");
    is_found(&simulation, "a stale ending");
}

#[test]
fn a_storage_that_acknowledges_before_it_writes_is_found() {
    let hasty = Simulation::of(Memory::with_clock).linked(Hasty::new);
    is_found(&hasty, "R1: ");
    is_found(&hasty, "R24: ");
}
