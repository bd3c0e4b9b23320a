//! Batches, and what a command can't do to its neighbours.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;

use majordomo_core::{Error, ErrorKind, Filter, NewJob, Payload, Repeat, Result, State, Storage};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::Sqlite;
use crate::error::{Fault, Run};
use crate::tx::Tx;

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

async fn open() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(folder.path().join("jobs.db")).await.unwrap();
    (folder, storage)
}

/// Sends a command without waiting for its answer.
async fn send<T, F>(storage: &Sqlite, work: F) -> Waiting<T>
where
    T: Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Run<T> + Send + 'static,
{
    let storage = storage.clone();
    queued(Box::pin(
        async move { storage.write("cannot try", work).await },
    ))
    .await
}

async fn queued<T>(mut call: Waiting<T>) -> Waiting<T> {
    poll_fn(|cx| {
        assert!(call.as_mut().poll(cx).is_pending(), "the writer is held");
        Poll::Ready(())
    })
    .await;
    call
}

/// Keeps the writer busy until the sender is used or dropped, so that commands queue up.
async fn hold(storage: &Sqlite) -> (Sender<()>, Waiting<()>) {
    let (go, wait) = channel();
    let (begun, began) = channel();
    let held = send(storage, move |_| {
        begun.send(()).unwrap();
        let _ = wait.recv();
        Ok(())
    });
    let held = held.await;
    began.recv().unwrap();
    (go, held)
}

fn note(db: &Connection, name: &str) -> Run<()> {
    db.execute(
        "INSERT INTO controls (kind, name, control) VALUES ('queue', ?1, '{}')",
        [name],
    )?;
    Ok(())
}

fn notes(db: &Connection) -> i64 {
    db.query_row("SELECT count(*) FROM controls", [], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_panic_is_answered_leaves_nothing_and_ends_nobody() {
    let (_folder, storage) = open().await;
    let panicking = |tx: &mut Tx<'_>| -> Run<()> {
        note(tx.db, "half")?;
        panic!("no such luck")
    };
    let error = storage.write("cannot try", panicking).await.unwrap_err();
    assert!(error.to_string().contains("`no such luck`"), "{error}");
    let (go, held) = hold(&storage).await;
    let (bad, good) = (
        send(&storage, panicking).await,
        send(&storage, |tx| note(tx.db, "good")).await,
    );
    drop(go);
    held.await.unwrap();
    assert!(bad.await.is_err());
    good.await.unwrap();
    assert_eq!(
        storage
            .write("cannot count", |tx| Ok(notes(tx.db)))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn commands_that_queue_up_share_a_transaction_and_fail_alone() {
    let (folder, storage) = open().await;
    let path = folder.path().join("jobs.db");
    let (go, held) = hold(&storage).await;
    let first = send(&storage, |tx| note(tx.db, "first")).await;
    let failing = send(&storage, |tx| {
        note(tx.db, "failed")?;
        Err::<(), _>(Fault::Storage(Error::invalid("no")))
    });
    let failing = failing.await;
    let last = send(&storage, move |tx| {
        let outside = Connection::open(path)?;
        Ok((notes(tx.db), notes(&outside)))
    });
    let last = last.await;
    drop(go);
    held.await.unwrap();
    first.await.unwrap();
    assert_eq!(failing.await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(
        last.await.unwrap(),
        (1, 0),
        "seen inside, not committed yet, without a trace of the failed one"
    );
    assert_eq!(
        storage
            .write("cannot count", |tx| Ok(notes(tx.db)))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_transaction_that_is_lost_is_lost_for_all_and_the_next_one_works() {
    let (_folder, storage) = open().await;
    let (go, held) = hold(&storage).await;
    let early = send(&storage, |tx| note(tx.db, "early")).await;
    let breaking = send(&storage, |tx| {
        tx.db.execute_batch("ROLLBACK")?;
        Err::<(), _>(Fault::Storage(Error::invalid("gone")))
    });
    let breaking = breaking.await;
    drop(go);
    held.await.unwrap();
    assert_eq!(early.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(breaking.await.unwrap_err().message(), "gone");
    storage
        .write("cannot try", |tx| note(tx.db, "later"))
        .await
        .unwrap();
    assert_eq!(
        storage
            .write("cannot count", |tx| Ok(notes(tx.db)))
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_claim_whose_caller_is_gone_leases_nothing() {
    let (_folder, storage) = open().await;
    let job = NewJob::new("t", Payload::json(&()).unwrap());
    storage
        .insert(vec![vec![job]], Repeat::First)
        .await
        .unwrap();
    let (go, held) = hold(&storage).await;
    let claim = majordomo_core::Claim {
        worker: "w".into(),
        queues: vec![("default".into(), 1)],
        tasks: vec!["t".into()],
        lease: std::time::Duration::from_secs(60),
        suspects: 1,
    };
    let theirs = storage.clone();
    drop(queued(Box::pin(async move { theirs.claim(claim).await })).await);
    drop(go);
    held.await.unwrap();
    let pending = Filter::all().state(State::Pending);
    let page = storage
        .change(&pending, &majordomo_core::Change::Priority(1), None, 9)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1);
}

#[tokio::test]
async fn what_was_asked_before_the_last_handle_went_is_done() {
    let (folder, storage) = open().await;
    let (go, held) = hold(&storage).await;
    drop(send(&storage, |tx| note(tx.db, "kept")).await);
    let dropping = std::thread::spawn(move || drop((storage, held)));
    drop(go);
    dropping.join().unwrap();
    let path = folder.path().join("jobs.db");
    assert!(
        !path.with_extension("db-wal").exists(),
        "the last connection folded the log into the file"
    );
    assert_eq!(notes(&Connection::open(path).unwrap()), 1);
}
