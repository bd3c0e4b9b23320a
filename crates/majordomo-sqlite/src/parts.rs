//! What hangs on a job beside its row: earlier attempts, progress history, log,
//! checkpoint and output. A job without any costs no look into those tables.

use majordomo_core::time::from_micros;
use majordomo_core::{Attempt, Details, Job, JobId, LogLine, Progress, limits};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Fault, Run};
use crate::row::{Latest, Stored, ending_code, ending_of, json, micros};

/// Which of them a job has, as the bits of the column `parts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(i64);

impl Parts {
    pub(crate) const ATTEMPTS: Self = Self(1);
    pub(crate) const HISTORY: Self = Self(2);
    pub(crate) const LOG: Self = Self(4);
    pub(crate) const CHECKPOINT: Self = Self(8);
    pub(crate) const OUTPUT: Self = Self(16);
    /// The output is `null`, as that of most tasks: the bit says all, there is no row.
    pub(crate) const NULL_OUTPUT: Self = Self(32);

    pub(crate) fn of_bits(bits: i64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> i64 {
        self.0
    }

    pub(crate) fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }

    pub(crate) fn add(&mut self, part: Self) {
        self.0 |= part.0;
    }

    /// Whether there is nothing that the end of an attempt would have to look at.
    pub(crate) fn are_earlier_attempts_only(self) -> bool {
        self.0 & !Self::ATTEMPTS.0 == 0
    }

    fn take(&mut self, part: Self) {
        self.0 &= !part.0;
    }
}

/// Everything known about a job.
pub(crate) fn details(db: &Connection, stored: Stored) -> Run<Details> {
    gather(db, stored, Unreadable::Refuse)
}

/// Everything known about a job that is about to run. What can't be read of its
/// past is left out, with a line in the log: one spoilt row must not keep a
/// worker from all the others.
pub(crate) fn readable_details(db: &Connection, stored: Stored) -> Run<Details> {
    gather(db, stored, Unreadable::LeaveOut)
}

/// What to do about a part that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    Refuse,
    LeaveOut,
}

impl Unreadable {
    fn handle<T: Default>(self, part: Run<T>) -> Run<T> {
        match part {
            Err(fault) if self == Self::LeaveOut && fault.is_corrupt_row() => {
                tracing::error!(reason = ?fault, "a part of a job can't be read and is left out");
                Ok(T::default())
            }
            part => part,
        }
    }
}

fn gather(db: &Connection, stored: Stored, unreadable: Unreadable) -> Run<Details> {
    let Stored {
        job, latest, parts, ..
    } = stored;
    let id = job.id;
    let mut attempts = if parts.has(Parts::ATTEMPTS) {
        unreadable.handle(earlier_attempts(db, id))?
    } else {
        Vec::new()
    };
    attempts.extend(attempt(&job, latest));
    let history: Option<Vec<Progress>> = unreadable.handle(read(db, id, parts, Parts::HISTORY))?;
    let log: Option<Vec<LogLine>> = unreadable.handle(read(db, id, parts, Parts::LOG))?;
    let output = if parts.has(Parts::NULL_OUTPUT) {
        Some(Value::Null)
    } else {
        unreadable.handle(read(db, id, parts, Parts::OUTPUT))?
    };
    Ok(Details {
        attempts,
        history: history.unwrap_or_default(),
        log: log.unwrap_or_default(),
        checkpoint: unreadable.handle(read(db, id, parts, Parts::CHECKPOINT))?,
        output,
        job,
    })
}

pub(crate) fn latest_attempt(job: &Job, latest: &Latest) -> Option<Attempt> {
    attempt(job, latest.clone())
}

fn attempt(job: &Job, latest: Latest) -> Option<Attempt> {
    Some(Attempt {
        token: job.token,
        worker: latest.worker?,
        started_at: job.started_at?,
        ended_at: latest.ended_at,
        ending: latest.ending,
        error: if latest.failed {
            job.error.clone()
        } else {
            None
        },
    })
}

/// Moves the latest attempt of a job to the earlier ones, because the next one begins.
pub(crate) fn keep_latest_attempt(db: &Connection, stored: &mut Stored) -> Run<()> {
    let Some(attempt) = latest_attempt(&stored.job, &stored.latest) else {
        return Ok(());
    };
    let error = attempt.error.as_ref().map(json).transpose()?;
    db.prepare_cached(include_str!("sql/insert_attempt.sql"))?
        .execute(params![
            stored.job.id.as_bytes(),
            crate::row::count(attempt.token),
            attempt.worker,
            micros(attempt.started_at),
            attempt.ended_at.map(micros),
            attempt.ending.map(ending_code),
            error,
        ])?;
    stored.parts.add(Parts::ATTEMPTS);
    // With the one that begins now there would be one too many.
    if attempt.token >= limits::ATTEMPTS as u64 {
        db.prepare_cached(include_str!("sql/thin_attempts.sql"))?
            .execute(params![stored.job.id.as_bytes()])?;
    }
    Ok(())
}

pub(crate) fn earlier_attempts(db: &Connection, id: JobId) -> Run<Vec<Attempt>> {
    let mut statement = db.prepare_cached(include_str!("sql/read_attempts.sql"))?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    let mut attempts = Vec::new();
    let broken = |_| {
        Fault::corrupt_job(
            id,
            "one of its attempts does not hold what this program wrote",
        )
    };
    while let Some(row) = rows.next()? {
        let error: Option<String> = row.get(5).map_err(broken)?;
        let ending: Option<i64> = row.get(4).map_err(broken)?;
        attempts.push(Attempt {
            token: row.get::<_, i64>(0).map_err(broken)?.unsigned_abs(),
            worker: row.get(1).map_err(broken)?,
            started_at: from_micros(row.get(2).map_err(broken)?),
            ended_at: row
                .get::<_, Option<i64>>(3)
                .map_err(broken)?
                .map(from_micros),
            ending: ending.and_then(ending_of),
            error: error
                .map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|why| {
                    Fault::corrupt_job(
                        id,
                        format_args!("the error of an attempt is bad JSON: {why}"),
                    )
                })?,
        });
    }
    Ok(attempts)
}

/// Adds a report to the history and makes it the latest.
pub(crate) fn record_progress(db: &Connection, stored: &mut Stored, report: Progress) -> Run<()> {
    let history = read(db, stored.job.id, stored.parts, Parts::HISTORY);
    let history: Option<Vec<Progress>> = Unreadable::LeaveOut.handle(history)?;
    let mut history = history.unwrap_or_default();
    majordomo_core::progress::record(&mut history, report.clone());
    stored.job.progress = Some(report);
    write(db, stored, Parts::HISTORY, &history)
}

/// A report as it is stored: with the storage's time, and with a number that JSON can say.
pub(crate) fn stamped(mut report: Progress, now: majordomo_core::Timestamp) -> Progress {
    report.at = now;
    if report.percent.is_nan() {
        report.percent = 0.0;
    }
    report.percent = report.percent.clamp(f64::MIN, f64::MAX);
    report
}

pub(crate) fn record_log(db: &Connection, stored: &mut Stored, lines: &[LogLine]) -> Run<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let log = read(db, stored.job.id, stored.parts, Parts::LOG);
    let log: Option<Vec<LogLine>> = Unreadable::LeaveOut.handle(log)?;
    let mut log = log.unwrap_or_default();
    majordomo_core::job::record_log(&mut log, lines.to_vec());
    write(db, stored, Parts::LOG, &log)
}

pub(crate) fn write<T: serde::Serialize>(
    db: &Connection,
    stored: &mut Stored,
    part: Parts,
    value: &T,
) -> Run<()> {
    write_row(db, stored.job.id, part, value)?;
    stored.parts.add(part);
    Ok(())
}

/// Writes what a job that had no output has returned.
pub(crate) fn write_output(
    db: &Connection,
    id: JobId,
    parts: &mut Parts,
    output: &Value,
) -> Run<()> {
    if output.is_null() {
        parts.add(Parts::NULL_OUTPUT);
        return Ok(());
    }
    write_row(db, id, Parts::OUTPUT, output)?;
    parts.add(Parts::OUTPUT);
    Ok(())
}

fn write_row<T: serde::Serialize>(db: &Connection, id: JobId, part: Parts, value: &T) -> Run<()> {
    db.prepare_cached(include_str!("sql/write_part.sql"))?
        .execute(params![id.as_bytes(), part.bits(), json(value)?])?;
    Ok(())
}

/// Forgets what a job returned, because it runs again.
pub(crate) fn delete_output(db: &Connection, stored: &mut Stored) -> Run<()> {
    stored.parts.take(Parts::NULL_OUTPUT);
    delete(db, stored, Parts::OUTPUT)
}

pub(crate) fn delete(db: &Connection, stored: &mut Stored, part: Parts) -> Run<()> {
    if stored.parts.has(part) {
        db.prepare_cached(include_str!("sql/delete_part.sql"))?
            .execute(params![stored.job.id.as_bytes(), part.bits()])?;
        stored.parts.take(part);
    }
    Ok(())
}

/// Deletes all that hangs on a job that is being removed.
pub(crate) fn delete_all(db: &Connection, stored: &Stored) -> Run<()> {
    let id = stored.job.id.as_bytes();
    if stored.parts.has(Parts::ATTEMPTS) {
        db.prepare_cached(include_str!("sql/delete_attempts.sql"))?
            .execute(params![id])?;
    }
    let mut in_rows = stored.parts;
    in_rows.take(Parts::ATTEMPTS);
    in_rows.take(Parts::NULL_OUTPUT);
    if in_rows != Parts::default() {
        db.prepare_cached(include_str!("sql/delete_parts.sql"))?
            .execute(params![id])?;
    }
    Ok(())
}

fn read<T: DeserializeOwned>(
    db: &Connection,
    id: JobId,
    parts: Parts,
    part: Parts,
) -> Run<Option<T>> {
    if !parts.has(part) {
        return Ok(None);
    }
    let text = db
        .prepare_cached(include_str!("sql/read_part.sql"))?
        .query_row(params![id.as_bytes(), part.bits()], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                _ => Vec::new(),
            })
        })
        .optional()?;
    let name = match part {
        Parts::HISTORY => "progress history",
        Parts::LOG => "log",
        Parts::CHECKPOINT => "checkpoint",
        _ => "output",
    };
    text.map(|text| serde_json::from_slice(&text))
        .transpose()
        .map_err(|why| Fault::corrupt_job(id, format_args!("its {name} is bad JSON: {why}")))
}
