//! Listing and reading jobs.
//!
//! The statement narrows the search as far as columns and indexes go;
//! [`Filter::matches`] has the last word on each job, so that a filter means
//! here what it means on every storage.

use majordomo_core::{
    Cursor, Details, Direction, Filter, Job, JobId, Order, OrderBy, Page, State, Timestamp,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::{Run, job_id};
use crate::parts;
use crate::row::{self, Stored, json, micros, stored_state};

pub(crate) fn get(db: &Connection, ids: &[JobId]) -> Run<Vec<Option<Details>>> {
    ids.iter()
        .map(|id| {
            row::load(db, *id)?
                .map(|stored| parts::details(db, stored))
                .transpose()
        })
        .collect()
}

pub(crate) fn find(
    db: &Connection,
    now: Timestamp,
    filter: &Filter,
    order: Order,
    after: Option<Cursor>,
    limit: usize,
) -> Run<Page<Job>> {
    let found = search(
        db,
        &Search {
            now,
            filter,
            order,
            after,
            most: limit + 1,
            hint: Hint::None,
        },
    )?;
    let jobs = found.into_iter().map(|stored| stored.job).collect();
    // Every job listed has a place; the id alone would do for the order by id.
    Ok(Page::cut(jobs, limit, |job: &Job| {
        order.place(job).unwrap_or(Cursor::behind(job.id))
    }))
}

/// A search for whole rows.
pub(crate) struct Search<'a> {
    pub(crate) now: Timestamp,
    pub(crate) filter: &'a Filter,
    pub(crate) order: Order,
    pub(crate) after: Option<Cursor>,
    pub(crate) most: usize,
    pub(crate) hint: Hint,
}

/// What is known about where the matches lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    None,
    /// Wherever they are found with the least effort: the order is of no concern.
    Anywhere,
}

/// The first `most` matches in order. Jobs that can't be read are passed over,
/// because one of them must not hide all others; asked for by id, they are an error.
pub(crate) fn search(db: &Connection, search: &Search<'_>) -> Run<Vec<Stored>> {
    let (sql, values) = statement(search)?;
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while found.len() < search.most {
        let Some(row) = rows.next()? else { break };
        let id = job_id(&row.get::<_, Vec<u8>>(0)?)?;
        match row::load(db, id) {
            Ok(Some(stored)) if search.filter.matches(&stored.job, search.now) => {
                found.push(stored)
            }
            Ok(_) => {}
            Err(fault) if fault.is_corrupt_row() && search.filter.ids.is_none() => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// The ids in order, for as long as the caller asks for more.
pub(crate) fn statement(search: &Search<'_>) -> Run<(String, Vec<Value>)> {
    if search.hint == Hint::Anywhere {
        return anywhere(search.filter, search.now);
    }
    let mut conditions = Conditions::of(search.filter, search.now)?;
    let key = match search.order.by {
        OrderBy::Id => None,
        OrderBy::Due => Some("due"),
        OrderBy::Created => Some("created_at"),
        OrderBy::Ended => Some("ended_at"),
    };
    if search.order.by == OrderBy::Ended {
        conditions.add("ended_at IS NOT NULL", []);
    }
    let (direction, beyond) = match search.order.direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    if let Some(after) = search.after {
        let id = Value::Blob(after.id.as_bytes().to_vec());
        match key {
            None => conditions.add(&format!("id {beyond} ?"), [id]),
            Some(key) => {
                conditions.add(
                    &format!("({key}, id) {beyond} (?, ?)"),
                    [Value::Integer(micros(after.at)), id],
                );
            }
        }
    }
    // Of these there are few among many, so the index that finds them is worth the sorting: the
    // plus keeps SQLite from walking all jobs in the order of their ids.
    let is_rare = search.filter.lease_expired
        || search.filter.past_expiry
        || search.filter.past_retention
        || search.filter.cancel_requested
        || search.filter.worker.is_some();
    let id = if is_rare { "+id" } else { "id" };
    let order = key
        .map(|key| format!("{key} {direction}, "))
        .unwrap_or_default();
    let sql = format!(
        "SELECT id FROM jobs WHERE {} ORDER BY {order}{id} {direction}",
        conditions.sql()
    );
    Ok((sql, conditions.values))
}

/// The ids of finished jobs in any order.
///
/// The pruner's question is answered from `jobs_prune` task by task, so that
/// jobs of other tasks, however many and however old, are not walked over.
fn anywhere(filter: &Filter, now: Timestamp) -> Run<(String, Vec<Value>)> {
    let mut conditions = Conditions::of(filter, now)?;
    conditions.add("ended_at IS NOT NULL", []);
    let is_narrow = filter.ids.is_some() || !filter.tags.is_empty();
    let table = match (filter.past_retention, filter.without_retention) {
        _ if is_narrow => "jobs INDEXED BY jobs_id",
        (true, _) => "jobs INDEXED BY jobs_retention",
        (false, true) => {
            if filter.tasks.is_empty() {
                let except = Value::Text(json(&filter.except_tasks)?);
                conditions.add(include_str!("sql/ended_tasks.sql").trim_end(), [except]);
            }
            "jobs INDEXED BY jobs_prune"
        }
        (false, false) => "jobs",
    };
    let sql = format!("SELECT id FROM {table} WHERE {}", conditions.sql());
    Ok((sql, conditions.values))
}

/// Conditions that every match fulfils; what they let through is checked again.
/// Text comes from enums and constants only, values are bound.
struct Conditions {
    parts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn add<const N: usize>(&mut self, part: &str, values: [Value; N]) {
        self.parts.push(part.to_owned());
        self.values.extend(values);
    }

    fn sql(&self) -> String {
        if self.parts.is_empty() {
            "1".to_owned()
        } else {
            self.parts.join(" AND ")
        }
    }

    fn of(filter: &Filter, now: Timestamp) -> Run<Self> {
        let mut all = Self {
            parts: Vec::new(),
            values: Vec::new(),
        };
        all.states(filter);
        if let Some(ids) = &filter.ids {
            let hex: Vec<String> = ids
                .iter()
                .map(|id| id.as_uuid().simple().to_string())
                .collect();
            all.add(
                "id IN (SELECT unhex(value) FROM json_each(?))",
                [Value::Text(json(&hex)?)],
            );
        }
        for (column, names) in [("task", &filter.tasks), ("queue", &filter.queues)] {
            match names.as_slice() {
                [] => {}
                [name] => all.add(&format!("{column} = ?"), [Value::Text(name.clone())]),
                names => {
                    all.add(
                        &format!("{column} IN (SELECT value FROM json_each(?))"),
                        [Value::Text(json(names)?)],
                    );
                }
            }
        }
        if !filter.except_tasks.is_empty() {
            all.add(
                "task NOT IN (SELECT value FROM json_each(?))",
                [Value::Text(json(&filter.except_tasks)?)],
            );
        }
        for (column, name) in [
            ("schedule", &filter.schedule),
            ("tenant", &filter.tenant),
            ("actor", &filter.actor),
        ] {
            if let Some(name) = name {
                all.add(&format!("{column} = ?"), [Value::Text(name.clone())]);
            }
        }
        if let Some(from) = filter.priority_from {
            all.add("priority >= ?", [Value::Integer(from.into())]);
        }
        for tag in filter.tags.iter() {
            all.add(
                "id IN (SELECT job FROM job_tags WHERE tag = ?)",
                [Value::Text(tag.to_owned())],
            );
        }
        for (column, span) in [
            ("due", filter.due),
            ("created_at", filter.created),
            ("ended_at", filter.ended),
        ] {
            // Rounded outward to whole microseconds.
            if let Some(from) = span.from {
                all.add(
                    &format!("{column} >= ?"),
                    [Value::Integer(micros(from) - 1)],
                );
            }
            if let Some(to) = span.to {
                all.add(&format!("{column} <= ?"), [Value::Integer(micros(to))]);
            }
        }
        if filter.due_now {
            all.add(
                "rowid IN (SELECT job FROM pending WHERE due <= ?)",
                [Value::Integer(micros(now))],
            );
        }
        if filter.lease_expired {
            all.add(
                "rowid IN (SELECT job FROM running WHERE lease_expires <= ?)",
                [Value::Integer(micros(now))],
            );
        }
        if filter.past_expiry {
            all.add(
                "rowid IN (SELECT job FROM pending WHERE expires <= ?)",
                [Value::Integer(micros(now))],
            );
        }
        if filter.past_retention {
            all.add(
                "ended_at IS NOT NULL AND retention IS NOT NULL AND ended_at + retention <= ?",
                [Value::Integer(micros(now))],
            );
        }
        if filter.without_retention {
            all.add("retention IS NULL", []);
        }
        if filter.cancel_requested {
            all.add(
                "rowid IN (SELECT job FROM running WHERE cancel_requested = 1)",
                [],
            );
        }
        if let Some(worker) = &filter.worker {
            all.add(
                "rowid IN (SELECT job FROM running WHERE worker = ?)",
                [Value::Text(worker.clone())],
            );
        }
        if !filter.metadata.is_empty() {
            all.add("metadata IS NOT NULL", []);
        }
        if filter.error_contains.is_some() {
            all.add("error IS NOT NULL", []);
        }
        Ok(all)
    }

    /// States are named as numbers, so that partial indexes apply.
    fn states(&mut self, filter: &Filter) {
        let only = |wanted| {
            !filter.states.is_empty() && filter.states.iter().all(|state| *state == wanted)
        };
        if only(State::Running) {
            return self.add("rowid IN (SELECT job FROM running)", []);
        }
        if let ([queue], true) = (filter.queues.as_slice(), only(State::Pending)) {
            let queue = Value::Text(queue.clone());
            return self.add(
                "rowid IN (SELECT job FROM pending WHERE queue = ?)",
                [queue],
            );
        }
        let mut codes: Vec<i64> = filter.states.iter().copied().map(stored_state).collect();
        codes.sort_unstable();
        codes.dedup();
        match codes.as_slice() {
            [] => {}
            [code] => self.add(&format!("state = {code}"), []),
            // All of them: pending and running share a number.
            codes if codes.len() == State::ALL.len() - 1 => {}
            codes => {
                let list: Vec<String> = codes.iter().map(i64::to_string).collect();
                self.add(&format!("state IN ({})", list.join(", ")), []);
            }
        }
    }
}
