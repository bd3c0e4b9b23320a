//! `job enqueue --wait`: without a worker, with a limit, and with one that comes late.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use common::Place;

#[test]
fn a_wait_without_a_worker_asks_for_one_once_and_ends_at_its_limit() {
    let place = Place::new();
    // The limit is over only after the hint was due, however slow the machine is.
    let done = place.run(["job", "enqueue", "noop", "--queue", "slow", "--wait=2500ms"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(
        lines[0],
        "hint: still pending; is a worker running for queue `slow`? (`majordomo worker --queue slow`)"
    );
    assert!(
        lines[1].starts_with("error: 1 of 1 jobs had not ended after "),
        "{done:?}"
    );
    assert!(
        lines[2].starts_with("hint: they stay as they are;"),
        "{done:?}"
    );
    assert_eq!(lines.len(), 3, "{done:?}");
    assert_eq!(place.state(done.stdout.trim()), "pending");
}

#[test]
fn a_job_that_is_not_due_yet_misses_no_worker() {
    let place = Place::new();
    let done = place
        .run(["job", "enqueue", "noop", "--in", "1h", "--wait=2500ms"])
        .fails(1, &["1 of 1 jobs had not ended"]);
    assert!(!done.stderr.contains("still pending"), "{done:?}");
    assert_eq!(place.state(done.stdout.trim()), "pending");
}

#[cfg(unix)]
#[test]
fn a_wait_without_a_limit_lasts_until_a_worker_comes() {
    let place = Place::new();
    let mut command = place.command();
    command
        .args(["job", "enqueue", "noop", "--wait"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut waiting = command.spawn().unwrap();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    let mut hint = String::new();
    stderr.read_line(&mut hint).unwrap();
    assert_eq!(
        hint,
        "hint: still pending; is a worker running for queue `default`? (`majordomo worker`)\n"
    );
    let worker = place.start(&["worker"]);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(
        (waiting.wait().unwrap().code(), rest.as_str()),
        (Some(0), "")
    );
    let mut stdout = String::new();
    waiting.stdout.unwrap().read_to_string(&mut stdout).unwrap();
    assert!(stdout.ends_with("1 completed\n"), "{stdout}");
    worker.signal("TERM");
    worker.end().ok();
}
