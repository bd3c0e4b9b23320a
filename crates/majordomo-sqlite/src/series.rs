//! Statistics: what ended, added up in memory for each batch and written once
//! for each minute, task and queue.

use std::collections::{BTreeMap, HashMap};

use majordomo_core::series::{Spread, Tally};
use majordomo_core::time::from_micros;
use majordomo_core::{Bucket, By, EndingKind, Query, Timestamp, Width};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::error::Run;
use crate::row::{count, micros};

/// The order of the counters in the statements.
const KINDS: [EndingKind; 8] = [
    EndingKind::Completed,
    EndingKind::Retried,
    EndingKind::Snoozed,
    EndingKind::Released,
    EndingKind::Lost,
    EndingKind::Dead,
    EndingKind::Cancelled,
    EndingKind::Expired,
];

/// Tallies by minute, then by task and queue.
#[derive(Debug, Default)]
pub(crate) struct Tallies(HashMap<(i64, String, String), Tally>);

impl Tallies {
    pub(crate) fn add(&mut self, minute: Timestamp, task: &str, queue: &str, tally: &Tally) {
        self.0
            .entry((micros(minute), task.to_owned(), queue.to_owned()))
            .or_default()
            .merge(tally);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (key, tally) in other.0 {
            self.0.entry(key).or_default().merge(&tally);
        }
    }

    /// Adds them to what is stored.
    pub(crate) fn write(self, db: &Connection) -> Run<()> {
        for ((minute, task, queue), mut tally) in self.0 {
            let stored = db
                .prepare_cached(include_str!("sql/read_statistics.sql"))?
                .query_row(params![minute, task, queue], read)
                .optional()?;
            tally.merge(&stored.unwrap_or_default());
            let numbers: Vec<i64> = KINDS
                .iter()
                .map(|kind| tally.count(*kind))
                .chain(
                    [&tally.run, &tally.wait]
                        .into_iter()
                        .flat_map(|all| [all.count, all.sum, all.min, all.max]),
                )
                .map(count)
                .collect();
            let mut values: Vec<&dyn ToSql> = vec![&minute, &task, &queue];
            values.extend(numbers.iter().map(|number| number as &dyn ToSql));
            db.prepare_cached(include_str!("sql/write_statistics.sql"))?
                .execute(values.as_slice())?;
        }
        Ok(())
    }
}

pub(crate) fn series(db: &Connection, query: &Query) -> Run<Vec<Bucket>> {
    let minute = |instant| micros(Width::Minute.start_of(instant));
    let mut statement = db.prepare_cached(include_str!("sql/list_statistics.sql"))?;
    let mut rows = statement.query(params![minute(query.from), minute(query.to)])?;
    let mut buckets: BTreeMap<(Timestamp, String), Tally> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let start = query.width.start_of(from_micros(row.get(16)?));
        let name = match query.by {
            By::All => String::new(),
            By::Task => row.get(17)?,
            By::Queue => row.get(18)?,
        };
        buckets.entry((start, name)).or_default().merge(&read(row)?);
    }
    Ok(buckets
        .into_iter()
        .map(|((start, name), tally)| Bucket { start, name, tally })
        .collect())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tally> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let spread = |first: usize| -> rusqlite::Result<Spread> {
        Ok(Spread {
            count: number(first)?,
            sum: number(first + 1)?,
            min: number(first + 2)?,
            max: number(first + 3)?,
        })
    };
    let mut tally = Tally {
        run: spread(8)?,
        wait: spread(12)?,
        ..Tally::default()
    };
    for (column, kind) in KINDS.into_iter().enumerate() {
        *tally.count_mut(kind) = number(column)?;
    }
    Ok(tally)
}
