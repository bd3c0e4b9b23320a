//! Several processes on one file, and processes that die.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::{ask, insert, job, settle};
use majordomo_core::{Filter, Order, Repeat, State, Storage, Verdict};
use majordomo_sqlite::{Sqlite, schema};

const FILE: &str = "MAJORDOMO_TEST_FILE";

/// Starts this test once more as a process of its own, with a file to work on.
fn start(test: &str, file: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn theirs() -> Option<Sqlite> {
    let file = std::env::var_os(FILE)?;
    Some(Sqlite::open(file).await.unwrap())
}

#[tokio::test]
async fn r26_ten_nodes_starting_at_once_migrate_once() {
    if let Some(storage) = theirs().await {
        insert(&storage, vec![job()]).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let nodes: Vec<_> = (0..10)
        .map(|_| start("r26_ten_nodes_starting_at_once_migrate_once", &file))
        .collect();
    for node in nodes {
        let output = node.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    assert!(schema::status(&file).unwrap().is_current());
    let storage = Sqlite::open(&file).await.unwrap();
    assert_eq!(
        storage
            .find(&Filter::all(), Order::default(), None, 100)
            .await
            .unwrap()
            .items
            .len(),
        10
    );
}

#[tokio::test]
async fn gx1_processes_share_the_jobs_of_a_file_without_doubles() {
    if let Some(storage) = theirs().await {
        loop {
            let claimed = storage.claim(ask(7)).await.unwrap();
            if claimed.jobs.is_empty() {
                return;
            }
            for (details, lease) in claimed.jobs {
                println!("ran {}", details.job.id);
                settle(&storage, &lease, Verdict::Completed).await;
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let storage = Sqlite::open(&file).await.unwrap();
    insert(&storage, (0..300).map(|_| job()).collect()).await;
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            start(
                "gx1_processes_share_the_jobs_of_a_file_without_doubles",
                &file,
            )
        })
        .collect();
    let mut ran = Vec::new();
    for node in nodes {
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        ran.extend(
            text.lines()
                .filter_map(|line| line.split_once("ran "))
                .map(|(_, id)| id.to_owned()),
        );
    }
    let unique: std::collections::BTreeSet<_> = ran.iter().collect();
    assert_eq!((ran.len(), unique.len()), (300, 300));
    let done = storage
        .find(
            &Filter::all().state(State::Completed),
            Order::default(),
            None,
            1000,
        )
        .await
        .unwrap()
        .items;
    assert!(done.len() == 300 && done.iter().all(|job| job.token == 1));
}

#[tokio::test]
async fn r1_acknowledged_jobs_survive_a_kill() {
    if let Some(storage) = theirs().await {
        loop {
            let new = job();
            let id = new.id;
            insert(&storage, vec![new]).await;
            println!("stored {id}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut producer = start("r1_acknowledged_jobs_survive_a_kill", &file);
        let lines = BufReader::new(producer.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let stored = lines.filter_map(|line| Some(line.split_once("stored ")?.1.parse().unwrap()));
        for id in stored {
            acknowledged.push(id);
            if acknowledged.len() == round * 100 {
                producer.kill().unwrap();
                break;
            }
        }
        producer.wait().unwrap();
    }
    assert_eq!(acknowledged.len(), 300);
    let storage = Sqlite::open(&file).await.unwrap();
    let found = storage.get(&acknowledged).await.unwrap();
    assert!(found.iter().all(Option::is_some));
}

#[tokio::test]
async fn r1_acknowledged_jobs_survive_closing_and_opening() {
    let fixture = common::fixture().await;
    let jobs: Vec<_> = (0..50).map(|_| job()).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let groups = jobs.into_iter().map(|job| vec![job]).collect();
    fixture.storage.insert(groups, Repeat::First).await.unwrap();
    let path = fixture.path();
    let (folder, clock) = (fixture.folder, fixture.clock);
    drop(fixture.storage);
    let storage = Sqlite::options(&path)
        .clock(std::sync::Arc::new(clock))
        .open()
        .await
        .unwrap();
    assert!(storage.get(&ids).await.unwrap().iter().all(Option::is_some));
    drop(storage);
    drop(folder);
}
