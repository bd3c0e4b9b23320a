//! The SQLite storage of Majordomo: one file, any number of processes.
//!
//! ```no_run
//! # async fn example() -> majordomo_core::Result<()> {
//! use majordomo_sqlite::Sqlite;
//!
//! let storage = Sqlite::open("jobs.db").await?;
//! # Ok(()) }
//! ```
//!
//! How it works:
//! - one thread writes, and puts whatever is queued into one transaction
//!   (`writer.rs`); a few threads read (`readers.rs`). No runtime is needed;
//! - whatever a verb decides, it decides from rows read inside its `BEGIN
//!   IMMEDIATE` transaction, with the pure rules of `majordomo-core`. So several
//!   processes may share a file;
//! - the row of a job holds its latest attempt and all that is small (`row.rs`);
//!   histories, logs and outputs have tables of their own (`parts.rs`);
//! - time is the clock of the process that writes, read inside the transaction.
//!   Processes that share a file share a machine, and so its clock.

mod change;
mod claim;
mod codes;
mod complete;
mod controls;
mod documents;
mod error;
mod find;
mod holds;
mod insert;
mod oneshot;
mod open;
mod options;
mod parts;
#[cfg(test)]
mod plans;
mod readers;
mod renew;
mod rooms;
mod row;
pub mod schema;
mod series;
mod settle;
mod storage;
mod ticker;
mod tx;
mod writer;

pub use options::{Create, Migrate, Options, SqliteDurability};
pub use storage::Sqlite;
