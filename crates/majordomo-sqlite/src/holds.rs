//! Keys that jobs hold. Whether a row counts is decided when it is read; rows
//! that no longer do are taken over or cleaned up in passing.

use majordomo_core::hold::Hold;
use majordomo_core::{Job, JobId, Timestamp, Until};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Run, job_id};
use crate::row::micros;

/// Who holds a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Other(JobId),
}

/// An event that ends holds; each also ends those of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Started = 0,
    Finished = 1,
}

/// Who holds `key` at `now`. A key that is taken without a job, which nothing
/// writes yet, is held by the nil id.
pub(crate) fn holder(db: &Connection, key: &str, now: Timestamp) -> Run<Holder> {
    let mut statement = db.prepare_cached(include_str!("sql/read_hold.sql"))?;
    let job = statement
        .query_row(params![key, micros(now)], |row| {
            row.get::<_, Option<Vec<u8>>>(0)
        })
        .optional()?;
    Ok(match job {
        None => Holder::Nobody,
        Some(None) => Holder::Other(JobId::from(uuid::Uuid::nil())),
        Some(Some(bytes)) => Holder::Other(job_id(&bytes)?),
    })
}

/// Takes a key that nobody else holds.
pub(crate) fn take(db: &Connection, hold: &Hold, job: JobId, now: Timestamp) -> Run<()> {
    let until = match hold.until {
        Until::Started => 0,
        Until::Finished => 1,
        Until::For(_) => 2,
    };
    db.prepare_cached(include_str!("sql/write_hold.sql"))?
        .execute(params![
            hold.key,
            job.as_bytes(),
            until,
            hold.ends_at(now).map(micros)
        ])?;
    Ok(())
}

/// Gives back what `job` holds until `event`.
pub(crate) fn release(db: &Connection, job: &Job, event: Event) -> Run<()> {
    let ends = |hold: &&Hold| match hold.until {
        Until::Started => true,
        Until::Finished => event == Event::Finished,
        Until::For(_) => false,
    };
    for hold in job.holds.iter().filter(ends) {
        db.prepare_cached(include_str!("sql/delete_hold.sql"))?
            .execute(params![hold.key, job.id.as_bytes(), event as i64])?;
    }
    Ok(())
}

/// Deletes a few holds whose time has passed.
pub(crate) fn prune(db: &Connection, now: Timestamp) -> Run<()> {
    db.prepare_cached(include_str!("sql/prune_holds.sql"))?
        .execute(params![micros(now)])?;
    Ok(())
}
