//! A disk that is full, for real: a small file system of its own.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{ask, job};
use majordomo_core::{
    Class, Ending, ErrorKind, Filter, JobId, NewJob, Payload, Repeat, Result, Settled, State,
    Storage, Verdict,
};
use majordomo_sqlite::Sqlite;

const INSIDE: &str = "MAJORDOMO_TEST_INSIDE";

/// A file system of 2 MiB, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null());
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn r29_a_full_disk_refuses_new_jobs_and_loses_none() {
    if let Some(disk) = SmallDisk::mount() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        // With the log much smaller than what is freed, and with the log filling half of the disk.
        runtime.block_on(fill_and_free(disk.0.path(), 1536 * 1024));
        runtime.block_on(fill_and_free(disk.0.path(), 1024 * 1024));
        return;
    }
    assert!(
        std::env::var_os(INSIDE).is_none(),
        "no file system can be mounted even in a namespace of its own"
    );
    let inside = Command::new("unshare")
        .args(["-Urm", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "r29_a_full_disk_refuses_new_jobs_and_loses_none",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .status();
    assert!(
        inside.is_ok_and(|status| status.success()),
        "this test needs a small file system: run it as root, or allow user namespaces for `unshare -Urm`"
    );
}

fn bulky() -> NewJob {
    NewJob::new("t", Payload::json(&"x".repeat(20_000)).unwrap())
}

/// Does `call` as an engine would: a full disk is tried again, a few times at most.
async fn tenaciously<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    for _ in 0..10 {
        match call().await {
            Err(error) if error.kind() == ErrorKind::Full => {}
            done => return done.unwrap(),
        }
    }
    panic!("the disk has room again, but nothing can be written");
}

async fn fill_and_free(disk: &Path, size: usize) {
    let folder = tempfile::tempdir_in(disk).unwrap();
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![7; size]).unwrap();
    let storage = Sqlite::open(folder.path().join("jobs.db")).await.unwrap();
    let mut acknowledged: Vec<JobId> = Vec::new();
    let error = loop {
        let new = bulky();
        let id = new.id;
        match storage.insert(vec![vec![new]], Repeat::First).await {
            Ok(mut answers) => {
                answers.remove(0).unwrap();
                acknowledged.push(id);
            }
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1000, "the disk never fills up");
    };
    assert_eq!(
        (error.kind(), error.class()),
        (ErrorKind::Full, Class::Transient),
        "{error}"
    );
    assert!(
        error
            .next_step()
            .is_some_and(|step| step.contains("free some space")),
        "{error}"
    );
    assert!(acknowledged.len() > 3, "there was room for some");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move {
                storage
                    .insert(vec![vec![bulky()]], Repeat::First)
                    .await
                    .map(|_| ())
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Full);
    }
    let found = storage.get(&acknowledged).await.unwrap();
    assert!(
        found.iter().all(Option::is_some),
        "what was acknowledged can be read while the disk is full"
    );

    std::fs::remove_file(&ballast).unwrap();
    let mut done = 0;
    loop {
        let claimed = tenaciously(async || storage.claim(ask(5)).await).await;
        if claimed.jobs.is_empty() {
            break;
        }
        for (details, lease) in claimed.jobs {
            assert!(
                acknowledged.contains(&details.job.id),
                "nothing is there that was refused"
            );
            let ending = || vec![Ending::new(lease.clone(), Verdict::Completed)];
            let (settled, _) = tenaciously(async || storage.settle(ending(), None).await).await;
            assert_eq!(settled, [Settled::Applied(State::Completed)]);
            done += 1;
        }
    }
    assert_eq!(done, acknowledged.len());
    tenaciously(async || storage.insert(vec![vec![job()]], Repeat::First).await)
        .await
        .remove(0)
        .unwrap();
    assert_eq!(
        tenaciously(async || storage.remove(&Filter::all(), 1000).await).await,
        done as u64
    );
}
