//! Documents. One whose time has passed is as good as absent.

use majordomo_core::{Document, Page, Put, Result, Timestamp, limits, time};
use rusqlite::{Connection, Row, params};

use crate::error::{Fault, Run};
use crate::row::{count, json, micros};
use crate::tx::Tx;

pub(crate) fn get(db: &Connection, now: Timestamp, key: &str) -> Run<Option<Document>> {
    let mut statement = db.prepare_cached(include_str!("sql/read_document.sql"))?;
    let mut rows = statement.query(params![key, micros(now)])?;
    rows.next()?.map(read).transpose()
}

pub(crate) fn list(
    db: &Connection,
    now: Timestamp,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Run<Page<Document, String>> {
    let mut statement = db.prepare_cached(include_str!("sql/list_documents.sql"))?;
    let most = limit.min(limits::PAGE) + 1;
    let mut rows = statement.query(params![prefix, after, micros(now), count(most as u64)])?;
    let mut documents = Vec::new();
    while let Some(row) = rows.next()? {
        let document = read(row)?;
        if !document.key.starts_with(prefix) {
            break;
        }
        documents.push(document);
    }
    Ok(Page::cut(documents, limit, |document| document.key.clone()))
}

pub(crate) fn put(tx: &mut Tx<'_>, put: Put) -> Run<Result<Document, Option<u64>>> {
    let before = get(tx.db, tx.now, &put.key)?;
    let version = before.as_ref().map(|document| document.version);
    if !put.condition.is_met(version) {
        return Ok(Err(version));
    }
    let document = Document {
        key: put.key,
        value: put.value,
        version: version.unwrap_or(0) + 1,
        created_at: before.map_or(tx.now, |document| document.created_at),
        changed_at: tx.now,
        expires: put.ttl.map(|ttl| time::after(tx.now, ttl)),
    };
    tx.db
        .prepare_cached(include_str!("sql/write_document.sql"))?
        .execute(params![
            document.key,
            json(&document.value)?,
            count(document.version),
            micros(document.created_at),
            micros(document.changed_at),
            document.expires.map(micros),
        ])?;
    tx.db
        .prepare_cached(include_str!("sql/prune_documents.sql"))?
        .execute(params![micros(tx.now)])?;
    Ok(Ok(document))
}

pub(crate) fn remove(tx: &mut Tx<'_>, key: &str) -> Run<bool> {
    let was_there = get(tx.db, tx.now, key)?.is_some();
    tx.db
        .prepare_cached(include_str!("sql/delete_document.sql"))?
        .execute(params![key])?;
    Ok(was_there)
}

fn read(row: &Row<'_>) -> Run<Document> {
    let key: String = row.get(0)?;
    let text: String = row.get(1)?;
    let value = serde_json::from_str(&text)
        .map_err(|why| Fault::corrupt(format!("the document `{key}`"), why))?;
    Ok(Document {
        key,
        value,
        version: row.get::<_, i64>(2)?.unsigned_abs(),
        created_at: time::from_micros(row.get(3)?),
        changed_at: time::from_micros(row.get(4)?),
        expires: row.get::<_, Option<i64>>(5)?.map(time::from_micros),
    })
}
