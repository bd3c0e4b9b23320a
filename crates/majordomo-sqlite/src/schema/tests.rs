//! Migrations that are interrupted, raced and refused.

use std::process::Command;

use majordomo_core::{NewJob, Payload, Repeat, Storage};
use tempfile::TempDir;

use super::*;
use crate::{Migrate, Sqlite};

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("jobs.db")
}

fn connection(path: &Path) -> Connection {
    let file = open::file(path, Create::IfMissing).unwrap();
    open::connect(&file, LOCK_WAIT).unwrap()
}

/// The variables by which a test tells the process it starts what to do.
const AT: &str = "MAJORDOMO_TEST_AT";
const FILE: &str = "MAJORDOMO_TEST_FILE";

/// What the killed process does: some steps whole, half of the next, and out.
fn die_halfway(file: &str, steps: u32) -> ! {
    let mut db = connection(Path::new(file));
    bring_up_to(&mut db, Path::new(file), steps).unwrap();
    if let Some(sql) = STEPS.get(steps as usize) {
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        db.execute_batch(&sql[..sql.rfind("CREATE").unwrap()])
            .unwrap();
    }
    std::process::abort()
}

#[tokio::test]
async fn r26_a_killed_migration_resumes() {
    if let (Ok(steps), Ok(file)) = (std::env::var(AT), std::env::var(FILE)) {
        die_halfway(&file, steps.parse().unwrap());
    }
    for steps in 0..=WANTED {
        let folder = tempfile::tempdir().unwrap();
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "schema::tests::r26_a_killed_migration_resumes"])
            .env(AT, steps.to_string())
            .env(FILE, path(&folder))
            .output()
            .unwrap();
        assert!(!died.status.success(), "it was to die");
        assert_eq!(status(path(&folder)).unwrap().current, steps, "{died:?}");
        let storage = Sqlite::open(path(&folder)).await.unwrap();
        let job = NewJob::new("t", Payload::json(&()).unwrap());
        storage
            .insert(vec![vec![job]], Repeat::First)
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        assert!(status(path(&folder)).unwrap().is_current());
    }
}

#[tokio::test]
async fn r26_a_newer_schema_is_refused_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    migrate(path(&folder)).unwrap();
    connection(&path(&folder))
        .pragma_update(None, "user_version", WANTED + 4)
        .unwrap();
    let error = Sqlite::open(path(&folder)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let expected = format!(
        "has schema version {}, this program knows versions up to {WANTED}",
        WANTED + 4
    );
    assert!(error.message().ends_with(&expected), "{error}");
    assert!(
        error.next_step().unwrap().contains("update this program"),
        "{error}"
    );
    let seen = status(path(&folder)).unwrap();
    assert_eq!(
        (seen.current, seen.wanted, seen.ours),
        (WANTED + 4, WANTED, true)
    );
}

#[tokio::test]
async fn an_old_schema_is_only_looked_at_if_asked_so() {
    let folder = tempfile::tempdir().unwrap();
    for (steps, has) in [(0, "no schema yet"), (1, "schema version 1")] {
        bring_up_to(&mut connection(&path(&folder)), &path(&folder), steps).unwrap();
        let error = Sqlite::options(path(&folder))
            .migrate(Migrate::CheckOnly)
            .open()
            .await
            .unwrap_err();
        assert!(error.message().contains(has), "{error}");
        assert!(
            error.next_step().unwrap().contains("majordomo migrate up"),
            "{error}"
        );
        assert_eq!(status(path(&folder)).unwrap().current, steps);
    }
    assert!(migrate(path(&folder)).unwrap().is_current());
    Sqlite::options(path(&folder))
        .migrate(Migrate::CheckOnly)
        .open()
        .await
        .unwrap();
}

#[test]
fn looking_at_a_missing_file_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let seen = status(path(&folder)).unwrap();
    assert_eq!(
        (seen.exists, seen.current, seen.is_current()),
        (false, 0, false)
    );
    assert!(!path(&folder).exists());
}

#[test]
fn a_foreign_file_is_seen_as_such() {
    let folder = tempfile::tempdir().unwrap();
    connection(&path(&folder))
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(!status(path(&folder)).unwrap().ours);
    std::fs::write(path(&folder), vec![b'x'; 4096]).unwrap();
    assert!(!status(path(&folder)).unwrap().ours);
}

#[tokio::test]
async fn jobs_that_ended_before_the_pruner_came_are_pruned_and_broken_ones_stop_no_migration() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = connection(&path(&folder));
    bring_up_to(&mut db, &path(&folder), 3).unwrap();
    for (id, extra) in [("01", "{\"retention\":5}"), ("02", "{"), ("03", "{}")] {
        let insert = "INSERT INTO jobs (id, state, queue, task, priority, due, version, \
            max_attempts, created_at, changed_at, ended_at, extra, payload) \
            VALUES (unhex(?), 2, 'q', 't', 0, 1, 1, 1, 1, 1, 1, ?, '{}')";
        let id = format!("000000000000700080000000000000{id}");
        db.execute(insert, [id.as_str(), extra]).unwrap();
    }
    let storage = Sqlite::open(path(&folder)).await.unwrap();
    let own = majordomo_core::Filter {
        past_retention: true,
        ..majordomo_core::Filter::all()
    };
    assert_eq!(storage.remove(&own, 10).await.unwrap(), 1);
    let without = majordomo_core::Filter {
        without_retention: true,
        ..majordomo_core::Filter::all()
    };
    // The one that can't be read stays to be looked at.
    assert_eq!(storage.remove(&without, 10).await.unwrap(), 1);
    assert_eq!(storage.remove(&without, 10).await.unwrap(), 0);
}
