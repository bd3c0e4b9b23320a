//! A reference model of a storage: the same contract, written a second time in
//! the simplest way there is. Jobs are a list that is searched from the front;
//! nothing is indexed, batched or shared, and no rule of core is called.
//!
//! Time is a number of microseconds since the model began. Jobs are known by
//! small numbers, so that a failing sequence is short to read.

mod operate;
mod rules;
mod step;

use majordomo_core::{DeadReason, EndingKind, JobId, OnConflict, State};

pub use rules::{ClaimReply, Reply};
pub use step::{
    ChangeStep, ClaimStep, EndingStep, HoldStep, JobStep, Length, Step, Target, Wait, Want,
};

/// Everything that a storage keeps, as plain values.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The time.
    pub now: i64,
    /// The jobs, by number.
    pub jobs: Vec<ModelJob>,
    /// Who holds which key.
    pub held: Vec<Held>,
    /// The pauses and limits that are set.
    pub controls: Vec<ModelControl>,
    /// Every lease that was ever given: the job's number and the token.
    pub leases: Vec<(u8, u64)>,
    /// Every ending that was ever counted.
    pub counted: Vec<Counted>,
}

/// A job as the model keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelJob {
    /// Stands for the id.
    pub number: u8,
    /// See [`majordomo_core::Job::task`].
    pub task: u8,
    /// See [`majordomo_core::Job::queue`].
    pub queue: u8,
    /// See [`majordomo_core::Job::limit_key`].
    pub limit_key: Option<u8>,
    /// See [`majordomo_core::Job::priority`].
    pub priority: i16,
    /// See [`majordomo_core::Job::due`].
    pub due: i64,
    /// See [`majordomo_core::Job::expires`].
    pub expires: Option<i64>,
    /// See [`majordomo_core::Job::retention`].
    pub retention: Option<i64>,
    /// The keys it takes, and how long.
    pub holds: Vec<(u8, Length)>,
    /// See [`majordomo_core::Job::state`].
    pub state: State,
    /// See [`majordomo_core::Job::token`].
    pub token: u64,
    /// See [`majordomo_core::Job::charged`].
    pub charged: u32,
    /// See [`majordomo_core::Job::crashes`].
    pub crashes: u32,
    /// See [`majordomo_core::Job::revision`].
    pub revision: u64,
    /// See [`majordomo_core::Job::created_at`].
    pub created_at: i64,
    /// See [`majordomo_core::Job::changed_at`].
    pub changed_at: i64,
    /// See [`majordomo_core::Job::started_at`].
    pub started_at: Option<i64>,
    /// See [`majordomo_core::Job::ended_at`].
    pub ended_at: Option<i64>,
    /// When its lease runs out, while it runs.
    pub lease_ends: Option<i64>,
    /// See [`majordomo_core::Job::cancel_requested`].
    pub cancel_requested: bool,
    /// See [`majordomo_core::Job::dead_reason`].
    pub dead_reason: Option<DeadReason>,
    /// Its attempts, oldest first.
    pub attempts: Vec<ModelAttempt>,
}

/// An attempt as the model keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelAttempt {
    /// See [`majordomo_core::Attempt::token`].
    pub token: u64,
    /// See [`majordomo_core::Attempt::ending`].
    pub ending: Option<EndingKind>,
    /// Whether a sweeper ended it.
    pub swept: bool,
}

/// A key that is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// The key.
    pub key: u8,
    /// The holder.
    pub by: u8,
    /// What ends it.
    pub length: Length,
    /// When it was taken.
    pub since: i64,
}

/// A control that is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelControl {
    /// What it is about.
    pub about: Target,
    /// Whether nothing may start.
    pub paused: bool,
    /// How many may run.
    pub most: Option<u32>,
}

/// An ending that was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// When.
    pub at: i64,
    /// Of which task.
    pub task: u8,
    /// In which queue.
    pub queue: u8,
    /// How it ended.
    pub kind: EndingKind,
    /// How long its attempt ran and was waited for, if there was one.
    pub took: Option<(i64, i64)>,
}

/// The id that a number stands for. Greater numbers have greater ids.
#[must_use]
pub fn id_of(number: u8) -> JobId {
    let text = format!("00000000-0000-7000-8000-0000000000{number:02x}");
    text.parse().expect("it is a UUID")
}

/// The name that a number of a key stands for.
#[must_use]
pub fn key_of(key: u8) -> String {
    format!("key-{key}")
}

/// How conflicts are written in a [`HoldStep`].
pub(crate) const CONFLICTS: [OnConflict; 3] =
    [OnConflict::Keep, OnConflict::Replace, OnConflict::Postpone];
