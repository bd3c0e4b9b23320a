//! The storage alone against a raw loop on the same disk, in the same run: no
//! engine, no handlers. `cargo run --release --example pace -- 100000`
//!
//! A second word does one part only, for a profiler: `insert`, `drain`, `calls`
//! or `pickup`; with `raw` behind it, the raw loop's part.
#![expect(clippy::unwrap_used, reason = "a tool that says so by failing")]

use std::path::Path;
use std::time::{Duration, Instant};

use majordomo_core::{Claim, Ending, JobId, NewJob, Payload, Repeat, Settled, Storage, Verdict};
use majordomo_sqlite::Sqlite;
use rusqlite::{Connection, TransactionBehavior, params};

const BATCH: usize = 500;
const CALLERS: usize = 64;

fn main() {
    let mut words = std::env::args().skip(1);
    let jobs = words.next().map_or(100_000, |word| word.parse().unwrap());
    let part = words.next().unwrap_or_default();
    let raw = words.next().is_some_and(|word| word == "raw");
    let folder = tempfile::tempdir_in(".").unwrap();
    let wanted =
        |name: &str| part.is_empty() || part == name || (part == "drain" && name == "insert");
    if part.is_empty() || raw {
        by_hand(&folder.path().join("raw.db"), jobs, &wanted);
    }
    if !raw {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(with_storage(&folder.path().join("jobs.db"), jobs, &wanted));
    }
}

fn told(what: &str, jobs: usize, began: Instant) {
    let took = began.elapsed();
    println!("{what:>24} {:>10.0} /s", jobs as f64 / took.as_secs_f64());
}

fn spread(what: &str, mut all: Vec<Duration>) {
    all.sort();
    let at = |part: usize| all[(all.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{what:>24} {:>10.3} ms p50, {:.3} ms p99", at(50), at(99));
}

async fn with_storage(path: &Path, jobs: usize, wanted: &dyn Fn(&str) -> bool) {
    let storage = Sqlite::open(path).await.unwrap();
    let job = |number: usize| {
        NewJob::new(
            "bench",
            Payload::json(&serde_json::json!({ "number": number })).unwrap(),
        )
    };
    let claim = || Claim {
        worker: "bench-machine-12345-a1b2c3".into(),
        queues: vec![("default".into(), BATCH)],
        tasks: vec!["bench".into()],
        lease: Duration::from_secs(30),
        suspects: 1,
    };
    if wanted("insert") {
        let began = Instant::now();
        for from in (0..jobs).step_by(BATCH) {
            let group = (from..jobs.min(from + BATCH)).map(job).collect();
            storage
                .insert(vec![group], Repeat::First)
                .await
                .unwrap()
                .remove(0)
                .unwrap();
        }
        told("bulk insert", jobs, began);
    }
    if wanted("drain") {
        let began = Instant::now();
        let mut claimed = storage.claim(claim()).await.unwrap();
        let mut done = 0;
        while !claimed.jobs.is_empty() {
            let endings = claimed.jobs.into_iter().map(|(_, lease)| Ending {
                output: Some(serde_json::Value::Null),
                ..Ending::new(lease, Verdict::Completed)
            });
            let (settled, then) = storage
                .settle(endings.collect(), Some(claim()))
                .await
                .unwrap();
            done += settled
                .iter()
                .filter(|one| matches!(one, Settled::Applied(_)))
                .count();
            claimed = then.unwrap();
        }
        assert_eq!(done, jobs);
        told("settle and claim", done, began);
    }
    if wanted("calls") {
        let began = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let storage = storage.clone();
                tokio::spawn(async move {
                    for number in 0..jobs / CALLERS / 2 {
                        storage
                            .insert(vec![vec![job(number)]], Repeat::First)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        told("single, 64 callers", jobs / CALLERS / 2 * CALLERS, began);
        let began = Instant::now();
        for number in 0..1000 {
            storage
                .insert(vec![vec![job(number)]], Repeat::First)
                .await
                .unwrap();
        }
        told("single, one caller", 1000, began);
        loop {
            let claimed = storage.claim(claim()).await.unwrap();
            let endings: Vec<_> = claimed
                .jobs
                .into_iter()
                .map(|(_, lease)| Ending::new(lease, Verdict::Completed))
                .collect();
            if endings.is_empty() {
                break;
            }
            storage.settle(endings, None).await.unwrap();
        }
    }
    if wanted("pickup") {
        let (mut inserts, mut claims) = (Vec::new(), Vec::new());
        for number in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let began = Instant::now();
            storage
                .insert(vec![vec![job(number)]], Repeat::First)
                .await
                .unwrap();
            inserts.push(began.elapsed());
            let began = Instant::now();
            let (_, lease) = storage.claim(claim()).await.unwrap().jobs.remove(0);
            claims.push(began.elapsed());
            storage
                .settle(vec![Ending::new(lease, Verdict::Completed)], None)
                .await
                .unwrap();
        }
        spread("idle insert", inserts);
        spread("claim right after", claims);
    }
    drop(storage);
    println!(
        "{:>24} {:>10}",
        "bytes of the file",
        std::fs::metadata(path).unwrap().len()
    );
}

fn by_hand(path: &Path, jobs: usize, wanted: &dyn Fn(&str) -> bool) {
    let mut db = Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.pragma_update(None, "wal_autocheckpoint", 2000).unwrap();
    db.execute_batch(
        "CREATE TABLE jobs (
             id BLOB NOT NULL PRIMARY KEY, state INTEGER NOT NULL, due INTEGER NOT NULL,
             token INTEGER NOT NULL, worker TEXT, lease INTEGER, ended INTEGER, payload BLOB NOT NULL
         ) WITHOUT ROWID;
         CREATE INDEX due ON jobs (due, id) WHERE state = 0;",
    )
    .unwrap();
    if wanted("insert") {
        let began = Instant::now();
        for from in (0..jobs).step_by(BATCH) {
            insert(&mut db, from..jobs.min(from + BATCH));
        }
        told("raw bulk insert", jobs, began);
    }
    if wanted("drain") {
        let began = Instant::now();
        let mut done = 0;
        while done < jobs {
            let taken = take(&mut db);
            done += complete(&mut db, &taken);
        }
        told("raw claim and complete", done, began);
    }
    if wanted("calls") {
        let began = Instant::now();
        for number in 0..1000 {
            insert(&mut db, number..number + 1);
        }
        told("raw, one per commit", 1000, began);
    }
    if wanted("pickup") {
        let mut commits = Vec::new();
        for number in 0..100 {
            std::thread::sleep(Duration::from_millis(50));
            let began = Instant::now();
            insert(&mut db, number..number + 1);
            commits.push(began.elapsed());
        }
        spread("raw idle commit", commits);
    }
}

fn insert(db: &mut Connection, numbers: std::ops::Range<usize>) {
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    {
        let mut insert = tx
            .prepare_cached(
                "INSERT INTO jobs (id, state, due, token, payload) VALUES (?1, 0, ?2, 0, ?3)",
            )
            .unwrap();
        for number in numbers {
            let payload = format!("{{\"number\":{number}}}");
            insert
                .execute(params![
                    JobId::new().as_bytes(),
                    number as i64,
                    payload.as_bytes()
                ])
                .unwrap();
        }
    }
    tx.commit().unwrap();
}

fn take(db: &mut Connection) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let taken = {
        let mut claim = tx
            .prepare_cached(
                "UPDATE jobs SET state = 1, token = token + 1, worker = ?1, lease = ?2
                 WHERE id IN (SELECT id FROM jobs WHERE state = 0 ORDER BY due, id LIMIT ?3)
                 RETURNING id, payload",
            )
            .unwrap();
        let rows = claim
            .query_map(params!["worker", 30_000_000, BATCH as u32], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    tx.commit().unwrap();
    taken
}

fn complete(db: &mut Connection, taken: &[(Vec<u8>, Vec<u8>)]) -> usize {
    let tx = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let mut done = 0;
    {
        let mut complete = tx
            .prepare_cached(
                "UPDATE jobs SET state = 2, lease = NULL, ended = ?2 WHERE id = ?1 AND state = 1 AND token = 1",
            )
            .unwrap();
        for (id, _) in taken {
            done += complete.execute(params![id, 30_000_000]).unwrap();
        }
    }
    tx.commit().unwrap();
    done
}
