//! Signs of life: extending leases and storing what attempts say.

use majordomo_core::{Beat, Renewed, Wake, time};
use rusqlite::params;

use crate::error::Run;
use crate::parts::{self, Parts};
use crate::row::{self, micros};
use crate::tx::Tx;

pub(crate) fn renew(tx: &mut Tx<'_>, beats: Vec<Beat>) -> Run<Vec<Renewed>> {
    beats.into_iter().map(|beat| renew_one(tx, beat)).collect()
}

fn renew_one(tx: &mut Tx<'_>, beat: Beat) -> Run<Renewed> {
    let Some(mut stored) = crate::settle::load_readable(tx, beat.lease.job)? else {
        return Ok(Renewed::Lost);
    };
    if !beat.lease.is_current(&stored.job) {
        return Ok(Renewed::Lost);
    }
    if beat.progress.is_some() || !beat.log.is_empty() {
        tx.wake(Wake::NEWS);
    }
    let has_news = beat.progress.is_some() || !beat.log.is_empty() || beat.checkpoint.is_some();
    if let Some(report) = beat.progress {
        parts::record_progress(tx.db, &mut stored, parts::stamped(report, tx.now))?;
    }
    parts::record_log(tx.db, &mut stored, &beat.log)?;
    if let Some(checkpoint) = &beat.checkpoint {
        parts::write(tx.db, &mut stored, Parts::CHECKPOINT, checkpoint)?;
    }
    if has_news {
        tx.known.forget(stored.job.id);
        tx.db
            .prepare_cached(include_str!("sql/note_job.sql"))?
            .execute(params![
                stored.rowid,
                stored.job.progress.as_ref().map(row::json).transpose()?,
                stored.parts.bits(),
            ])?;
    }
    tx.db
        .prepare_cached(include_str!("sql/renew_job.sql"))?
        .execute(params![
            stored.rowid,
            micros(time::after(tx.now, beat.extend)),
        ])?;
    Ok(if stored.job.cancel_requested {
        Renewed::CancelAsked
    } else {
        Renewed::Kept
    })
}
