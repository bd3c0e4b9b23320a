//! Storing new jobs.

use std::collections::HashSet;
use std::sync::OnceLock;

use majordomo_core::{Error, Inserted, Job, NewJob, OnConflict, Result, State, Wake};
use rusqlite::{Connection, OptionalExtension, Statement, ToSql, params};

use crate::error::Run;
use crate::holds::{self, Holder};
use crate::row::{self, Encoded, Stored, count, micros};
use crate::tx::Tx;
use crate::waiting;

/// How many rows one statement writes, the most first.
const WIDTHS: [usize; 3] = [50, 10, 1];

/// Stores each group whole or not at all, and answers for each.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    groups: Vec<Result<Vec<NewJob>>>,
) -> Run<Vec<Result<Vec<Inserted>>>> {
    let mut answers = Vec::with_capacity(groups.len());
    // Jobs that come one by one are written side by side all the same.
    let mut single = Vec::new();
    for group in groups {
        match group {
            Ok(jobs) if is_whole_by_itself(&jobs) => {
                single.extend(jobs.into_iter().map(|job| job.into_job(tx.now)));
            }
            group => {
                answer_single(tx, &mut single, &mut answers)?;
                answers.push(match group {
                    Ok(jobs) => insert_group(tx, jobs)?,
                    Err(refused) => Err(refused),
                });
            }
        }
    }
    answer_single(tx, &mut single, &mut answers)?;
    Ok(answers)
}

/// One row in one statement needs no savepoint.
fn is_whole_by_itself(jobs: &[NewJob]) -> bool {
    matches!(jobs, [job] if job.holds.is_empty() && job.tags.is_empty())
}

fn answer_single(
    tx: &mut Tx<'_>,
    single: &mut Vec<Job>,
    answers: &mut Vec<Result<Vec<Inserted>>>,
) -> Run<()> {
    let inserted = insert_rows(tx, single)?;
    answers.extend(inserted.into_iter().map(|one| Ok(vec![one])));
    single.clear();
    Ok(())
}

fn insert_group(tx: &mut Tx<'_>, jobs: Vec<NewJob>) -> Run<Result<Vec<Inserted>>> {
    // Only what is already stored can be at fault for one group, and only keys lead there.
    if jobs.iter().all(|job| job.holds.is_empty()) {
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
            tx.known.forget_all();
            let error: Error = fault.into_error("cannot insert jobs");
            Ok(Err(error))
        }
        Err(fault) => Err(fault),
    }
}

fn insert_all(tx: &mut Tx<'_>, jobs: Vec<NewJob>) -> Run<Vec<Inserted>> {
    let mut inserted = Vec::with_capacity(jobs.len());
    let mut free = Vec::with_capacity(jobs.len());
    for job in jobs {
        let job = job.into_job(tx.now);
        if job.holds.is_empty() {
            free.push(job);
            continue;
        }
        // A key may be held by one of those that came before.
        inserted.append(&mut insert_rows(tx, &free)?);
        free.clear();
        inserted.push(insert_holder(tx, job)?);
    }
    inserted.append(&mut insert_rows(tx, &free)?);
    Ok(inserted)
}

/// Stores a job with keys, unless it is known or one of them is held.
fn insert_holder(tx: &mut Tx<'_>, job: Job) -> Run<Inserted> {
    // Repeated, it would be in conflict with itself.
    if number_of(tx.db, &job)?.is_some() {
        return Ok(Inserted::Existing(job.id));
    }
    for hold in &job.holds {
        if let Holder::Other(holder) = holds::holder(tx.db, &hold.key, tx.now)? {
            apply_conflict(tx, hold.on_conflict, holder, job)?;
            return Ok(Inserted::Existing(holder));
        }
    }
    let inserted = insert_rows(tx, std::slice::from_ref(&job))?;
    for hold in &job.holds {
        holds::take(tx.db, hold, job.id, tx.now)?;
    }
    if job.holds.iter().any(|hold| hold.ends_at(tx.now).is_some()) {
        holds::prune(tx.db, tx.now)?;
    }
    Ok(inserted.first().copied().unwrap_or(Inserted::New))
}

/// The number of the row of a job that is stored.
fn number_of(db: &Connection, job: &Job) -> Run<Option<i64>> {
    let mut statement = db.prepare_cached(include_str!("sql/find_job.sql"))?;
    Ok(statement
        .query_row(params![job.id.as_bytes()], |row| row.get(0))
        .optional()?)
}

/// Stores jobs whose keys nobody else holds, but for those that are known.
fn insert_rows(tx: &mut Tx<'_>, jobs: &[Job]) -> Run<Vec<Inserted>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let shape = Shape::of(jobs)?;
    let mut left = jobs;
    let mut stored = 0;
    for width in WIDTHS {
        if left.len() < width {
            continue;
        }
        let mut store = tx.db.prepare_cached(shape.statement(width))?;
        while let Some((these, others)) = left.split_at_checked(width) {
            stored += match shape {
                Shape::Each => write_each(&mut store, these)?,
                Shape::Alike => write_alike(&mut store, these)?,
            };
            left = others;
        }
    }
    if stored == 0 {
        return Ok(jobs.iter().map(|job| Inserted::Existing(job.id)).collect());
    }
    // New rows are numbered one after the other.
    let last = tx.db.last_insert_rowid();
    let first = last + 1 - count(stored as u64);
    waiting::enter(tx.db, first, last)?;
    tx.wake(Wake::WORK);
    if stored == jobs.len() {
        jobs.iter().try_for_each(|job| write_tags(tx.db, job))?;
        return Ok(vec![Inserted::New; stored]);
    }
    let mut seen = HashSet::new();
    let mut answer = |job: &Job| {
        let is_new = number_of(tx.db, job)?.is_some_and(|number| number >= first);
        if !is_new || !seen.insert(job.id) {
            return Ok(Inserted::Existing(job.id));
        }
        write_tags(tx.db, job)?;
        Ok(Inserted::New)
    };
    jobs.iter().map(&mut answer).collect()
}

/// How much the jobs of one statement have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Each,
    /// Everything but their ids and payloads, and nothing of what few jobs have.
    Alike,
}

impl Shape {
    fn of(jobs: &[Job]) -> Run<Self> {
        let Some((first, others)) = jobs.split_first() else {
            return Ok(Self::Each);
        };
        let shared = |job: &Job| {
            let numbers = (job.priority, job.due, job.version, job.max_attempts);
            (numbers, job.created_at, job.changed_at)
        };
        let mut alike = !others.is_empty() && is_bare(first)?;
        for job in others {
            alike = alike
                && shared(job) == shared(first)
                && (&job.queue, &job.task) == (&first.queue, &first.task)
                && is_bare(job)?;
        }
        Ok(if alike { Self::Alike } else { Self::Each })
    }

    /// The statement for so many rows at once.
    fn statement(self, width: usize) -> &'static str {
        static EACH: OnceLock<Vec<String>> = OnceLock::new();
        static ALIKE: OnceLock<Vec<String>> = OnceLock::new();
        let (made, one) = match self {
            Self::Each => (&EACH, include_str!("sql/insert_job.sql")),
            Self::Alike => (&ALIKE, include_str!("sql/insert_alike.sql")),
        };
        let made = made.get_or_init(|| WIDTHS.map(|width| widened(one, width)).into());
        let place = WIDTHS.iter().position(|known| *known == width);
        place
            .and_then(|place| made.get(place))
            .map_or(one, String::as_str)
    }
}

/// A statement with its row of values so many times.
fn widened(one: &str, width: usize) -> String {
    let row = one
        .split_once("VALUES ")
        .and_then(|(_, rest)| rest.split_once("\nON CONFLICT"))
        .map_or("", |(row, _)| row);
    one.replace(row, &vec![row; width].join(", "))
}

/// Whether a job has nothing of what few jobs have.
fn is_bare(job: &Job) -> Run<bool> {
    let named = job.tenant.is_some() || job.actor.is_some() || job.limit_key.is_some();
    Ok(!named && job.expires.is_none() && Encoded::of(job)?.is_empty())
}

/// Writes these rows, which are [`Shape::Alike`], and says how many of them are new.
fn write_alike(store: &mut Statement<'_>, jobs: &[Job]) -> Run<usize> {
    let Some(first) = jobs.first() else {
        return Ok(0);
    };
    let (mut place, mut rare) = (0, 0);
    let mut bind = Bind {
        store: &mut *store,
        place: &mut place,
        rare: &mut rare,
    };
    bind.value(&first.queue)?;
    bind.value(&first.task)?;
    bind.value(first.priority)?;
    bind.value(micros(first.due))?;
    bind.value(first.version)?;
    bind.value(first.max_attempts)?;
    bind.value(micros(first.created_at))?;
    bind.value(micros(first.changed_at))?;
    for job in jobs {
        bind.value(job.id.as_bytes())?;
        bind.value(&job.payload.bytes)?;
    }
    Ok(store.raw_execute()?)
}

/// Writes these rows, and says how many of them are new.
fn write_each(store: &mut Statement<'_>, jobs: &[Job]) -> Run<usize> {
    let (mut place, mut rare) = (0, 0);
    for job in jobs {
        let encoded = Encoded::of(job)?;
        let mut bind = Bind {
            store: &mut *store,
            place: &mut place,
            rare: &mut rare,
        };
        bind.value(job.id.as_bytes())?;
        bind.value(&job.queue)?;
        bind.value(&job.task)?;
        bind.value(job.priority)?;
        bind.value(micros(job.due))?;
        bind.optional(job.expires.map(micros))?;
        bind.value(job.version)?;
        bind.value(job.max_attempts)?;
        bind.value(micros(job.created_at))?;
        bind.value(micros(job.changed_at))?;
        bind.optional(job.tenant.as_ref())?;
        bind.optional(job.actor.as_ref())?;
        bind.optional(job.limit_key.as_ref())?;
        bind.optional(encoded.schedule)?;
        bind.optional(encoded.tags)?;
        bind.optional(encoded.metadata)?;
        bind.optional(encoded.codec)?;
        bind.optional(encoded.extra)?;
        bind.value(&job.payload.bytes)?;
    }
    let stored = store.raw_execute()?;
    // What the next rows may lack.
    if rare > 0 {
        store.clear_bindings();
    }
    Ok(stored)
}

/// Binds one value after the other to a statement without bindings.
struct Bind<'s, 'db> {
    store: &'s mut Statement<'db>,
    place: &'s mut usize,
    /// How many values were there that few jobs have.
    rare: &'s mut usize,
}

impl Bind<'_, '_> {
    fn value(&mut self, value: impl ToSql) -> Run<()> {
        *self.place += 1;
        Ok(self.store.raw_bind_parameter(*self.place, value)?)
    }

    fn optional(&mut self, value: Option<impl ToSql>) -> Run<()> {
        match value {
            Some(value) => {
                *self.rare += 1;
                self.value(value)
            }
            None => {
                *self.place += 1;
                Ok(())
            }
        }
    }
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
    crate::change::write(tx, &stored)?;
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
