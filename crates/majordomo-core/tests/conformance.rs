//! The memory storage keeps the contract; and the suite that says so can fail:
//! it finds the fence missing where it was taken out.

use std::sync::Arc;

use majordomo_testkit::machine::{self, Seed};
use majordomo_testkit::sabotage::{FENCE, Unfenced};
use majordomo_testkit::{Subject, TRIALS};

async fn memory() -> Subject {
    Subject::memory()
}

majordomo_testkit::conformance!(trials, memory);
majordomo_testkit::state_machine!(the_memory_storage_agrees_with_the_model, memory);

async fn unfenced() -> Subject {
    memory()
        .await
        .wrapped(|storage| Arc::new(Unfenced::new(storage)))
}

#[test]
fn g106_the_trials_find_a_missing_fence() {
    let failed: Vec<&str> = TRIALS
        .iter()
        .filter(|trial| trial.outcome(unfenced).is_err())
        .map(|trial| trial.name)
        .collect();
    println!(
        "without a fence, {} of {} trials fail:\n{failed:#?}",
        failed.len(),
        TRIALS.len()
    );
    let blind: Vec<_> = FENCE.iter().filter(|name| !failed.contains(name)).collect();
    assert_eq!(
        blind,
        Vec::<&&str>::new(),
        "these trials do not see that the fence is missing"
    );
}

#[test]
fn g106_the_state_machine_finds_a_missing_fence() {
    let failure =
        machine::outcome(unfenced, Seed::Fixed(1)).expect_err("a missing fence is not seen");
    println!("{failure}");
    assert!(failure.contains("the shortest sequence found"), "{failure}");
}
