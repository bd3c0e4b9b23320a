//! What the tests of this crate share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses some of it, and says so by failing"
)]

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{
    Claim, Claimed, Ending, Inserted, Lease, ManualClock, NewJob, Payload, Repeat, Settled,
    Storage, Verdict,
};
use majordomo_sqlite::Sqlite;
use majordomo_testkit::Subject;
use tempfile::TempDir;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A storage in a folder of its own, with its time in the test's hand.
pub(crate) struct Fixture {
    pub(crate) storage: Sqlite,
    pub(crate) clock: ManualClock,
    pub(crate) folder: TempDir,
}

pub(crate) async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let storage = Sqlite::options(folder.path().join("jobs.db"))
        .clock(Arc::new(clock.clone()))
        .open()
        .await
        .unwrap();
    Fixture {
        storage,
        clock,
        folder,
    }
}

impl Fixture {
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("jobs.db")
    }

    /// A connection of one's own to the same file.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.path()).unwrap();
        db.busy_timeout(MINUTE).unwrap();
        db
    }
}

pub(crate) fn job() -> NewJob {
    NewJob::new("t", Payload::json(&"ann").unwrap())
}

pub(crate) async fn insert(storage: &Sqlite, jobs: Vec<NewJob>) -> Vec<Inserted> {
    storage
        .insert(vec![jobs], Repeat::First)
        .await
        .unwrap()
        .remove(0)
        .unwrap()
}

pub(crate) fn ask(most: usize) -> Claim {
    Claim {
        worker: "w".into(),
        queues: vec![("default".into(), most)],
        tasks: vec!["t".into()],
        lease: MINUTE,
        suspects: 100,
    }
}

pub(crate) async fn claim(storage: &Sqlite, most: usize) -> Claimed {
    storage.claim(ask(most)).await.unwrap()
}

pub(crate) async fn settle(storage: &Sqlite, lease: &Lease, verdict: Verdict) -> Settled {
    storage
        .settle(vec![Ending::new(lease.clone(), verdict)], None)
        .await
        .unwrap()
        .0[0]
}

/// The same as a subject of the test kit, with as many nodes as wanted.
pub(crate) async fn subject() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::default();
    let options = Sqlite::options(folder.path().join("jobs.db")).clock(Arc::new(clock.clone()));
    let storage = options.clone().open().await.unwrap();
    let nodes = move || {
        let options = options.clone();
        async move { Arc::new(options.open().await.unwrap()) as Arc<dyn Storage> }
    };
    Subject::manual(clock, Arc::new(storage))
        .keeping(folder)
        .with_nodes(nodes)
}
