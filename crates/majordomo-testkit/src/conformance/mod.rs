//! The conformance suite: what every storage must do, one sentence a trial.
//!
//! The trials lie in files named after the verb they try. Their list is in one
//! place, [`with_trials!`](crate::with_trials): to add a trial, write the
//! function and add its line. A trial gets an empty storage and asserts with
//! precise values, so that it can fail. Times are compared within a
//! [`Window`](crate::subject::Window), so that the suite runs on a server's
//! clock as well as on a manual one.

mod list;
mod steps;
mod trial;

mod changes;
mod claims;
mod conflicts;
mod controls;
mod documents;
mod fence;
mod finds;
mod gets;
mod holds;
mod inserts;
mod laws;
mod limits;
mod pages;
mod races;
mod removes;
mod renews;
mod series;
mod settles;
mod sweeps;
mod transitions;

pub use trial::{TRIALS, Trial, named};
pub(crate) use trial::{quiet_outcome, quietly, runtime};
