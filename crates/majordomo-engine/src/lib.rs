//! The engine: what turns a storage into a job system.
//!
//! Follow a job through its rooms: [`client`] enqueues it; [`worker`] claims
//! it (`worker/pump`), runs it (`worker/attempt`), keeps its lease alive
//! (`worker/heartbeat`) and writes its ending (`worker/pump` again); [`sweeper`]
//! recovers what a lost worker left behind; [`pruner`] removes it in the end.
//! What an outcome *means* is decided in `majordomo_core::ending`, not here.
//! [`explain`] says why a job does not run.

#[cfg(feature = "capture")]
pub mod capture;
pub mod client;
pub mod context;
pub mod explain;
mod live;
pub mod progress;
pub mod pruner;
pub mod retention;
pub mod run;
pub mod shutdown;
mod span;
pub mod spawner;
pub mod sweeper;
pub mod task_error;
pub mod worker;

pub use client::{
    Cancelled, Client, Controlled, Count, Enqueue, Handle, NotCompleted, QueueStatus, Summary,
    TaskRecord, TaskStatus, Watch, WorkerRecord,
};
pub use context::{CancelReason, Context};
pub use explain::{Explanation, Reason};
pub use progress::{ProgressIter, ProgressStream};
pub use pruner::Pruned;
pub use retention::{Keep, Retention};
pub use run::{Run, RunBlocking};
pub use spawner::Spawner;
pub use sweeper::Swept;
pub use task_error::{Result, TaskError};
pub use worker::{Gate, Queue, Report, Running, Stepper, Worker};
