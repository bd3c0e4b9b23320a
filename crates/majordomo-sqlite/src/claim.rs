//! Handing out due jobs.
//!
//! A claim seeks from one priority level that has jobs to the next, and within
//! a level walks from the longest due job to the present. So jobs that are not
//! due yet cost nothing, however many there are. Tasks that the worker does not
//! know, and those that a control keeps back, are passed over in the index.

use majordomo_core::series::Tally;
use majordomo_core::time::{self, from_micros};
use majordomo_core::{Claim, Claimed, EndingKind, Lease, State, Timestamp, Wake};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::error::Run;
use crate::holds::{self, Event};
use crate::parts;
use crate::rooms::Rooms;
use crate::row::{self, Stored, count, json, micros};
use crate::tx::{PassedOver, Tx};

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
                found.extend(readable(tx.passed_over, row)?);
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
        let (closed, keys) = self.rooms.closed()?;
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
                keys
            ])?;
            while *left > 0 && self.expired < EXPIRED {
                let Some(row) = rows.next()? else { break };
                let Some(stored) = readable(tx.passed_over, row)? else {
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
        let mut start = tx.db.prepare_cached(include_str!("sql/claim_job.sql"))?;
        for pick in picks {
            match pick {
                Pick::Take(stored) => self.take(tx, &mut start, stored)?,
                Pick::Expire(stored) => expire(tx, &stored)?,
            }
        }
        Ok(outcome)
    }

    /// Hands out a job; `start` is the statement that makes it running.
    fn take(&mut self, tx: &mut Tx<'_>, start: &mut Statement<'_>, mut stored: Stored) -> Run<()> {
        parts::keep_latest_attempt(tx.db, &mut stored)?;
        holds::release(tx.db, &stored.job, Event::Started)?;
        let job = &mut stored.job;
        job.state = State::Running;
        job.token += 1;
        (job.started_at, job.changed_at) = (Some(tx.now), tx.now);
        let expires = time::after(tx.now, self.claim.lease);
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
        start.execute(params![
            stored.rowid,
            count(lease.token),
            micros(tx.now),
            lease.worker,
            micros(expires),
            stored.parts.bits(),
        ])?;
        self.claimed
            .jobs
            .push((parts::readable_details(tx.db, stored)?, lease));
        Ok(())
    }
}

/// How far a level was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Done,
    FilledUp,
}

/// Reads a row, unless it can't be: such a job is left as it is for a person to
/// see, and others go on.
fn readable(passed_over: &mut PassedOver, row: &Row<'_>) -> Run<Option<Stored>> {
    match row::read(row) {
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
    tx.db
        .prepare_cached(include_str!("sql/expire_job.sql"))?
        .execute(params![job.id.as_bytes(), micros(tx.now)])?;
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
