//! The test kit of Majordomo: what a storage must do, as tests that run on any
//! of them, and the wrappers that make a storage misbehave.
//!
//! - [`subject`]: a storage under test, with its time in the test's hand;
//! - [`conformance!`] runs every [`conformance::Trial`] on a storage;
//! - [`state_machine!`] compares a storage with a [`model`] over random sequences;
//! - [`sabotage`] takes the fence out of a storage, to show that the suite sees it;
//! - [`faulty`] makes calls fail before or after they are carried out;
//! - [`guarantees!`] tries what an engine promises on a storage;
//! - [`simulation!`] runs nodes over a storage, and a seed decides what befalls them;
//! - [`kit`] is for tests of tasks: a client whose clock the test holds.

pub mod conformance;
pub mod faulty;
pub mod guarantees;
pub mod kit;
pub mod machine;
pub mod model;
pub mod sabotage;
pub mod samples;
pub mod simulation;
pub mod subject;

pub use conformance::{TRIALS, Trial};
pub use faulty::Faulty;
pub use kit::Kit;
pub use simulation::Simulation;
pub use subject::Subject;

#[doc(hidden)]
pub use majordomo_core;
