//! The checker: reads a history from its start to its end, and says which
//! promises were broken in it. The numbers are those of the promises that
//! [`guarantees!`](crate::guarantees) tries.
//!
//! It knows nothing of engine or storage. From each answer of the storage it
//! works out what the storage must know now (`book`), and holds the next answers
//! to that; it follows the tasks' code (`code`), the clients (`clients`), and the nodes
//! once all faults are over (`calm`); and at the end it compares all that with what is left (`end`).

mod book;
mod calm;
mod clients;
mod code;
mod end;
mod known;
#[cfg(test)]
mod tests;

use std::fmt;

use super::drive::Last;
use super::history::{Entry, Event};

use book::Book;
use calm::Calm;
use clients::Clients;
use code::Code;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub promise: &'static str,
    /// How.
    pub how: String,
}

impl Broken {
    pub(super) fn new(promise: &'static str, how: String) -> Self {
        Self { promise, how }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.how)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings {
    broken: Vec<Broken>,
    /// The entry that is being looked at.
    entry: String,
}

impl Findings {
    /// Notes that this promise is broken unless it is kept.
    fn expect(&mut self, kept: bool, promise: &'static str, how: impl FnOnce() -> String) {
        if !kept {
            let how = match self.entry.is_empty() {
                true => how(),
                false => format!("{}\n      at {}", how(), self.entry),
            };
            self.broken.push(Broken::new(promise, how));
        }
    }
}

/// Says which promises were broken in a history that ended with `last`.
#[must_use]
pub fn check(history: &[Entry], last: &Last) -> Vec<Broken> {
    let mut findings = Findings::default();
    let (mut book, mut code) = (Book::default(), Code::default());
    let (mut clients, mut calm) = (Clients::default(), Calm::default());
    for entry in history {
        findings.entry = entry.to_string();
        book.read(entry, &mut findings);
        code.read(entry, &book, &mut findings);
        clients.read(entry, &mut findings);
        calm.read(entry, &book, &code, &mut findings);
    }
    findings.entry.clear();
    let healed = history
        .iter()
        .any(|entry| matches!(entry.event, Event::Healed));
    clients.finish(last, &mut findings);
    end::compare(&book, last, healed, &mut findings);
    findings.broken
}
