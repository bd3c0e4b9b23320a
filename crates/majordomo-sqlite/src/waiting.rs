//! Keeping `pending` in step with `jobs`: a job that waits has a row there, and
//! no other job has.

use rusqlite::{Connection, params};

use crate::error::Run;

/// The jobs of these row numbers, both included, wait from now on; their rows
/// in `jobs` say where.
pub(crate) fn enter(db: &Connection, first: i64, last: i64) -> Run<()> {
    db.prepare_cached(include_str!("sql/enter_pending.sql"))?
        .execute(params![first, last])?;
    Ok(())
}

/// A job waits no more, or no more where its row in `jobs` says: to be called
/// before that row is changed. Nothing happens if it did not wait.
pub(crate) fn leave(db: &Connection, rowid: i64) -> Run<()> {
    db.prepare_cached(include_str!("sql/leave_pending.sql"))?
        .execute(params![rowid])?;
    Ok(())
}
