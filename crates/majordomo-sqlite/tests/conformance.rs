//! The conformance suite on a file of its own for each trial, with a manual clock.

mod common;

use common::subject;

majordomo_testkit::conformance!(sqlite, subject);
majordomo_testkit::state_machine!(sqlite_agrees_with_the_model, subject);
