//! Writing the endings of attempts.

use majordomo_core::ending;
use majordomo_core::series::Span;
use majordomo_core::{Ending, EndingKind, JobId, Settled, State, Tally, Wake};
use rusqlite::params;

use crate::complete::Completing;
use crate::controls;
use crate::error::Run;
use crate::holds::{self, Event};
use crate::parts::{self, Parts};
use crate::row::{self, Stored, count, ending_code, json, micros, stored_state};
use crate::tx::Tx;
use crate::waiting;

pub(crate) fn settle(tx: &mut Tx<'_>, endings: Vec<Ending>) -> Run<Vec<Settled>> {
    let mut settled = Vec::with_capacity(endings.len());
    let mut completing = Completing::new(tx.now);
    for ending in endings {
        settled.push(match completing.settle(tx, &ending)? {
            Some(done) => done,
            None => {
                // It may come twice in one call.
                completing.flush(tx)?;
                settle_one(tx, ending)?
            }
        });
    }
    completing.flush(tx)?;
    // An ending makes room under a limit, wherever the next job waits.
    if tx.wake.news && !tx.wake.work && !controls::list(tx.db)?.is_empty() {
        tx.wake(Wake::WORK);
    }
    Ok(settled)
}

/// A job that can be read. The lease of one that can't be is as good as lost,
/// and its neighbours in the batch must not pay for it.
pub(crate) fn load_readable(tx: &mut Tx<'_>, id: JobId) -> Run<Option<Stored>> {
    match row::load(tx.db, id) {
        Err(fault) if fault.is_corrupt_row() => {
            tx.passed_over.report(id, &fault);
            Ok(None)
        }
        loaded => loaded,
    }
}

fn settle_one(tx: &mut Tx<'_>, mut ending: Ending) -> Run<Settled> {
    let Some(mut stored) = load_readable(tx, ending.lease.job)? else {
        return Ok(Settled::Stale);
    };
    if !ending.is_admitted(&stored.job, tx.now) {
        return repeated(tx, &stored, &ending);
    }
    let span = Span::of(&stored.job);
    let kind = ending::apply(&mut stored.job, &ending, tx.now);
    tx.tally(
        &stored.job.task,
        &stored.job.queue,
        &Tally::of(kind, span, tx.now),
    );
    if let Some(report) = ending.progress.take() {
        parts::record_progress(tx.db, &mut stored, parts::stamped(report, tx.now))?;
    }
    parts::record_log(tx.db, &mut stored, &ending.log)?;
    if kind == EndingKind::Completed {
        parts::delete(tx.db, &mut stored, Parts::CHECKPOINT)?;
        if let Some(output) = &ending.output {
            parts::write_output(tx.db, stored.job.id, &mut stored.parts, output)?;
        }
    } else if let Some(checkpoint) = &ending.checkpoint {
        parts::write(tx.db, &mut stored, Parts::CHECKPOINT, checkpoint)?;
    }
    if stored.job.state.is_finished() {
        holds::release(tx.db, &stored.job, Event::Finished)?;
    }
    write(tx, &stored, &ending, kind)?;
    tx.wake(if stored.job.state == State::Pending {
        Wake::ALL
    } else {
        Wake::NEWS
    });
    Ok(Settled::Applied(stored.job.state))
}

fn write(tx: &mut Tx<'_>, stored: &Stored, ending: &Ending, kind: EndingKind) -> Run<()> {
    let job = &stored.job;
    tx.known.forget(job.id);
    tx.db
        .prepare_cached(include_str!("sql/settle_job.sql"))?
        .execute(params![
            stored.rowid,
            stored_state(job.state),
            micros(job.due),
            job.charged,
            job.crashes,
            count(job.revision),
            micros(job.changed_at),
            job.ended_at.map(micros),
            job.dead_reason.map(|reason| reason.as_str()),
            job.error.as_ref().map(json).transpose()?,
            job.progress.as_ref().map(json).transpose()?,
            stored.parts.bits(),
            ending_code(kind),
            ending.error.is_some(),
            count(job.token),
            stored.latest.worker,
            job.started_at.map(micros),
        ])?;
    tx.db
        .prepare_cached(include_str!("sql/leave_running.sql"))?
        .execute(params![stored.rowid])?;
    if job.state == State::Pending {
        waiting::enter(tx.db, stored.rowid, stored.rowid)?;
    }
    Ok(())
}

/// Answers for an ending that may not be written: it may have been written before.
fn repeated(tx: &Tx<'_>, stored: &Stored, ending: &Ending) -> Run<Settled> {
    let latest = parts::latest_attempt(&stored.job, &stored.latest);
    let recorded = if ending.lease.token == stored.job.token || !stored.parts.has(Parts::ATTEMPTS) {
        latest
    } else {
        let earlier = parts::earlier_attempts(tx.db, stored.job.id)?;
        earlier
            .into_iter()
            .find(|attempt| attempt.token == ending.lease.token)
    };
    let repeated = recorded
        .filter(|attempt| ending.is_repeat_of(attempt))
        .and_then(|attempt| attempt.ending);
    Ok(repeated.map_or(Settled::Stale, |kind| Settled::Applied(kind.state())))
}
