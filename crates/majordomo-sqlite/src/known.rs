//! What the writing thread remembers of the jobs it has claimed, so that the end
//! of an attempt need not read its job again.
//!
//! As long as no other connection has committed since, and everything that this
//! one writes about a job makes it forget that job, what is remembered is what
//! the file says. Once another has committed, it is no more than a hint: the
//! statement that uses it then asks the file again.

use std::collections::HashMap;
use std::sync::Arc;

use majordomo_core::{JobId, Timestamp};

/// How many jobs are remembered; beyond that, all are forgotten, and their
/// endings take the long way.
const MOST: usize = 50_000;

/// What jobs that were claimed together have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Together {
    pub(crate) worker: String,
    pub(crate) queue: String,
    pub(crate) task: String,
    pub(crate) started_at: Timestamp,
}

/// A running job on which nothing hangs that its completion would have to look at.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) rowid: i64,
    pub(crate) token: u64,
    pub(crate) revision: u64,
    pub(crate) due: Timestamp,
    pub(crate) together: Arc<Together>,
}

/// The jobs that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Known {
    jobs: HashMap<JobId, (u64, Facts)>,
    /// How often another has committed, as far as it was noticed.
    doubts: u64,
}

/// How far what is remembered can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is what the file says.
    Sure,
    /// Ask the file.
    Hint,
}

impl Known {
    pub(crate) fn learn(&mut self, id: JobId, facts: Facts) {
        if self.jobs.len() >= MOST {
            self.jobs.clear();
        }
        self.jobs.insert(id, (self.doubts, facts));
    }

    pub(crate) fn recall(&self, id: JobId) -> Option<(Trust, &Facts)> {
        let (doubts, facts) = self.jobs.get(&id)?;
        let trust = if *doubts == self.doubts {
            Trust::Sure
        } else {
            Trust::Hint
        };
        Some((trust, facts))
    }

    /// The job is written to.
    pub(crate) fn forget(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    /// Another connection has committed.
    pub(crate) fn doubt(&mut self) {
        self.doubts += 1;
    }

    /// Something was rolled back.
    pub(crate) fn forget_all(&mut self) {
        self.jobs.clear();
    }
}
