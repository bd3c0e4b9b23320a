//! Storing new jobs.

use majordomo_core::{Error, Inserted, Job, NewJob, OnConflict, Result, State, Wake};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::error::Run;
use crate::holds::{self, Holder};
use crate::row::{self, Encoded, Stored, micros};
use crate::tx::Tx;

/// Stores each group whole or not at all, and answers for each.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    groups: Vec<Result<Vec<NewJob>>>,
) -> Run<Vec<Result<Vec<Inserted>>>> {
    let mut answers = Vec::with_capacity(groups.len());
    for group in groups {
        answers.push(match group {
            Ok(jobs) => insert_group(tx, jobs)?,
            Err(refused) => Err(refused),
        });
    }
    Ok(answers)
}

fn insert_group(tx: &mut Tx<'_>, jobs: Vec<NewJob>) -> Run<Result<Vec<Inserted>>> {
    // One row in one statement is whole by itself.
    let plain = |job: &NewJob| job.holds.is_empty() && job.tags.is_empty();
    if jobs.len() == 1 && jobs.iter().all(plain) {
        return insert_all(tx, jobs).map(Ok);
    }
    tx.db.prepare_cached("SAVEPOINT jobs")?.execute([])?;
    match insert_all(tx, jobs) {
        Ok(inserted) => {
            tx.db.prepare_cached("RELEASE jobs")?.execute([])?;
            Ok(Ok(inserted))
        }
        // A flaw of these rows; errors of the file are everyone's.
        Err(fault) if fault.is_corrupt_row() && !tx.db.is_autocommit() => {
            tx.db.execute_batch("ROLLBACK TO jobs; RELEASE jobs")?;
            let error: Error = fault.into_error("cannot insert jobs");
            Ok(Err(error))
        }
        Err(fault) => Err(fault),
    }
}

fn insert_all(tx: &mut Tx<'_>, jobs: Vec<NewJob>) -> Run<Vec<Inserted>> {
    let mut store = tx.db.prepare_cached(include_str!("sql/insert_job.sql"))?;
    jobs.into_iter()
        .map(|job| insert_one(tx, &mut store, job.into_job(tx.now)))
        .collect()
}

/// Stores a job, unless it is known or one of its keys is held; `store` is the
/// statement that writes its row.
fn insert_one(tx: &mut Tx<'_>, store: &mut Statement<'_>, job: Job) -> Run<Inserted> {
    if !job.holds.is_empty() {
        // Repeated, it would be in conflict with itself.
        if is_stored(tx.db, &job)? {
            return Ok(Inserted::Existing(job.id));
        }
        for hold in &job.holds {
            if let Holder::Other(holder) = holds::holder(tx.db, &hold.key, tx.now)? {
                apply_conflict(tx, hold.on_conflict, holder, job)?;
                return Ok(Inserted::Existing(holder));
            }
        }
    }
    if !write_row(store, &job)? {
        return Ok(Inserted::Existing(job.id));
    }
    for hold in &job.holds {
        holds::take(tx.db, hold, job.id, tx.now)?;
    }
    if job.holds.iter().any(|hold| hold.ends_at(tx.now).is_some()) {
        holds::prune(tx.db, tx.now)?;
    }
    write_tags(tx.db, &job)?;
    tx.wake(Wake::WORK);
    Ok(Inserted::New)
}

fn is_stored(db: &Connection, job: &Job) -> Run<bool> {
    let mut statement = db.prepare_cached(include_str!("sql/exists_job.sql"))?;
    Ok(statement
        .query_row(params![job.id.as_bytes()], |_| Ok(()))
        .optional()?
        .is_some())
}

fn write_row(store: &mut Statement<'_>, job: &Job) -> Run<bool> {
    let encoded = Encoded::of(job)?;
    let stored = store.execute(params![
        job.id.as_bytes(),
        job.queue,
        job.task,
        job.priority,
        micros(job.due),
        job.expires.map(micros),
        job.version,
        job.max_attempts,
        micros(job.created_at),
        job.tenant,
        job.actor,
        job.limit_key,
        encoded.schedule,
        encoded.tags,
        encoded.metadata,
        encoded.codec,
        encoded.extra,
        job.payload.bytes,
    ])?;
    Ok(stored > 0)
}

pub(crate) fn write_tags(db: &Connection, job: &Job) -> Run<()> {
    for tag in job.tags.iter() {
        db.prepare_cached(include_str!("sql/insert_tag.sql"))?
            .execute(params![tag, job.id.as_bytes()])?;
    }
    Ok(())
}

pub(crate) fn delete_tags(db: &Connection, job: &Job) -> Run<()> {
    for tag in job.tags.iter() {
        db.prepare_cached(include_str!("sql/delete_tag.sql"))?
            .execute(params![tag, job.id.as_bytes()])?;
    }
    Ok(())
}

/// What the new job does to the one that holds its key.
fn apply_conflict(
    tx: &mut Tx<'_>,
    what: OnConflict,
    holder: majordomo_core::JobId,
    new: Job,
) -> Run<()> {
    if what == OnConflict::Keep {
        return Ok(());
    }
    let Some(mut stored) =
        row::load(tx.db, holder)?.filter(|stored| stored.job.state == State::Pending)
    else {
        return Ok(());
    };
    let old_tags = stored.job.clone();
    match what {
        OnConflict::Keep => {}
        OnConflict::Postpone => stored.job.due = new.due,
        OnConflict::Replace => take_over(&mut stored, new),
    }
    stored.job.changed_at = tx.now;
    stored.job.revision += 1;
    if old_tags.tags != stored.job.tags {
        delete_tags(tx.db, &old_tags)?;
        write_tags(tx.db, &stored.job)?;
    }
    crate::change::write(tx.db, &stored)?;
    tx.wake(Wake::WORK);
    Ok(())
}

/// Everything of the new job but its identity, its holds and its past.
fn take_over(stored: &mut Stored, new: Job) {
    let old = &mut stored.job;
    *old = Job {
        id: old.id,
        holds: std::mem::take(&mut old.holds),
        state: old.state,
        token: old.token,
        charged: old.charged,
        crashes: old.crashes,
        revision: old.revision,
        created_at: old.created_at,
        started_at: old.started_at,
        ended_at: old.ended_at,
        lease: old.lease.take(),
        cancel_requested: old.cancel_requested,
        dead_reason: old.dead_reason,
        error: old.error.take(),
        progress: old.progress.take(),
        ..new
    };
}
