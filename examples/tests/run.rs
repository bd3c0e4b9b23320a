//! Runs every example and compares what it prints.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that cargo builds examples into, beside the one this test runs from.
fn built(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile
        .join("examples")
        .join(format!("{example}{}", std::env::consts::EXE_SUFFIX))
}

fn prints(example: &str, expected: &str) {
    prints_with(example, &[], expected);
}

fn prints_with(example: &str, arguments: &[&Path], expected: &str) {
    let mut command = Command::new(built(example));
    let output = command.args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_task_by_hand_runs() {
    prints("by_hand", "the sum is 103\n");
}

#[test]
fn every_failure_means_what_it_says() {
    prints(
        "failures",
        "flaky: charged at attempt 2; 2 runs\n\
         busy: charged at attempt 1; 2 runs\n\
         closed: the job is dead (permanent): the account is closed; 1 runs\n\
         unwanted: the job was cancelled; 1 runs\n\
         bug: the job is dead (exhausted): index out of bounds; 3 runs\n",
    );
}

#[test]
fn g60_one_program_only_enqueues_and_another_only_works() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("enqueue_and_work");
    // What an earlier run may have left.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("jobs.db");
    prints_with(
        "enqueue_only",
        &[&file],
        "enqueued a greeting for ann\nenqueued a greeting for bo\nworkers here: 0\n",
    );
    prints_with("work_only", &[&file], "greeted ann\ngreeted bo\n");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_example_is_run() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["by_hand", "enqueue_only", "failures", "work_only"],
        "add a test for each new example"
    );
}
