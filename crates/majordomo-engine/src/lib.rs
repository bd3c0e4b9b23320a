//! The engine: what turns a storage into a job system.
//!
//! Follow a job through its rooms: [`client`] enqueues it; [`worker`] claims
//! it (`worker/pump`), runs it (`worker/attempt`), keeps its lease alive
//! (`worker/heartbeat`) and writes its ending (`worker/pump` again); [`sweeper`]
//! recovers what a lost worker left behind. What an outcome *means* is decided
//! in `majordomo_core::ending`, not here.

pub mod client;
pub mod context;
mod live;
pub mod run;
pub mod shutdown;
pub mod spawner;
pub mod sweeper;
pub mod task_error;
pub mod worker;

pub use client::{Cancelled, Client, Enqueue, Handle, NotCompleted, Summary, Watch};
pub use context::{CancelReason, Context};
pub use run::{Run, RunBlocking};
pub use spawner::Spawner;
pub use sweeper::Swept;
pub use task_error::{Result, TaskError};
pub use worker::{Report, Running, Stepper, Worker};
