//! Handing out due jobs.
//!
//! A claim seeks from one priority level that has jobs to the next, and within
//! a level walks from the longest due job to the present. So jobs that are not
//! due yet cost nothing, however many there are. Tasks that the worker does not
//! know, and those that a control keeps back, are passed over in the index.

use std::sync::Arc;

use majordomo_core::series::Tally;
use majordomo_core::time::{self, from_micros};
use majordomo_core::{Claim, Claimed, EndingKind, Lease, State, Timestamp, Wake};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Run;
use crate::holds::{self, Event};
use crate::known::{Facts, Together};
use crate::parts;
use crate::rooms::Rooms;
use crate::row::{self, Stored, count, json, micros};
use crate::tx::{PassedOver, Tx};
use crate::waiting;

/// How many jobs one claim declares expired; more wait for the next claim.
const EXPIRED: usize = 500;
/// How many entries of a level are looked at for the next due time.
const LOOK_AHEAD: i64 = 200;
/// Above every priority there is.
const TOP: i64 = i16::MAX as i64 + 1;

pub(crate) fn claim(tx: &mut Tx<'_>, claim: &Claim) -> Run<Claimed> {
    let mut claiming = Claiming {
        claim,
        tasks: json(&claim.tasks)?,
        rooms: Rooms::load(tx.db, tx.now)?,
        suspects: claim.suspects,
        expired: 0,
        together: None,
        claimed: Claimed {
            now: tx.now,
            jobs: Vec::new(),
            next_due: None,
        },
    };
    for (queue, wanted) in &claim.queues {
        claiming.queue(tx, queue, *wanted)?;
    }
    let asked: usize = claim.queues.iter().map(|(_, wanted)| wanted).sum();
    if claiming.expired >= EXPIRED {
        claiming.claimed.next_due = Some(tx.now);
    } else if claiming.claimed.jobs.len() < asked {
        claiming.claimed.next_due = next_due(tx.db, tx.now, claim)?;
    }
    Ok(claiming.claimed)
}

struct Claiming<'a> {
    claim: &'a Claim,
    /// The tasks that the worker knows, as JSON.
    tasks: String,
    rooms: Rooms,
    /// How many suspects may still be handed out.
    suspects: usize,
    expired: usize,
    /// What the jobs that are handed out have in common.
    together: Option<Arc<Together>>,
    claimed: Claimed,
}

enum Pick {
    Take(Stored),
    Expire(Stored),
}

impl Claiming<'_> {
    fn queue(&mut self, tx: &mut Tx<'_>, queue: &str, wanted: usize) -> Run<()> {
        let mut left = wanted;
        let mut above = TOP;
        while left > 0 && self.expired < EXPIRED {
            if self.rooms.of_queue(queue) == Some(0) {
                return self.expire_closed(tx, queue);
            }
            let Some(priority) = next_level(tx.db, queue, above)? else {
                return Ok(());
            };
            // A control that fills up changes what may be taken: look again.
            if self.level(tx, queue, priority, &mut left)? == Level::Done {
                above = priority;
            }
        }
        Ok(())
    }

    /// A queue that is paused or full is not walked, but what expires in it does.
    fn expire_closed(&mut self, tx: &mut Tx<'_>, queue: &str) -> Run<()> {
        let most = EXPIRED - self.expired;
        let mut found = Vec::new();
        {
            let mut statement = tx
                .db
                .prepare_cached(include_str!("sql/claim_expired.sql"))?;
            let mut rows = statement.query(params![
                queue,
                micros(tx.now),
                self.tasks,
                count(most as u64)
            ])?;
            while let Some(row) = rows.next()? {
                found.extend(readable(tx.db, tx.passed_over, row)?);
            }
        }
        self.expired += found.len();
        found.iter().try_for_each(|stored| expire(tx, stored))
    }

    fn level(
        &mut self,
        tx: &mut Tx<'_>,
        queue: &str,
        priority: i64,
        left: &mut usize,
    ) -> Run<Level> {
        let (closed, keys) = self.rooms.closed();
        let all_open = closed.is_empty() && keys.is_empty();
        let (closed, keys) = (json(&closed)?, json(&keys)?);
        let mut picks = Vec::new();
        let mut outcome = Level::Done;
        {
            let mut statement = tx.db.prepare_cached(include_str!("sql/claim_due.sql"))?;
            let mut rows = statement.query(params![
                queue,
                priority,
                micros(tx.now),
                self.tasks,
                closed,
                keys,
                all_open
            ])?;
            while *left > 0 && self.expired < EXPIRED {
                let Some(row) = rows.next()? else { break };
                let Some(stored) = readable(tx.db, tx.passed_over, row)? else {
                    continue;
                };
                if stored.job.is_past_expiry(tx.now) {
                    self.expired += 1;
                    picks.push(Pick::Expire(stored));
                    continue;
                }
                if stored.job.is_suspect() {
                    if self.suspects == 0 {
                        continue;
                    }
                    self.suspects -= 1;
                }
                *left -= 1;
                let filled = self.rooms.take(&stored.job);
                picks.push(Pick::Take(stored));
                if filled {
                    outcome = Level::FilledUp;
                    break;
                }
            }
        }
        self.begin(tx, queue, priority, picks)?;
        Ok(outcome)
    }

    /// Writes what was picked in one level, and hands it out.
    fn begin(&mut self, tx: &mut Tx<'_>, queue: &str, priority: i64, picks: Vec<Pick>) -> Run<()> {
        let expires = time::after(tx.now, self.claim.lease);
        let together = begin_together(tx, self.claim, expires, queue, priority, &picks)?;
        self.claimed.jobs.reserve(picks.len());
        for pick in picks {
            match pick {
                Pick::Take(stored) => {
                    if !together {
                        begin_one(tx, self.claim, expires, &stored)?;
                    }
                    self.hand_out(tx, expires, stored)?;
                }
                Pick::Expire(stored) => expire(tx, &stored)?,
            }
        }
        Ok(())
    }

    fn hand_out(&mut self, tx: &mut Tx<'_>, expires: Timestamp, mut stored: Stored) -> Run<()> {
        let parts = stored.parts;
        parts::keep_latest_attempt(tx.db, &mut stored)?;
        if stored.parts != parts {
            tx.db
                .prepare_cached(include_str!("sql/keep_parts.sql"))?
                .execute(params![stored.rowid, stored.parts.bits()])?;
        }
        holds::release(tx.db, &stored.job, Event::Started)?;
        let job = &mut stored.job;
        job.state = State::Running;
        job.token += 1;
        (job.started_at, job.changed_at) = (Some(tx.now), tx.now);
        let lease = Lease {
            job: job.id,
            token: job.token,
            worker: self.claim.worker.clone(),
            expires,
        };
        job.lease = Some(lease.clone());
        stored.latest = row::Latest {
            worker: Some(lease.worker.clone()),
            ..row::Latest::default()
        };
        self.remember(tx, &stored);
        self.claimed
            .jobs
            .push((parts::readable_details(tx.db, stored)?, lease));
        Ok(())
    }

    fn remember(&mut self, tx: &mut Tx<'_>, stored: &Stored) {
        let job = &stored.job;
        if !job.holds.is_empty() || !stored.parts.are_earlier_attempts_only() {
            return tx.known.forget(job.id);
        }
        let alike = |known: &&Arc<Together>| known.queue == job.queue && known.task == job.task;
        let together = match self.together.as_ref().filter(alike) {
            Some(together) => Arc::clone(together),
            None => Arc::clone(self.together.insert(Arc::new(Together {
                worker: self.claim.worker.clone(),
                queue: job.queue.clone(),
                task: job.task.clone(),
                started_at: tx.now,
            }))),
        };
        let facts = Facts {
            rowid: stored.rowid,
            token: job.token,
            revision: job.revision,
            due: job.due,
            together,
        };
        tx.known.learn(job.id, facts);
    }
}

/// Makes all that was picked running in two statements, if it lies side by side
/// with nothing between that is left waiting. Says whether it has.
fn begin_together(
    tx: &Tx<'_>,
    claim: &Claim,
    expires: Timestamp,
    queue: &str,
    priority: i64,
    picks: &[Pick],
) -> Run<bool> {
    let ([Pick::Take(first), .., Pick::Take(last)], true) = (
        picks,
        picks.iter().all(|pick| matches!(pick, Pick::Take(_))),
    ) else {
        return Ok(false);
    };
    let (first, last) = (&first.job, &last.job);
    let (from, to) = (micros(first.due), micros(last.due));
    let (first, last) = (first.id.as_bytes(), last.id.as_bytes());
    let between: i64 = tx
        .db
        .prepare_cached(include_str!("sql/claim_count.sql"))?
        .query_row(params![queue, priority, from, first, to, last], |row| {
            row.get(0)
        })?;
    if between != count(picks.len() as u64) {
        return Ok(false);
    }
    tx.db
        .prepare_cached(include_str!("sql/claim_range.sql"))?
        .execute(params![
            queue,
            priority,
            from,
            first,
            to,
            last,
            claim.worker,
            micros(tx.now),
            micros(expires)
        ])?;
    tx.db
        .prepare_cached(include_str!("sql/leave_range.sql"))?
        .execute(params![queue, priority, from, first, to, last])?;
    Ok(true)
}

fn begin_one(tx: &Tx<'_>, claim: &Claim, expires: Timestamp, stored: &Stored) -> Run<()> {
    waiting::leave(tx.db, stored.rowid)?;
    tx.db
        .prepare_cached(include_str!("sql/claim_job.sql"))?
        .execute(params![
            stored.rowid,
            count(stored.job.token + 1),
            claim.worker,
            micros(tx.now),
            micros(expires),
        ])?;
    Ok(())
}

/// How far a level was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Done,
    FilledUp,
}

/// Reads a row, unless it can't be: such a job is left as it is for a person to
/// see, and others go on.
fn readable(db: &Connection, passed_over: &mut PassedOver, row: &Row<'_>) -> Run<Option<Stored>> {
    match row::read_waiting(db, row) {
        Err(fault) if fault.is_corrupt_row() => {
            if let Ok(id) = row::id_of(row) {
                passed_over.report(id, &fault);
            }
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn expire(tx: &mut Tx<'_>, stored: &Stored) -> Run<()> {
    let job = &stored.job;
    holds::release(tx.db, job, Event::Finished)?;
    waiting::leave(tx.db, stored.rowid)?;
    tx.db
        .prepare_cached(include_str!("sql/expire_job.sql"))?
        .execute(params![stored.rowid, micros(tx.now)])?;
    tx.tally(
        &job.task,
        &job.queue,
        &Tally::of(EndingKind::Expired, None, tx.now),
    );
    tx.wake(Wake::NEWS);
    Ok(())
}

fn next_level(db: &Connection, queue: &str, above: i64) -> Run<Option<i64>> {
    let mut statement = db.prepare_cached(include_str!("sql/claim_level.sql"))?;
    Ok(statement
        .query_row(params![queue, above], |row| row.get(0))
        .optional()?)
}

/// When the next job is due. A hint: behind a crowd of jobs of unknown tasks it
/// may come too early, never too late.
fn next_due(db: &Connection, now: Timestamp, claim: &Claim) -> Run<Option<Timestamp>> {
    let mut earliest: Option<i64> = None;
    for (queue, _) in &claim.queues {
        let mut above = TOP;
        while let Some(priority) = next_level(db, queue, above)? {
            let due = next_due_of_level(db, now, claim, queue, priority)?;
            earliest = [earliest, due].into_iter().flatten().min();
            above = priority;
        }
    }
    Ok(earliest.map(from_micros))
}

fn next_due_of_level(
    db: &Connection,
    now: Timestamp,
    claim: &Claim,
    queue: &str,
    priority: i64,
) -> Run<Option<i64>> {
    let mut statement = db.prepare_cached(include_str!("sql/claim_next_due.sql"))?;
    let mut rows = statement.query(params![queue, priority, micros(now), LOOK_AHEAD])?;
    let (mut seen, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let (due, task): (i64, String) = (row.get(0)?, row.get(1)?);
        if claim.tasks.contains(&task) {
            return Ok(Some(due));
        }
        (seen, last) = (seen + 1, Some(due));
    }
    Ok(last.filter(|_| seen == LOOK_AHEAD))
}
