//! A disk that is full, for real: a small file system of its own.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{ask, job, settle};
use majordomo_core::{Class, ErrorKind, Filter, JobId, NewJob, Payload, Repeat, Settled, State, Storage, Verdict};
use majordomo_sqlite::Sqlite;

const INSIDE: &str = "MAJORDOMO_TEST_INSIDE";

/// A file system of 2 MiB, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder))
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
        runtime.block_on(fill_and_free(disk.0.path()));
        return;
    }
    assert!(std::env::var_os(INSIDE).is_none(), "no file system can be mounted even in a namespace of its own");
    let inside = Command::new("unshare")
        .args(["-Urm", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "r29_a_full_disk_refuses_new_jobs_and_loses_none", "--nocapture"])
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

async fn fill_and_free(disk: &Path) {
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![7; 1536 * 1024]).unwrap();
    let storage = Sqlite::open(disk.join("jobs.db")).await.unwrap();
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
    assert_eq!((error.kind(), error.class()), (ErrorKind::Full, Class::Transient), "{error}");
    assert!(error.next_step().is_some_and(|step| step.contains("free some space")), "{error}");
    assert!(acknowledged.len() > 10, "there was room for some");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move { storage.insert(vec![vec![bulky()]], Repeat::First).await.map(|_| ()) })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Full);
    }
    let found = storage.get(&acknowledged).await.unwrap();
    assert!(found.iter().all(Option::is_some), "what was acknowledged can be read while the disk is full");

    std::fs::remove_file(&ballast).unwrap();
    let mut done = 0;
    loop {
        let claimed = storage.claim(ask(5)).await.unwrap();
        if claimed.jobs.is_empty() {
            break;
        }
        for (details, lease) in claimed.jobs {
            assert!(acknowledged.contains(&details.job.id), "nothing is there that was refused");
            assert_eq!(settle(&storage, &lease, Verdict::Completed).await, Settled::Applied(State::Completed));
            done += 1;
        }
    }
    assert_eq!(done, acknowledged.len());
    storage.insert(vec![vec![job()]], Repeat::First).await.unwrap().remove(0).unwrap();
    assert_eq!(storage.remove(&Filter::all(), 1000).await.unwrap(), done as u64);
}
