//! The promises of the engine on a file of its own for each, with a manual clock.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::Arc;

use majordomo_core::{ManualClock, Storage};
use majordomo_sqlite::Sqlite;
use majordomo_testkit::Subject;

async fn make() -> Subject {
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

majordomo_testkit::guarantees!(promises, make);
