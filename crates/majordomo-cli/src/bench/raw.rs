//! The same work by hand, to compare with: one table, one connection, prepared
//! statements, and nothing of what a job system adds. No history, no
//! statistics, no priorities, no queues, no handlers.

use std::time::Instant;

use rusqlite::{Connection, Result, TransactionBehavior, params};

use super::place::Raw;
use super::{BATCH, per_second};
use crate::exit::Problem;

/// At most this many are inserted one in each commit.
const SINGLE: u32 = 1000;

/// Jobs a second.
pub(super) struct Rates {
    pub(super) insert: f64,
    pub(super) bulk: f64,
    pub(super) cycle: f64,
}

/// Works on a thread of its own, because it blocks.
pub(super) async fn measure(raw: Result<Raw, Problem>, jobs: u32) -> Result<Rates, Problem> {
    let raw = raw?;
    let worked = tokio::task::spawn_blocking(move || work(&raw, jobs)).await;
    worked
        .map_err(|error| Problem::failed(format!("the raw loop failed: {error}")))?
        .map_err(|error| Problem::failed(format!("the raw loop failed: {error}")))
}

fn work(raw: &Raw, jobs: u32) -> Result<Rates> {
    let mut db = Connection::open(raw.file.path())?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if raw.relaxed { "NORMAL" } else { "FULL" };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "wal_autocheckpoint", 2000)?;
    db.execute_batch(
        "CREATE TABLE jobs (
             id BLOB NOT NULL PRIMARY KEY, state INTEGER NOT NULL, due INTEGER NOT NULL,
             token INTEGER NOT NULL, worker TEXT, lease INTEGER, ended INTEGER, payload BLOB NOT NULL
         ) WITHOUT ROWID;
         CREATE INDEX due ON jobs (due, id) WHERE state = 0;",
    )?;
    let single = (jobs / 10).clamp(1, SINGLE);
    let began = Instant::now();
    for number in 0..single {
        insert(&mut db, number..number + 1)?;
    }
    let insert_rate = per_second(single, began.elapsed());

    let began = Instant::now();
    let mut from = single;
    while from < jobs {
        let to = jobs.min(from + BATCH as u32);
        insert(&mut db, from..to)?;
        from = to;
    }
    let bulk_rate = per_second(jobs - single, began.elapsed());

    let began = Instant::now();
    let mut done = 0;
    while done < jobs {
        let claimed = claim(&mut db)?;
        done += complete(&mut db, &claimed)?;
        if claimed.is_empty() {
            break;
        }
    }
    let took = began.elapsed();
    let ended: u32 = db.query_row("SELECT count(*) FROM jobs WHERE state = 2", [], |row| {
        row.get(0)
    })?;
    Ok(Rates {
        insert: insert_rate,
        bulk: bulk_rate,
        cycle: per_second(ended, took),
    })
}

fn insert(db: &mut Connection, numbers: std::ops::Range<u32>) -> Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = tx.prepare_cached(
            "INSERT INTO jobs (id, state, due, token, payload) VALUES (?1, 0, ?2, 0, ?3)",
        )?;
        for number in numbers {
            let id = majordomo::JobId::new();
            let payload = format!("{{\"number\":{number}}}");
            insert.execute(params![id.as_bytes(), number, payload.as_bytes()])?;
        }
    }
    tx.commit()
}

/// What a claim hands out: the id and what to do.
type Taken = (Vec<u8>, Vec<u8>);

fn claim(db: &mut Connection) -> Result<Vec<Taken>> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken = {
        let mut claim = tx.prepare_cached(
            "UPDATE jobs SET state = 1, token = token + 1, worker = ?1, lease = ?2
             WHERE id IN (SELECT id FROM jobs WHERE state = 0 ORDER BY due, id LIMIT ?3)
             RETURNING id, payload",
        )?;
        let rows = claim.query_map(params!["worker", 30_000_000, BATCH as u32], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect::<Result<_>>()?
    };
    tx.commit()?;
    Ok(taken)
}

fn complete(db: &mut Connection, taken: &[Taken]) -> Result<u32> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut done = 0;
    {
        let mut complete = tx.prepare_cached(
            "UPDATE jobs SET state = 2, lease = NULL, ended = ?2 WHERE id = ?1 AND state = 1 AND token = 1",
        )?;
        for (id, _) in taken {
            done += complete.execute(params![id, 30_000_000])? as u32;
        }
    }
    tx.commit()?;
    Ok(done)
}
