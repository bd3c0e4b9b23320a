//! A worker process from start to stop, its jobs enqueued by other processes.

#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Place, Started};

impl Place {
    fn worker(&self, more: &[&str]) -> Started {
        let mut arguments = vec![
            "worker", "--name", "tester", "--drain", "1s", "-o", "ndjson",
        ];
        arguments.extend(more);
        self.start(&arguments)
    }
}

#[test]
fn g60_g70_a_worker_runs_what_other_processes_enqueue_until_it_is_told_to_stop() {
    let place = Place::new();
    let before = place.enqueue(["noop", r#"{"bytes":"xxxx"}"#]);
    let worker = place.worker(&[]);
    let done = place
        .run(["job", "enqueue", "noop", "--count", "700", "--wait"])
        .ok();
    assert!(done.stdout.ends_with("700 completed\n"));
    place.until("the first job", || place.state(&before) == "completed");
    let slept = place
        .run([
            "job",
            "enqueue",
            "sleep",
            r#"{"seconds": 0.6}"#,
            "--wait",
            "-o",
            "json",
        ])
        .ok();
    let slept = place.show(slept.json()[0]["id"].as_str().unwrap());
    assert_eq!(slept["job"]["progress"]["percent"], 100.0);
    assert_eq!(slept["attempts"][0]["worker"], "tester");
    worker.signal("TERM");
    let ended = worker.end().ok().lines();
    assert_eq!(
        (ended[0]["event"].as_str(), ended[1]["event"].as_str()),
        (Some("started"), Some("stopped"))
    );
    assert_eq!(ended[0]["tasks"].to_string(), r#"["noop","sleep","fail"]"#);
    assert_eq!(
        (
            ended[0]["durability"].as_str(),
            ended[0]["promise"].as_str()
        ),
        (Some("full"), Some("safe from a power cut"))
    );
}

#[test]
fn a_worker_fits_what_was_not_said_to_the_lease_or_the_heartbeat() {
    for option in [["--lease", "5s"], ["--heartbeat", "20s"]] {
        let place = Place::new();
        let worker = place.worker(&option);
        place.run(["job", "enqueue", "noop", "--wait=120s"]).ok();
        worker.signal("TERM");
        worker.end().ok();
    }
}

#[test]
fn a_worker_names_the_durability_as_the_option_does() {
    let place = Place::new();
    let table = [
        ("sqlite:a.db", "(durability=full: safe from a power cut)"),
        (
            "sqlite:a.db?durability=relaxed",
            "(durability=relaxed: safe from a crash, not from a power cut)",
        ),
        ("memory:", "in memory (volatile: gone with this process)"),
    ];
    for (storage, words) in table {
        let mut command = place.command();
        command
            .args(["worker", "--storage", storage])
            .stdout(Stdio::piped());
        let mut worker = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(worker.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn failures_are_retried_told_and_found_by_their_words() {
    let place = Place::new();
    let worker = place.worker(&[]);
    let options = ["--backoff", "10ms", "--attempts", "3", "--wait"];
    let enqueue = |payload: &str| {
        let mut arguments = vec!["job", "enqueue", "fail", payload];
        arguments.extend(options);
        place.start(&arguments).end()
    };
    let recovered = enqueue(r#"{"times": 2}"#).ok();
    let recovered = place.show(recovered.stdout.lines().next().unwrap());
    assert_eq!(
        (
            recovered["job"]["charged"].as_u64(),
            recovered["attempts"].as_array().unwrap().len()
        ),
        (Some(2), 3)
    );
    let dead = enqueue(r#"{"message": "the moon is full"}"#)
        .fails(1, &["is dead (exhausted): the moon is full"]);
    let panicked = place.run([
        "job",
        "enqueue",
        "fail",
        r#"{"how": "panic"}"#,
        "--attempts",
        "1",
        "--wait",
    ]);
    assert_eq!(panicked.code, Some(1));
    let found = place
        .run(["job", "list", "--error", "MOON", "-o", "ndjson"])
        .ok()
        .lines();
    assert_eq!(
        (found.len(), found[0]["id"].as_str()),
        (1, Some(dead.stdout.trim()))
    );
    let text = place.run(["job", "show", dead.stdout.trim()]).ok().stdout;
    assert_eq!(
        text.matches("the moon is full").count(),
        5,
        "payload, error and three attempts: {text}"
    );
    // The one that completed in the end has its failure behind it.
    let id = recovered["job"]["id"].as_str().unwrap();
    let text = place.run(["job", "show", id]).ok().stdout;
    assert!(
        text.contains("\nlast error    error: failed on request\n"),
        "{text}"
    );
    let list = place.run(["job", "list"]).ok().stdout;
    let row = list.lines().find(|line| line.contains(id)).unwrap();
    assert!(
        !row.contains("failed on request") && list.contains("the moon is full"),
        "{list}"
    );
    let kinds = place.json(["job", "show", panicked.stdout.trim()]);
    assert_eq!(kinds["job"]["error"]["kind"], "panic");
    worker.signal("INT");
    worker.end().ok();
}

#[test]
fn g71_what_a_job_logs_is_shown_with_it() {
    let place = Place::new();
    let worker = place.worker(&["--log", "error"]);
    let fails = [
        "job",
        "enqueue",
        "fail",
        r#"{"times": 1}"#,
        "--backoff",
        "10ms",
        "--wait",
    ];
    let failed = place.run(fails).ok();
    let id = failed.stdout.lines().next().unwrap();
    let log = &place.show(id)["log"];
    assert_eq!(
        log.as_array().unwrap().len(),
        1,
        "and nothing of the engine: {log}"
    );
    assert_eq!(log[0]["level"], "info");
    let slept = place.enqueue(["sleep", r#"{"seconds": 0.01}"#]);
    place.until("the sleep", || place.state(&slept) == "completed");
    let text = place.run(["job", "show", &slept]).ok().stdout;
    assert!(
        text.contains("  info  majordomo::tasks: sleeping for 10ms"),
        "{text}"
    );
    worker.signal("TERM");
    let ended = worker.end().ok();
    assert_eq!(ended.stderr, "", "only errors were to be printed");
}

#[test]
fn gx19_a_running_job_is_asked_to_stop() {
    let place = Place::new();
    let worker = place.worker(&[]);
    let id = place.enqueue(["sleep", r#"{"seconds": 3600}"#]);
    place.until("the job to run", || place.state(&id) == "running");
    let asked = place.json(["job", "cancel", &id]);
    assert_eq!(asked[0]["result"], "asked");
    place.until("the job to stop", || place.state(&id) == "cancelled");
    worker.signal("TERM");
    worker.end().ok();
}

#[test]
fn g70_a_stopped_worker_gives_back_what_it_could_not_finish() {
    let place = Place::new();
    let worker = place.worker(&[]);
    let id = place.enqueue(["sleep", r#"{"seconds": 3600}"#]);
    place.until("the job to run", || place.state(&id) == "running");
    worker.signal("TERM");
    worker.end().ok();
    let shown = place.show(&id);
    assert_eq!(
        (
            shown["job"]["state"].as_str(),
            shown["job"]["charged"].as_u64()
        ),
        (Some("pending"), Some(0))
    );
    assert_eq!(shown["attempts"][0]["ending"], "released");
}

#[test]
fn gx2_a_job_that_took_its_process_down_is_run_again_by_another() {
    let place = Place::new();
    let id = place.enqueue([
        "fail",
        r#"{"how": "abort", "times": 1}"#,
        "--backoff",
        "10ms",
    ]);
    // A lease that runs out soon, and is looked for often, so that nobody waits long.
    let soon = ["--lease", "2s", "--heartbeat", "200ms", "--sweep", "200ms"];
    let crashed = place.worker(&soon).end();
    assert_eq!(crashed.code, None, "ended by a signal: {crashed:?}");
    let worker = place.worker(&soon);
    place.until("the recovery", || place.state(&id) == "completed");
    let shown = place.show(&id);
    assert_eq!(
        (
            shown["job"]["crashes"].as_u64(),
            shown["attempts"][0]["ending"].as_str()
        ),
        (Some(1), Some("lost"))
    );
    worker.signal("TERM");
    worker.end().ok();
}

#[test]
fn what_another_worker_has_registered_can_be_enqueued_by_name() {
    let place = Place::new();
    let storage = format!("sqlite:{}", place.path("jobs.db").display());
    // The demo's tasks are not built into `job enqueue`; it learns of them from the storage.
    place
        .run(["job", "enqueue", "demo-quick", r#"{"millis": 1}"#])
        .fails(2, &["`demo-quick` is not known"]);
    place
        .run(["demo", "--jobs", "20", "--storage", &storage])
        .ok();
    let id = place.enqueue(["demo-quick", r#"{"millis": 1}"#]);
    assert_eq!(
        place.show(&id)["job"]["tags"].to_string(),
        r#"["demo"]"#,
        "with the defaults of the task"
    );
    place
        .run(["job", "enqueue", "demo-quick", r#"{"millis": -1}"#])
        .fails(2, &["at `/millis`"]);
    place
        .run(["job", "enqueue", "demo-quik"])
        .fails(2, &["did you mean `demo-quick`?"]);
}
