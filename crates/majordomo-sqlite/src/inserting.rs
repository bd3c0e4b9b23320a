//! Inserts that queue up while a transaction is under way, done as one.
//!
//! The groups of an insert do not depend on each other, so it makes no
//! difference to them by how many calls they came.

use std::panic::{AssertUnwindSafe, catch_unwind};

use majordomo_core::{Error, Inserted, NewJob, Result};

use crate::error;
use crate::insert::insert;
use crate::oneshot::Answerer;
use crate::tx::Tx;
use crate::writer::Command;

const WHAT: &str = "cannot insert jobs";

type Answers = Vec<Result<Vec<Inserted>>>;

/// One call with new jobs; groups that were refused before have their answer.
pub(crate) struct Inserting {
    pub(crate) groups: Vec<Result<Vec<NewJob>>>,
    pub(crate) answerer: Answerer<Answers>,
}

/// Calls that have come side by side.
#[derive(Default)]
pub(crate) struct Inserts(pub(crate) Vec<Inserting>);

impl Inserts {
    /// What has come so far, if anything has, as one command.
    pub(crate) fn take(&mut self) -> Option<Box<dyn Command>> {
        let calls = std::mem::take(&mut self.0);
        let done = None;
        (!calls.is_empty()).then(|| Box::new(Joined { calls, done }) as Box<dyn Command>)
    }
}

struct Joined {
    calls: Vec<Inserting>,
    done: Option<Done>,
}

struct Done {
    outcome: Result<Answers>,
    /// How many groups each call has brought.
    shares: Vec<usize>,
}

impl Command for Joined {
    fn is_moot(&self) -> bool {
        false
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let mut shares = Vec::with_capacity(self.calls.len());
        let mut groups = Vec::new();
        for call in &mut self.calls {
            shares.push(call.groups.len());
            groups.append(&mut call.groups);
        }
        let outcome = match catch_unwind(AssertUnwindSafe(|| insert(tx, groups))) {
            Ok(done) => done.map_err(|fault| fault.into_error(WHAT)),
            Err(panic) => Err(error::panicked(WHAT, panic.as_ref())),
        };
        let told = outcome.as_ref().map(|_| ()).map_err(Error::duplicate);
        self.done = Some(Done { outcome, shares });
        told
    }

    fn answer(self: Box<Self>, error: Option<&Error>) {
        let (answers, shares) = match (self.done, error) {
            // Its own error says more than that of the transaction it shared.
            (
                Some(Done {
                    outcome: Err(own), ..
                }),
                _,
            ) => return refuse(self.calls, &own),
            (_, Some(error)) => return refuse(self.calls, error),
            (
                Some(Done {
                    outcome: Ok(answers),
                    shares,
                }),
                None,
            ) => (answers, shares),
            (None, None) => return refuse(self.calls, &error::gone()),
        };
        let mut answers = answers.into_iter();
        for (call, share) in self.calls.into_iter().zip(shares) {
            call.answerer
                .answer(Ok(answers.by_ref().take(share).collect()));
        }
    }
}

fn refuse(calls: Vec<Inserting>, error: &Error) {
    for call in calls {
        tell(call.answerer, Err(error.duplicate()));
    }
}

/// Answering runs wakers, which are not ours and may panic; the next caller
/// must have its answer all the same.
fn tell(answerer: Answerer<Answers>, answer: Result<Answers>) {
    let _ = catch_unwind(AssertUnwindSafe(|| answerer.answer(answer)));
}
