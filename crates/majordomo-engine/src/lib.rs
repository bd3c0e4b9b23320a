//! The engine: what turns a storage into a job system.
//!
//! Follow a job through its rooms: [`client`] enqueues it; [`worker`] claims
//! it (`worker/pump`), runs it (`worker/attempt`), keeps its lease alive
//! (`worker/heartbeat`) and writes its ending (`worker/pump` again); [`sweeper`]
//! recovers what a lost worker left behind. [`explain`] says why a job does not run. What an outcome *means* is decided
//! in `majordomo_core::ending`, not here.

pub mod client;
pub mod context;
pub mod explain;
mod live;
pub mod run;
pub mod shutdown;
pub mod sweeper;
pub mod task_error;
pub mod worker;

pub use client::{
    Cancelled, Client, Controlled, Count, Enqueue, Handle, NotCompleted, QueueStatus, Summary,
    TaskRecord, TaskStatus, Watch, WorkerRecord,
};
pub use context::{CancelReason, Context};
pub use explain::{Explanation, Reason};
pub use run::{Run, RunBlocking};
pub use sweeper::Swept;
pub use task_error::{Result, TaskError};
pub use worker::{Report, Running, Stepper, Worker};
