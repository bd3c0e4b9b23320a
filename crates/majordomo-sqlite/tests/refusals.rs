//! Paths that can't be used: one clear message each, with what to do.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

mod common;

use std::path::Path;

use majordomo_core::{Error, ErrorKind, Storage};
use majordomo_sqlite::{Create, Sqlite};
use rusqlite::Connection;

async fn refusal(path: &Path) -> Error {
    Sqlite::open(path).await.unwrap_err()
}

fn assert_says(error: &Error, kind: ErrorKind, message: &str, hint: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(message), "{error}");
    assert!(
        error.next_step().is_some_and(|step| step.contains(hint)),
        "{error}"
    );
}

#[tokio::test]
async fn each_bad_path_is_refused_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/jobs.db");
    assert_says(
        &refusal(folder.path()).await,
        ErrorKind::Incompatible,
        "is a folder, not a file",
        "jobs.db",
    );
    assert_says(
        &refusal(&missing).await,
        ErrorKind::Incompatible,
        "does not exist",
        "mkdir -p",
    );
    assert_says(
        &refusal(Path::new(":memory:")).await,
        ErrorKind::Invalid,
        "`:memory:`",
        "memory storage",
    );
    let never = Sqlite::options(folder.path().join("jobs.db"))
        .create(Create::Never)
        .open()
        .await
        .unwrap_err();
    assert_says(
        &never,
        ErrorKind::Incompatible,
        "there is no file",
        "check the path",
    );
    assert!(!folder.path().join("jobs.db").exists());
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "dear diary, ".repeat(100)).unwrap();
    assert_says(
        &refusal(&text).await,
        ErrorKind::Incompatible,
        "is not a SQLite database",
        "choose another path",
    );
    assert_eq!(
        std::fs::read_to_string(&text).unwrap(),
        "dear diary, ".repeat(100)
    );

    let theirs = folder.path().join("theirs.db");
    let tables = "CREATE TABLE contacts (name TEXT)";
    Connection::open(&theirs)
        .unwrap()
        .execute_batch(tables)
        .unwrap();
    let before = std::fs::read(&theirs).unwrap();
    assert_says(
        &refusal(&theirs).await,
        ErrorKind::Incompatible,
        "belongs to another program",
        "file of its own",
    );
    assert_eq!(std::fs::read(&theirs).unwrap(), before);

    let marked = folder.path().join("marked.db");
    Connection::open(&marked)
        .unwrap()
        .pragma_update(None, "application_id", 7)
        .unwrap();
    assert_says(
        &refusal(&marked).await,
        ErrorKind::Incompatible,
        "belongs to another program",
        "file of its own",
    );
}

#[tokio::test]
async fn an_empty_file_is_taken_and_ours_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    Sqlite::open(&empty).await.unwrap();
    let path = folder.path().join("ours.db");
    let storage = Sqlite::open(&path).await.unwrap();
    assert_eq!(storage.name(), format!("sqlite:{}", path.display()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
