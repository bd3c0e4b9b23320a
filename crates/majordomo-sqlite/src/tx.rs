//! A write transaction as a command sees it: the connection, the instant, and
//! what is to be told once the commit is through.

use std::collections::HashSet;

use majordomo_core::{JobId, Tally, Timestamp, Wake, Width};
use rusqlite::Connection;

use crate::known::Known;
use crate::series::Tallies;

/// One command's share of a transaction.
pub(crate) struct Tx<'a> {
    pub(crate) db: &'a Connection,
    /// The storage's time, read inside the transaction.
    pub(crate) now: Timestamp,
    /// What ended, to be written once for the whole batch.
    pub(crate) tallies: Tallies,
    /// Whom to wake after the commit.
    pub(crate) wake: Wake,
    pub(crate) passed_over: &'a mut PassedOver,
    /// What is remembered of running jobs.
    pub(crate) known: &'a mut Known,
}

impl Tx<'_> {
    /// Counts an ending. `task` and `queue` are those it ended under.
    pub(crate) fn tally(&mut self, task: &str, queue: &str, tally: &Tally) {
        self.tallies
            .add(Width::Minute.start_of(self.now), task, queue, tally);
    }

    pub(crate) fn wake(&mut self, wake: Wake) {
        self.wake.work |= wake.work;
        self.wake.news |= wake.news;
    }
}

/// Unreadable jobs that were left alone, so that each is reported once only.
#[derive(Debug, Default)]
pub(crate) struct PassedOver(HashSet<Vec<u8>>);

impl PassedOver {
    const MOST: usize = 1000;

    pub(crate) fn report(&mut self, id: JobId, why: &impl std::fmt::Debug) {
        if self.0.len() < Self::MOST && self.0.insert(id.as_bytes().to_vec()) {
            tracing::error!(job = %id, reason = ?why, "a job can't be read and is left alone");
        }
    }
}
