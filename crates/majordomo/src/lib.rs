//! Durable background jobs for any tokio program: typed tasks, retries,
//! delays, expiry, progress, cancellation and unique keys, on a storage that is
//! embedded (SQLite, the default) or in memory.
//!
//! Start with the [`prelude`] and the README. What a storage must do is in
//! [`core::storage`]; what happens to a job, in [`core::ending`].
//!
//! Features: `sqlite` (default) brings the SQLite storage; `capture` (default)
//! brings the layer that keeps what jobs log with the jobs.

pub use majordomo_core as core;
pub use majordomo_core::{
    Backoff, Between, Change, Changed, Control, Cursor, Details, Direction, Edit, Error, ErrorKind,
    Filter, Hold, Job, JobId, Memory, NewJob, OnConflict, Order, OrderBy, Page, Pause, Progress,
    Scope, State, Storage, Tags, Task, TaskSpec, Timestamp, Until, When,
};
#[cfg(feature = "capture")]
pub use majordomo_engine::capture;
pub use majordomo_engine::{
    CancelReason, Cancelled, Client, Context, Controlled, Count, Enqueue, Explanation, Gate,
    Handle, Keep, NotCompleted, ProgressIter, ProgressStream, Pruned, Queue, QueueStatus, Reason,
    Report, Result, Retention, Run, RunBlocking, Running, Spawner, Stepper, Summary, TaskError,
    TaskRecord, TaskStatus, Watch, Worker, WorkerRecord, pruner, shutdown,
};
pub use majordomo_macros::Task;
#[cfg(feature = "sqlite")]
pub use majordomo_sqlite as sqlite;
#[cfg(feature = "sqlite")]
pub use majordomo_sqlite::{Sqlite, SqliteDurability};

pub mod url;

#[doc(hidden)]
pub mod __private;

/// What most programs need: `use majordomo::prelude::*;`
///
/// It also names `Serialize` and `Deserialize`, whose derives need `serde`
/// itself among a program's dependencies.
pub mod prelude {
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};

    #[cfg(feature = "sqlite")]
    pub use crate::Sqlite;
    pub use crate::{
        Backoff, Client, Context, Handle, Memory, Result, Run, RunBlocking, Task, TaskError, Worker,
    };

    /// One second.
    pub const SECOND: Duration = Duration::from_secs(1);
    /// Sixty seconds.
    pub const MINUTE: Duration = Duration::from_secs(60);
    /// Sixty minutes.
    pub const HOUR: Duration = Duration::from_secs(60 * 60);
    /// Twenty-four hours.
    pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}

/// The README, whose code is compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
