//! Queues, tasks, workers and explanations on the real binary: what is printed,
//! as which JSON, and that workers of other processes heed it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::{Place, Started};
use serde_json::{Value, json};

impl Place {
    fn worker(&self, more: &[&str]) -> Started {
        let mut arguments = vec![
            "worker", "--name", "tester", "--drain", "1s", "-o", "ndjson",
        ];
        arguments.extend(more);
        let started = self.start(&arguments);
        self.until("the worker", || {
            self.path("jobs.db").exists() && !self.workers().is_empty()
        });
        started
    }

    fn workers(&self) -> Vec<Value> {
        let done = self.run(["workers", "-o", "ndjson"]);
        // Another process may be just making the file.
        match done.code {
            Some(0) => done.lines(),
            _ => Vec::new(),
        }
    }

    fn reasons(&self, id: &str) -> Vec<String> {
        let told = self.json(["job", "explain", id]);
        let reasons = told["reasons"].as_array().unwrap().iter();
        let names = reasons.map(|reason| reason["reason"].as_str().unwrap().to_owned());
        names.collect()
    }
}

fn stop(worker: Started) {
    worker.signal("TERM");
    worker.end().ok();
}

#[test]
fn a_queue_is_paused_limited_and_released_and_each_keeps_the_other() {
    let place = Place::new();
    place.run(["migrate", "up"]).ok();
    let steps: [(&[&str], &str); 6] = [
        (
            &["queue", "limit", "default", "3"],
            "queue default: at most 3 at once\n",
        ),
        (
            &["queue", "pause", "default", "--note", "by ann"],
            "queue default: paused (by ann), at most 3 at once\n",
        ),
        (
            &["queue", "unlimit", "default"],
            "queue default: paused (by ann)\n",
        ),
        (&["queue", "resume", "default"], "queue default: open\n"),
        (
            &["queue", "pause", "default", "--for", "100years"],
            "queue default: paused for 99years 11months\n",
        ),
        (&["queue", "resume", "default"], "queue default: open\n"),
    ];
    for (arguments, expected) in steps {
        let told = place.start(arguments).end().ok();
        assert_eq!(told.stdout, expected, "{arguments:?}");
        assert_eq!(told.stderr, "");
    }
    let set = place.json([
        "queue",
        "pause",
        "default",
        "--until",
        "2130-01-01T00:00:00Z",
    ]);
    assert_eq!(
        set,
        json!({
            "scope": { "queue": "default" },
            "control": {
                "paused": { "note": "", "until": "2130-01-01T00:00:00Z" },
                "max_running": null,
            },
        })
    );
}

#[test]
fn queues_and_tasks_are_listed_in_every_format() {
    let place = Place::new();
    place.enqueue(["noop"]);
    place.enqueue(["strange", "--force", "--queue", "mail"]);
    place.run(["queue", "limit", "mail", "0"]).ok();
    place
        .run(["task", "pause", "strange", "--note", "why"])
        .ok();
    let queues = place.json(["queue", "list"]);
    assert_eq!(queues[0]["name"], "default");
    assert_eq!(queues[0]["waiting"], json!({ "jobs": 1, "or_more": false }));
    assert_eq!(queues[1]["control"]["max_running"], 0);
    let text = place.run(["queue", "list"]).ok().stdout;
    assert!(text.contains("at most 0 at once"), "{text}");
    let lines = place.run(["queue", "list", "-o", "ndjson"]).ok().lines();
    assert_eq!(lines.len(), 2);

    let tasks = place.json(["task", "list"]);
    assert_eq!(tasks[1]["name"], "strange");
    assert_eq!(tasks[1]["orphaned"], true);
    assert_eq!(tasks[1]["control"]["paused"]["note"], "why");
    let text = place.run(["task", "list"]).ok().stdout;
    for part in ["by nobody, and jobs wait", "never", "paused (why)"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    place.run(["task", "resume", "strange"]).ok();
    place.run(["task", "limit", "strange", "2"]).ok();
    place.run(["task", "unlimit", "strange"]).ok();
    assert_eq!(place.run(["workers"]).ok().stdout, "no workers\n");
    assert_eq!(place.json(["workers"]), json!([]));
}

#[test]
fn bad_names_and_numbers_are_refused_and_strange_ones_are_told() {
    let place = Place::new();
    place
        .run(["queue", "pause", "x"])
        .fails(3, &["there is no database"]);
    place.run(["migrate", "up"]).ok();
    place
        .run(["queue", "pause", ""])
        .fails(2, &["the queue is empty"]);
    place.run(["queue", "limit", "x", "-1"]).fails(2, &["-1"]);
    place
        .run(["queue", "pause", "x", "--until", "soon"])
        .fails(2, &["RFC 3339"]);
    place
        .run([
            "queue",
            "pause",
            "x",
            "--for",
            "1h",
            "--until",
            "2130-01-01T00:00:00Z",
        ])
        .fails(2, &["cannot be used with"]);
    let past = [
        "queue",
        "pause",
        "default",
        "--until",
        "2020-01-01T00:00:00Z",
    ];
    let past = place.run(past).fails(
        2,
        &["cannot pause until `2020-01-01T00:00:00Z`, which has passed"],
    );
    assert_eq!(past.stdout, "");
    assert_eq!(
        place.json(["queue", "list"])[0]["control"]["paused"],
        Value::Null
    );
    let strange = place.run(["queue", "pause", "maill"]).ok();
    assert!(
        strange
            .stderr
            .starts_with("hint: no queue `maill` is known yet; `majordomo queue list`"),
        "{strange:?}"
    );
    let unknown = "01937b2e-5c1a-7cc3-98c4-dc0c0c07398f";
    place
        .run(["job", "explain", unknown])
        .fails(3, &["there is no job `01937b2e", "hint: "]);
}

#[test]
fn a_worker_of_another_process_is_listed_and_heeds_controls_at_once() {
    let place = Place::new();
    let worker = place.worker(&["--poll", "1day", "--queue", "default", "--queue", "open"]);
    let listed = &place.workers()[0];
    assert_eq!(
        (&listed["name"], &listed["queues"], &listed["tasks"]),
        (
            &json!("tester"),
            &json!(["default", "open"]),
            &json!(["noop", "sleep", "fail"])
        )
    );
    let text = place.run(["workers"]).ok().stdout;
    assert!(
        text.contains("tester") && text.contains("default, open"),
        "{text}"
    );

    place
        .run(["queue", "pause", "default", "--note", "wait"])
        .ok();
    let held = place.enqueue(["noop"]);
    place
        .run(["job", "enqueue", "noop", "--queue", "open", "--wait"])
        .ok();
    assert_eq!(place.reasons(&held), ["paused"]);
    let text = place.run(["job", "explain", &held]).ok().stdout;
    let expected =
        format!("job {held} is pending\n- its queue `default` is paused (`wait`); resume it\n");
    assert_eq!(text, expected);
    place.run(["queue", "resume", "default"]).ok();
    place.until("the job", || place.state(&held) == "completed");
    assert_eq!(place.reasons(&held), ["finished"]);
    let tasks = place.json(["task", "list"]);
    assert_eq!(tasks[1]["name"], "noop");
    assert_eq!(tasks[1]["workers"], json!(["tester"]));
    stop(worker);
    assert!(place.workers().is_empty());
    let text = place.run(["task", "list"]).ok().stdout;
    assert!(text.contains("by nobody now"), "{text}");
}

#[test]
fn b33_a_worker_that_starts_warns_once_of_jobs_that_nobody_will_run() {
    let place = Place::new();
    for _ in 0..3 {
        place.enqueue(["strange", "--force"]);
    }
    place.enqueue(["other", "--force", "--queue", "elsewhere"]);
    let mut command = place.command();
    command
        .args(["worker", "--drain", "1s", "--no-color"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut worker = command.spawn().unwrap();
    let mut stderr = BufReader::new(worker.stderr.take().unwrap());
    let mut told = String::new();
    stderr.read_line(&mut told).unwrap();
    assert!(
        told.contains("WARN") && told.contains("`strange` (3)"),
        "{told}"
    );
    assert!(
        told.contains("no live worker provides") && !told.contains("other"),
        "{told}"
    );
    let signal = std::process::Command::new("kill")
        .args(["-TERM", &worker.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    assert!(worker.wait().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert!(!rest.contains("strange"), "{rest}");
}

#[test]
fn the_new_commands_are_in_the_completions() {
    let script = Place::new().run(["completions", "bash"]).ok().stdout;
    for word in ["explain", "unlimit", "workers", "--until"] {
        assert!(script.contains(word), "{word}");
    }
}
