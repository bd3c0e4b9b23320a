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
//! - the row of a job holds all that is small (`row.rs`); it is written when the
//!   job comes and when an attempt has ended. That it waits or runs, and under
//!   which lease, is said by narrow rows elsewhere (`waiting.rs`, `claim.rs`);
//!   histories, logs and outputs have tables of their own (`parts.rs`);
//! - the writing thread remembers what it claimed, so that a completion reads
//!   nothing (`known.rs`, `complete.rs`);
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
mod inserting;
mod known;
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
mod waiting;
mod writer;

pub use options::{Create, Migrate, Options, SqliteDurability};
pub use storage::Sqlite;
