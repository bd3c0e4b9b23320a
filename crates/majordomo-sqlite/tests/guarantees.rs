//! The promises of the engine on a file of its own for each, with a manual clock.

mod common;

use common::subject;

majordomo_testkit::guarantees!(promises, subject);
