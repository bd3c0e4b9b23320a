//! What people do to jobs from outside, and removing them.

use majordomo_core::series::Tally;
use majordomo_core::{
    Change, Changed, Cursor, EndingKind, Filter, JobId, Order, Page, Refusal, State, Until, Wake,
};
use rusqlite::params;

use crate::error::Run;
use crate::find::{Hint, Search, search};
use crate::holds::{self, Event, Holder};
use crate::insert::{delete_tags, write_tags};
use crate::parts;
use crate::row::{Encoded, Stored, count, json, micros, stored_state};
use crate::tx::Tx;
use crate::waiting;

pub(crate) fn change(
    tx: &mut Tx<'_>,
    filter: &Filter,
    change: &Change,
    after: Option<JobId>,
    limit: usize,
) -> Run<Page<(JobId, Changed), JobId>> {
    let after = after.map(Cursor::behind);
    let (now, order) = (tx.now, Order::default());
    let mut found = search(
        tx.db,
        &Search {
            now,
            filter,
            order,
            after,
            most: limit + 1,
            hint: Hint::None,
        },
    )?;
    let more = found.len() > limit;
    found.truncate(limit);
    let mut items = Vec::with_capacity(found.len());
    for stored in found {
        items.push((stored.job.id, change_one(tx, change, stored)?));
    }
    let next = if more {
        items.last().map(|(id, _)| *id)
    } else {
        None
    };
    Ok(Page { items, next })
}

fn change_one(tx: &mut Tx<'_>, change: &Change, mut stored: Stored) -> Run<Changed> {
    if let Err(refusal) = change.admit(&stored.job) {
        return Ok(Changed::Refused(refusal));
    }
    if let Change::Retry { .. } = change
        && let Some(refusal) = take_keys_again(tx, &stored)?
    {
        return Ok(Changed::Refused(refusal));
    }
    let before = stored.job.clone();
    if !change.apply(&mut stored.job, tx.now) {
        return Ok(Changed::Done(stored.job.state));
    }
    if before.tags != stored.job.tags {
        delete_tags(tx.db, &before)?;
        write_tags(tx.db, &stored.job)?;
    }
    if before.state.is_finished() && stored.job.state == State::Pending {
        parts::delete_output(tx.db, &mut stored)?;
    }
    if before.state == State::Pending && stored.job.state.is_finished() {
        let kind = if stored.job.state == State::Expired {
            EndingKind::Expired
        } else {
            EndingKind::Cancelled
        };
        tx.tally(&before.task, &before.queue, &Tally::of(kind, None, tx.now));
        holds::release(tx.db, &stored.job, Event::Finished)?;
    }
    write(tx, &stored)?;
    tx.wake(Wake::ALL);
    Ok(Changed::Done(stored.job.state))
}

/// Takes the keys that the job held until it was finished, if they are all free.
fn take_keys_again(tx: &Tx<'_>, stored: &Stored) -> Run<Option<Refusal>> {
    let job = &stored.job;
    let again = || {
        job.holds
            .iter()
            .filter(|hold| hold.until == Until::Finished)
    };
    for hold in again() {
        match holds::holder(tx.db, &hold.key, tx.now)? {
            Holder::Other(by) if by != job.id => {
                return Ok(Some(Refusal::KeyHeld {
                    key: hold.key.clone(),
                    by,
                }));
            }
            _ => {}
        }
    }
    for hold in again() {
        holds::take(tx.db, hold, job.id, tx.now)?;
    }
    Ok(None)
}

/// Writes everything of a job that a change from outside can touch.
pub(crate) fn write(tx: &mut Tx<'_>, stored: &Stored) -> Run<()> {
    let (db, job) = (tx.db, &stored.job);
    tx.known.forget(job.id);
    let encoded = Encoded::of(job)?;
    waiting::leave(db, stored.rowid)?;
    db.prepare_cached(include_str!("sql/update_job.sql"))?
        .execute(params![
            stored.rowid,
            stored_state(job.state),
            job.queue,
            job.task,
            job.priority,
            micros(job.due),
            job.expires.map(micros),
            job.version,
            job.max_attempts,
            job.charged,
            job.crashes,
            count(job.revision),
            micros(job.changed_at),
            job.ended_at.map(micros),
            job.dead_reason.map(|reason| reason.as_str()),
            job.progress.as_ref().map(json).transpose()?,
            job.tenant,
            job.actor,
            job.limit_key,
            encoded.schedule,
            encoded.tags,
            encoded.metadata,
            encoded.codec,
            encoded.extra,
            stored.parts.bits(),
            job.payload.bytes,
        ])?;
    match job.state {
        State::Pending => waiting::enter(db, stored.rowid, stored.rowid)?,
        State::Running => {
            db.prepare_cached(include_str!("sql/cancel_running.sql"))?
                .execute(params![stored.rowid, job.cancel_requested])?;
        }
        _ => {}
    }
    Ok(())
}

/// Removes finished jobs that match.
pub(crate) fn remove(tx: &mut Tx<'_>, filter: &Filter, limit: usize) -> Run<u64> {
    let mut filter = filter.clone();
    if filter.states.is_empty() {
        filter = filter.finished();
    } else {
        filter.states.retain(|state| state.is_finished());
        if filter.states.is_empty() {
            return Ok(0);
        }
    }
    let (now, order) = (tx.now, Order::default());
    let found = search(
        tx.db,
        &Search {
            now,
            filter: &filter,
            order,
            after: None,
            most: limit,
            hint: Hint::Anywhere,
        },
    )?;
    for stored in &found {
        parts::delete_all(tx.db, stored)?;
        delete_tags(tx.db, &stored.job)?;
        let mut delete = tx.db.prepare_cached(include_str!("sql/delete_job.sql"))?;
        delete.execute(params![stored.job.id.as_bytes()])?;
        tx.known.forget(stored.job.id);
    }
    if !found.is_empty() {
        tx.wake(Wake::NEWS);
    }
    Ok(found.len() as u64)
}
