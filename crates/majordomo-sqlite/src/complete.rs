//! The short way of most endings: a job is completed, and nothing hangs on it
//! that would have to be looked at: no holds, no log, no checkpoint, no earlier
//! attempts.
//!
//! It reads only what the rules of the core want to know for this case, lets
//! them decide, and writes only what they change. Whatever is not plain goes
//! the long way of `settle.rs`, which decides by the same rules.

use majordomo_core::series::Span;
use majordomo_core::{
    Codec, Ending, EndingKind, Job, NewJob, Payload, Proof, Settled, State, Tally, Verdict, Wake,
    ending,
};
use rusqlite::{CachedStatement, Row, params};

use crate::error::Run;
use crate::parts::{self, Parts};
use crate::row::{count, ending_code, instant, micros, state_code, state_of};
use crate::tx::Tx;

/// The statements of the short way, prepared once for a batch of endings.
pub(crate) struct Completing<'a> {
    read: CachedStatement<'a>,
    write: CachedStatement<'a>,
    /// The job as far as it is read, used again for each.
    job: Job,
}

impl<'a> Completing<'a> {
    pub(crate) fn prepare(tx: &Tx<'a>) -> Run<Self> {
        let nothing = Payload {
            codec: Codec::JSON,
            bytes: Vec::new(),
        };
        Ok(Self {
            read: tx.db.prepare_cached(include_str!("sql/read_running.sql"))?,
            write: tx.db.prepare_cached(include_str!("sql/complete_job.sql"))?,
            job: NewJob::new(String::new(), nothing).into_job(tx.now),
        })
    }

    /// Writes the ending if it is plain. `None` means that nothing was done,
    /// and that the long way has the answer.
    pub(crate) fn settle(&mut self, tx: &mut Tx<'_>, ending: &Ending) -> Run<Option<Settled>> {
        if !is_plain(ending) {
            return Ok(None);
        }
        let rowid: i64 = {
            let mut rows = self.read.query(params![ending.lease.job.as_bytes()])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            // What can't be read is reported on the long way.
            if !fill(&mut self.job, row).unwrap_or(false) {
                return Ok(None);
            }
            row.get(12)?
        };
        let job = &mut self.job;
        job.id = ending.lease.job;
        if !ending.is_admitted(job, tx.now) {
            return Ok(None);
        }
        let span = Span::of(job);
        let kind = ending::apply(job, ending, tx.now);
        if kind != EndingKind::Completed {
            return Ok(None);
        }
        tx.tally(&job.task, &job.queue, &Tally::of(kind, span, tx.now));
        let mut parts = Parts::default();
        if let Some(output) = &ending.output {
            parts::write_output(tx.db, job.id, &mut parts, output)?;
        }
        self.write.execute(params![
            rowid,
            state_code(job.state),
            count(job.revision),
            micros(job.changed_at),
            ending_code(kind),
            parts.bits(),
        ])?;
        tx.wake(Wake::NEWS);
        Ok(Some(Settled::Applied(job.state)))
    }
}

/// Whether the worker says that the job is completed, and nothing else but its output.
fn is_plain(ending: &Ending) -> bool {
    ending.verdict == Verdict::Completed
        && ending.proof == Proof::Lease
        && ending.error.is_none()
        && ending.progress.is_none()
        && ending.checkpoint.is_none()
        && ending.log.is_empty()
}

/// Reads a row of `read_running.sql` into `job`, and says whether the job is plain.
fn fill(job: &mut Job, row: &Row<'_>) -> rusqlite::Result<bool> {
    let plain = row.get::<_, i64>(10)? == Parts::default().bits() && row.get(11)?;
    let state = state_of(row.get(0)?);
    let number = |column| row.get::<_, i64>(column).map(u64::try_from);
    let (true, Some(State::Running), Ok(token), Ok(revision)) =
        (plain, state, number(1)?, number(4)?)
    else {
        return Ok(false);
    };
    job.state = State::Running;
    job.token = token;
    job.revision = revision;
    job.charged = row.get(2)?;
    job.crashes = row.get(3)?;
    job.cancel_requested = row.get(5)?;
    job.due = instant(row.get(6)?);
    job.started_at = row.get::<_, Option<i64>>(7)?.map(instant);
    job.task.clear();
    job.task.push_str(row.get_ref(8)?.as_str()?);
    job.queue.clear();
    job.queue.push_str(row.get_ref(9)?.as_str()?);
    Ok(true)
}

#[cfg(test)]
mod tests;
