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
pub(crate) struct Tallies {
    all: HashMap<Key, Tally>,
    /// Not in `all` yet, because most endings count where the one before did.
    latest: Option<(Key, Tally)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    minute: i64,
    task: String,
    queue: String,
}

impl Tallies {
    pub(crate) fn add(&mut self, minute: Timestamp, task: &str, queue: &str, tally: &Tally) {
        let minute = micros(minute);
        if let Some((key, latest)) = &mut self.latest
            && (key.minute, key.task.as_str(), key.queue.as_str()) == (minute, task, queue)
        {
            return latest.merge(tally);
        }
        let (task, queue) = (task.to_owned(), queue.to_owned());
        let key = Key {
            minute,
            task,
            queue,
        };
        if let Some((key, tally)) = self.latest.replace((key, tally.clone())) {
            self.all.entry(key).or_default().merge(&tally);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (key, tally) in other.all.into_iter().chain(other.latest) {
            self.all.entry(key).or_default().merge(&tally);
        }
    }

    /// Adds them to what is stored.
    pub(crate) fn write(self, db: &Connection) -> Run<()> {
        let mut all = Self::default();
        all.merge(self);
        for (key, mut tally) in all.all {
            let Key {
                minute,
                task,
                queue,
            } = key;
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
