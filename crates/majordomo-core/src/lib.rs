//! The ground floor of Majordomo: words and pure rules, the storage contract
//! above them, and the memory storage that stands on both.
//!
//! Nothing here knows a runtime, a database or HTTP, and only [`clock`] reads
//! the system's clock. Read it in this order:
//!
//! 1. [`job`] and [`state`]: what is stored, and the only legal transitions;
//! 2. [`ending`] and [`backoff`]: what an outcome means, decided purely;
//! 3. [`storage`]: the contract with its laws;
//! 4. [`memory`]: the contract kept by a few maps under one lock.

pub mod backoff;
pub mod change;
pub mod clock;
pub mod control;
pub mod document;
pub mod ending;
pub mod error;
pub mod filter;
pub mod hold;
pub mod id;
pub mod job;
pub mod lease;
pub mod limits;
pub mod memory;
pub mod payload;
pub mod progress;
pub mod series;
pub mod state;
pub mod storage;
pub mod tags;
pub mod task;
pub mod time;
pub mod wake;

pub use backoff::Backoff;
pub use change::{Change, Changed, Edit, Refusal};
pub use clock::{Clock, ManualClock, SystemClock};
pub use control::{Control, Pause, Scope};
pub use document::{Document, If, Put};
pub use ending::{DeadReason, Ending, EndingKind, Outcome, Proof, Verdict};
pub use error::{Class, Error, ErrorKind, Result};
pub use filter::{Between, Cursor, Direction, Filter, Order, OrderBy, Page};
pub use hold::{Hold, OnConflict, Until};
pub use id::JobId;
pub use job::{Attempt, Details, Failure, FailureKind, Job, LogLine, NewJob, Occurrence, Trace};
pub use lease::Lease;
pub use memory::Memory;
pub use payload::{Codec, Payload};
pub use progress::{Progress, Step};
pub use series::{Bucket, By, Query, Tally, Width};
pub use state::State;
pub use storage::{Beat, Claim, Claimed, Durability, Inserted, Renewed, Repeat, Settled, Storage};
pub use tags::Tags;
pub use task::{Task, TaskSpec};
pub use time::When;
pub use wake::{Signal, Wake, Wakes};

pub use jiff::Timestamp;
