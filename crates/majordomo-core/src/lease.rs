//! The right to run one attempt of a job, and the fence that guards it (law 1).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::job::Job;
use crate::state::State;

/// What a claim gives a worker: the right to run this attempt and to write
/// about it, for a limited time.
///
/// The token is the fence. It grows by one at every claim of the job and never
/// goes back, through retries, snoozes and operators' doings. Neither the
/// worker's name, nor the state, nor the attempt's number would do: a worker
/// can lose a job and claim it again, and each of the three is then as before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The number of this claim, from 1.
    pub token: u64,
    /// Who claimed it.
    pub worker: String,
    /// When the lease runs out unless it is renewed, by the storage's clock.
    pub expires: Timestamp,
}

impl Lease {
    /// The fence: whether this lease is the one that the job is running under.
    /// Every write about an attempt passes here, on every storage.
    #[must_use]
    pub fn is_current(&self, job: &Job) -> bool {
        job.state == State::Running && job.token == self.token
    }
}
