//! The state of the model: what the storage keeps, what each worker believes,
//! what is still under way between them, and notes of what must never happen.
//!
//! Times are kept as what is left of them, so the clock itself needs no bound.

use majordomo_core::{EndingKind, State};

/// How many ticks a lease lasts.
pub(crate) const LEASE: u8 = 1;
/// How many ticks a retry waits.
pub(crate) const BACKOFF: u8 = 1;
/// How many attempts may be charged to a job.
pub(crate) const MAX_ATTEMPTS: u8 = 3;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) jobs: Vec<Kept>,
    /// What each worker runs, as far as it knows.
    pub(crate) workers: Vec<Vec<Held>>,
    /// What the sweeper saw when it last looked. It may have changed since.
    pub(crate) look: Option<About>,
    /// Calls that nobody waits for any more and that may still arrive, or may not.
    pub(crate) late: Vec<Call>,
    pub(crate) left: Left,
    pub(crate) seen: Seen,
}

/// What the storage keeps of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kept {
    pub(crate) state: State,
    pub(crate) token: u8,
    pub(crate) charged: u8,
    pub(crate) crashes: u8,
    /// In how many ticks it is due.
    pub(crate) due_in: u8,
    /// The worker it runs on, and for how many more ticks.
    pub(crate) lease: Option<(u8, u8)>,
    pub(crate) cancel_requested: bool,
    pub(crate) poison: bool,
    /// One for each token.
    pub(crate) claims: Vec<Claim>,
    /// Whether it has ended, and no operator has asked for it again.
    pub(crate) over: bool,
}

/// One claim, and every ending that was accepted for it: one at most, if all is well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) worker: u8,
    pub(crate) endings: Vec<Accepted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Accepted {
    pub(crate) kind: EndingKind,
    pub(crate) swept: bool,
}

/// An attempt as its holder knows it: the job as it was when it was claimed or seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct About {
    pub(crate) job: u8,
    pub(crate) token: u8,
    pub(crate) worker: u8,
    pub(crate) charged: u8,
    pub(crate) crashes: u8,
}

/// An attempt in the hands of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) about: About,
    /// How it ended, if it has and the storage was told so without an answer.
    pub(crate) ended: Option<End>,
}

/// How an attempt ends, before any rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum End {
    Completed,
    Failed,
    /// Given back, as a shutdown does.
    Released,
    /// Stopped by its own wish, or because it was asked to.
    Cancelled,
    /// Said by the sweeper of an attempt that it blames.
    Lost,
    /// Said by the sweeper of an attempt whose neighbour it blames.
    Spared,
}

impl End {
    /// Whether this is the sweeper's word.
    pub(crate) fn is_swept(self) -> bool {
        matches!(self, Self::Lost | Self::Spared)
    }
}

/// A call about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    Renew(About),
    Settle(About, End),
}

/// What may still happen, so that the world stays finite.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) faults: u8,
    pub(crate) cancels: u8,
    pub(crate) retries: u8,
}

/// What was seen to happen and must not: judged from what a write did, whatever
/// the guard said to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// A write for an attempt that was over, or for an earlier one, changed the job.
    pub(crate) stale_write: bool,
    /// The sweeper ended an attempt whose lease had time left.
    pub(crate) live_swept: bool,
    /// A state changed in a way that the table does not have.
    pub(crate) illegal: bool,
    /// Someone was told that an ending is written, and the history says otherwise.
    pub(crate) false_answer: bool,
}

impl World {
    pub(crate) fn new(jobs: usize, workers: usize, left: Left) -> Self {
        let job = Kept {
            state: State::Pending,
            token: 0,
            charged: 0,
            crashes: 0,
            due_in: 0,
            lease: None,
            cancel_requested: false,
            poison: false,
            claims: Vec::new(),
            over: false,
        };
        Self {
            jobs: vec![job; jobs],
            workers: vec![Vec::new(); workers],
            look: None,
            late: Vec::new(),
            left,
            seen: Seen::default(),
        }
    }
}
