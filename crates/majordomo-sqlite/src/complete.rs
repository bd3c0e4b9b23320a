//! The short way of most endings: a job is completed, and nothing hangs on it
//! that would have to be looked at: no holds, no log, no checkpoint.
//!
//! It takes what the rules of the core want to know from what is remembered of
//! the claim, lets them decide, and writes only what they change; jobs that were
//! claimed together and lie side by side share their statements. Whatever is
//! not plain goes the long way of `settle.rs`, which decides by the same rules.

use std::sync::Arc;

use majordomo_core::series::Span;
use majordomo_core::{
    Codec, Ending, EndingKind, Error, ErrorKind, Job, NewJob, Payload, Proof, Settled, State,
    Tally, Timestamp, Verdict, Wake, ending,
};
use rusqlite::params;

use crate::error::{Fault, Run};
use crate::known::{Facts, Together, Trust};
use crate::parts::{self, Parts};
use crate::row::{count, micros};
use crate::tx::Tx;

/// The plain completions of one call.
pub(crate) struct Completing {
    /// The job as far as the rules look at it, used again for each.
    job: Job,
    /// Decided, and not written yet.
    decided: Vec<Decided>,
}

struct Decided {
    rowid: i64,
    token: u64,
    /// What it adds to the job's parts.
    added: Parts,
    together: Arc<Together>,
}

impl Decided {
    /// Whether the statements that write `self` also write `next`.
    fn goes_on_with(&self, next: &Self) -> bool {
        next.rowid == self.rowid + 1
            && next.token == self.token
            && next.added == self.added
            && (Arc::ptr_eq(&next.together, &self.together) || next.together == self.together)
    }
}

impl Completing {
    pub(crate) fn new(now: Timestamp) -> Self {
        let nothing = Payload {
            codec: Codec::JSON,
            bytes: Vec::new(),
        };
        Self {
            job: NewJob::new(String::new(), nothing).into_job(now),
            decided: Vec::new(),
        }
    }

    /// Takes the ending if it is plain; [`Self::flush`] must follow. `None` means
    /// that nothing was done, and that the long way has the answer.
    pub(crate) fn settle(&mut self, tx: &mut Tx<'_>, ending: &Ending) -> Run<Option<Settled>> {
        if !is_plain(ending) {
            return Ok(None);
        }
        let id = ending.lease.job;
        let Some((trust, facts)) = tx.known.recall(id) else {
            return Ok(None);
        };
        let job = &mut self.job;
        job.id = id;
        job.state = State::Running;
        (job.token, job.revision) = (facts.token, facts.revision);
        (job.due, job.started_at) = (facts.due, Some(facts.together.started_at));
        if !ending.is_admitted(job, tx.now) {
            return Ok(None);
        }
        let span = Span::of(job);
        let kind = ending::apply(job, ending, tx.now);
        if kind != EndingKind::Completed {
            return Ok(None);
        }
        let facts = facts.clone();
        tx.known.forget(id);
        let mut added = Parts::default();
        match &ending.output {
            Some(output) if output.is_null() => added.add(Parts::NULL_OUTPUT),
            Some(_) => added.add(Parts::OUTPUT),
            None => {}
        }
        if trust == Trust::Hint && !self.write_one(tx, &facts, added)? {
            return Ok(None);
        }
        if let Some(output) = &ending.output {
            parts::write_output(tx.db, id, &mut Parts::default(), output)?;
        }
        let Together { task, queue, .. } = &*facts.together;
        tx.tally(task, queue, &Tally::of(kind, span, tx.now));
        tx.wake(Wake::NEWS);
        if trust == Trust::Sure {
            self.decided.push(Decided {
                rowid: facts.rowid,
                token: facts.token,
                added,
                together: facts.together,
            });
        }
        Ok(Some(Settled::Applied(self.job.state)))
    }

    /// Writes a completion if the file still says what is remembered of its job.
    fn write_one(&self, tx: &Tx<'_>, facts: &Facts, added: Parts) -> Run<bool> {
        let written = tx
            .db
            .prepare_cached(include_str!("sql/complete_job.sql"))?
            .execute(params![
                facts.rowid,
                micros(tx.now),
                added.bits(),
                count(facts.token),
                facts.together.worker,
                micros(facts.together.started_at),
                self.job.id.as_bytes(),
                count(facts.revision),
            ])?;
        if written == 0 {
            return Ok(false);
        }
        tx.db
            .prepare_cached(include_str!("sql/leave_running.sql"))?
            .execute(params![facts.rowid])?;
        Ok(true)
    }

    /// Writes what was decided.
    pub(crate) fn flush(&mut self, tx: &mut Tx<'_>) -> Run<()> {
        if self.decided.is_empty() {
            return Ok(());
        }
        self.decided.sort_unstable_by_key(|one| one.rowid);
        let mut leave = tx
            .db
            .prepare_cached(include_str!("sql/leave_running_range.sql"))?;
        let mut write = tx
            .db
            .prepare_cached(include_str!("sql/complete_range.sql"))?;
        for stretch in self.decided.chunk_by(Decided::goes_on_with) {
            let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
                continue;
            };
            let token = count(first.token);
            let left = leave.execute(params![first.rowid, last.rowid, token])?;
            let written = write.execute(params![
                first.rowid,
                last.rowid,
                micros(tx.now),
                first.added.bits(),
                token,
                first.together.worker,
                micros(first.together.started_at),
            ])?;
            if (left, written) != (stretch.len(), stretch.len()) {
                return Err(misremembered());
            }
        }
        self.decided.clear();
        Ok(())
    }
}

/// What is remembered is not what the file says, which must not happen. Nothing
/// of the call is written, and everything is forgotten, so that it can be repeated.
fn misremembered() -> Fault {
    let message = "the file was changed by someone who does not keep its locks";
    Fault::Storage(Error::new(ErrorKind::Unavailable, message).hint("repeat the same call"))
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

#[cfg(test)]
mod tests;
