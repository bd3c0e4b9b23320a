//! The short way must come out as the long way does.

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Claim, Details, ManualClock, NewJob, Payload, Repeat, Storage, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Sqlite;

/// One job, claimed and ended with this output. `log` forces the long way.
async fn ended(output: Option<Value>, line: Option<&str>) -> Details {
    let folder = TempDir::new().unwrap();
    let clock = ManualClock::default();
    let storage = Sqlite::options(folder.path().join("jobs.db"))
        .clock(Arc::new(clock.clone()))
        .open()
        .await
        .unwrap();
    let mut job = NewJob::new("t", Payload::json(&7).unwrap());
    job.id = "0190d5ae-0000-7000-8000-000000000001".parse().unwrap();
    storage
        .insert(vec![vec![job]], Repeat::First)
        .await
        .unwrap();
    clock.advance(Duration::from_secs(2));
    let claim = Claim {
        worker: "w".into(),
        queues: vec![("default".into(), 1)],
        tasks: vec!["t".into()],
        lease: Duration::from_secs(30),
        suspects: 1,
    };
    let (before, lease) = storage.claim(claim).await.unwrap().jobs.remove(0);
    clock.advance(Duration::from_secs(3));
    let log = line.map(|message| majordomo_core::job::LogLine {
        at: Timestamp::UNIX_EPOCH,
        level: "info".to_owned(),
        message: message.to_owned(),
    });
    let ending = Ending {
        output,
        log: log.into_iter().collect(),
        ..Ending::new(lease, Verdict::Completed)
    };
    assert_eq!(is_plain(&ending), line.is_none());
    let settled = storage.settle(vec![ending], None).await.unwrap().0;
    assert_eq!(settled, [Settled::Applied(State::Completed)]);
    let mut details = storage
        .get(&[before.job.id])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    details.log.clear();
    details
}

#[tokio::test]
async fn the_short_way_ends_a_job_as_the_long_way_does() {
    for output in [None, Some(Value::Null), Some(json!({ "sum": 7 }))] {
        let short = ended(output.clone(), None).await;
        assert_eq!(short, ended(output.clone(), Some("hello")).await);
        assert_eq!(short.output, output);
    }
}
