//! Each command on the real binary: what it prints, as which JSON, and how it exits.

mod common;

use common::Place;

#[test]
fn a_job_is_enqueued_with_every_option_and_shown_with_all_of_them() {
    let place = Place::new();
    let id = "01937b2e-5c1a-7cc3-98c4-dc0c0c07398f";
    let printed = place.enqueue([
        "sleep",
        r#"{"seconds": 1.5}"#,
        "--id",
        id,
        "--queue",
        "slow",
        "--priority",
        "-7",
        "--in",
        "1h",
        "--expires-in",
        "2h",
        "--attempts",
        "4",
        "--backoff",
        "9s",
        "--timeout",
        "3s",
        "--unique",
        "bo",
        "--tag",
        "Night",
        "--meta",
        "n=7",
        "--meta",
        "city=Oslo",
        "--actor",
        "ann",
        "--tenant",
        "acme",
    ]);
    assert_eq!(printed, id);
    let shown = place.show(id);
    let job = &shown["job"];
    let table = [
        ("task", r#""sleep""#),
        ("queue", r#""slow""#),
        ("priority", "-7"),
        ("state", r#""pending""#),
        ("max_attempts", "4"),
        ("timeout", "3000000"),
        ("tags", r#"["night"]"#),
        ("metadata", r#"{"city":"Oslo","n":7}"#),
        ("actor", r#""ann""#),
        ("tenant", r#""acme""#),
        ("payload", r#"{"codec":"json","value":{"seconds":1.5}}"#),
    ];
    for (field, expected) in table {
        assert_eq!(job[field].to_string(), expected, "{field}");
    }
    assert_eq!(job["backoff"]["delays"]["fixed"], 9_000_000);
    assert_eq!(job["holds"][0]["key"], "sleep/bo");
    let text = place.run(["job", "show", id]).ok().stdout;
    for part in [
        "state         in 59m",
        "keys          sleep/bo",
        "payload       {\"seconds\": 1.5}",
        "tenant        acme",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn a_job_expires_at_an_instant_or_after_a_time() {
    let place = Place::new();
    let instant = "2130-01-31T10:30:00+01:00";
    let at = place.show(&place.enqueue(["noop", "--expires-at", instant]));
    assert_eq!(at["job"]["expires"], "2130-01-31T09:30:00Z");
    let after = place.show(&place.enqueue(["noop", "--expires-in", "1h"]));
    assert!(after["job"]["expires"].is_string(), "{after}");
    place
        .run([
            "job",
            "enqueue",
            "noop",
            "--expires-in",
            "1h",
            "--expires-at",
            instant,
        ])
        .fails(2, &["cannot be used with"]);
}

/// As a backup or another program may do it.
#[test]
fn a_change_is_tried_again_while_the_file_is_locked() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let place = Place::new();
    let id = place.enqueue(["noop"]);
    let lock = rusqlite::Connection::open(place.path("jobs.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = place.command();
    command
        .args(["job", "cancel", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut cancel = command.spawn().unwrap();
    let mut stderr = BufReader::new(cancel.stderr.take().unwrap());
    let mut told = String::new();
    stderr.read_line(&mut told).unwrap();
    // Only now, when the first try has failed.
    lock.execute_batch("ROLLBACK").unwrap();
    assert!(
        told.contains("WARN") && told.contains("trying again"),
        "{told}"
    );
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(
        (cancel.wait().unwrap().code(), rest.as_str()),
        (Some(0), "")
    );
    assert_eq!(place.state(&id), "cancelled");
}

#[test]
fn enqueueing_the_same_id_again_stores_nothing_and_is_no_error() {
    let place = Place::new();
    let id = "01937b2e-5c1a-7cc3-98c4-dc0c0c07398f";
    for _ in 0..2 {
        assert_eq!(place.enqueue(["noop", "--id", id]), id);
    }
    assert_eq!(
        place.json(["job", "list"])["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn payloads_come_from_the_command_line_a_file_or_standard_input() {
    let place = Place::new();
    place.write("payload.json", b" {\"seconds\": 2}\n");
    let from_file = place.enqueue(["sleep", "@payload.json"]);
    let from_input = place
        .run_with_input(["job", "enqueue", "sleep", "-"], "{\"seconds\": 2}")
        .ok()
        .stdout;
    for id in [from_file.as_str(), from_input.trim()] {
        assert_eq!(place.show(id)["job"]["payload"]["value"]["seconds"], 2);
    }
    // Without any: what the task takes.
    assert_eq!(
        place.show(&place.enqueue(["noop"]))["job"]["payload"]["value"].to_string(),
        "null"
    );
    assert_eq!(
        place.show(&place.enqueue(["fail"]))["job"]["payload"]["value"].to_string(),
        "{}"
    );
}

#[test]
fn many_jobs_are_enqueued_and_listed_page_by_page() {
    let place = Place::new();
    let printed = place
        .run(["job", "enqueue", "noop", "--count", "1203", "--tag", "many"])
        .ok();
    let ids: Vec<&str> = printed.stdout.lines().collect();
    assert_eq!(ids.len(), 1203);
    let mut seen = Vec::new();
    let mut next = place.json(["job", "list", "--asc", "--limit", "500"]);
    loop {
        seen.extend(
            next["jobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = next["next"].as_str().map(str::to_owned) else {
            break;
        };
        next = place.json(["job", "list", "--asc", "--limit", "500", "--after", &cursor]);
    }
    assert_eq!(seen, ids);
    // More than a page of the storage in one go, one object a line. The newest is the first,
    // unless it is said otherwise.
    for order in [&[][..], &["--desc"], &["--order", "created"]] {
        let mut arguments = vec!["job", "list", "--limit", "5000", "-o", "ndjson"];
        arguments.extend(order);
        let lines = place.start(&arguments).end().ok().lines();
        let reversed: Vec<_> = lines
            .iter()
            .rev()
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(reversed, ids, "{order:?}");
    }
    let text = place.run(["job", "list", "--limit", "2"]).ok().stdout;
    assert!(
        text.contains("2 jobs shown, there are more: go on with --after "),
        "{text}"
    );
}

#[test]
fn filters_narrow_a_listing() {
    let place = Place::new();
    let noop = place.enqueue(["noop", "--tag", "a", "--tag", "b"]);
    let sleep = place.enqueue(["sleep", r#"{"seconds":1}"#, "--queue", "slow"]);
    let count = |filter: &[&str]| {
        let mut arguments = vec!["job", "list", "-o", "ndjson"];
        arguments.extend(filter);
        let ids: Vec<String> = place
            .start(&arguments)
            .end()
            .ok()
            .lines()
            .iter()
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect();
        ids
    };
    assert_eq!(count(&["--task", "noop"]), std::slice::from_ref(&noop));
    assert_eq!(count(&["--queue", "slow"]), std::slice::from_ref(&sleep));
    assert_eq!(
        count(&["--tag", "a", "--tag", "B"]),
        std::slice::from_ref(&noop)
    );
    assert_eq!(count(&["--task", "noop", "--task", "sleep"]), [sleep, noop]);
    assert!(count(&["--state", "dead"]).is_empty() && count(&["--error", "x"]).is_empty());
    assert_eq!(
        place.run(["job", "list", "--state", "dead"]).ok().stdout,
        "no jobs\n"
    );
}

#[test]
fn jobs_are_cancelled_retried_and_deleted_by_id() {
    let place = Place::new();
    let id = &place.enqueue(["noop"]);
    let unknown = "01937b2e-5c1a-7cc3-98c4-dc0c0c07398f";
    let steps: [(&[&str], &str, i32); 7] = [
        (&["delete", id], "refused", 4),
        (&["retry", id], "refused", 4),
        (&["cancel", id], "done", 0),
        (&["cancel", id], "refused", 4),
        (&["retry", id, "--in", "1h"], "done", 0),
        (&["cancel", id], "done", 0),
        (&["delete", id], "done", 0),
    ];
    for (arguments, result, code) in steps {
        let mut all = vec!["job", "-o", "json"];
        all.extend(arguments);
        let done = place.start(&all).end();
        assert_eq!(done.code, Some(code), "{arguments:?} {done:?}");
        assert_eq!(done.json()[0]["result"], result, "{arguments:?}");
        assert_eq!(done.json()[0]["id"].as_str(), Some(id.as_str()));
    }
    for verb in ["cancel", "retry", "delete"] {
        let done = place.run(["job", verb, unknown]);
        assert_eq!(
            (done.code, done.stdout.contains("there is no such job")),
            (Some(3), true),
            "{done:?}"
        );
    }
    place
        .run(["job", "show", unknown])
        .fails(3, &["there is no job `01937b2e"]);
}

#[test]
fn jobs_are_cancelled_retried_and_deleted_by_what_they_have_in_common() {
    let place = Place::new();
    place
        .run(["job", "enqueue", "noop", "--count", "1100", "--tag", "x"])
        .ok();
    let other = place.enqueue(["noop"]);
    for many in [&["--tag", "x"][..], &["--all"], &["--state", "pending"]] {
        let mut arguments = vec!["job", "cancel"];
        arguments.extend(many);
        place.start(&arguments).end().fails(
            2,
            &[
                "this may cancel many jobs",
                "hint: look at them",
                "add `--yes`",
            ],
        );
    }
    assert_eq!(
        place.json(["job", "cancel", "--tag", "x", "--yes"])["done"],
        1100
    );
    assert_eq!(
        place.json(["job", "retry", "--tag", "x"])["done"],
        0,
        "only dead ones, unless a state is named"
    );
    assert_eq!(
        place.json(["job", "retry", "--tag", "x", "--state", "cancelled"])["done"],
        1100
    );
    assert_eq!(
        place
            .run(["job", "cancel", "--tag", "x", "--yes"])
            .ok()
            .stdout,
        "1100 cancelled\n"
    );
    assert_eq!(
        place.json(["job", "delete", "--all", "--yes"])["done"],
        1100
    );
    assert_eq!(place.state(&other), "pending");
}

#[test]
fn a_held_key_names_its_holder_and_exits_with_4() {
    let place = Place::new();
    let first = place.enqueue(["noop", "--unique", "k"]);
    let second = place
        .run(["job", "enqueue", "noop", "--unique", "k"])
        .fails(
            4,
            &[
                "the key `k` is held by the unfinished job",
                "hint: wait until",
            ],
        );
    assert_eq!(second.stdout.trim(), first);
    let entries = place
        .start(&["job", "enqueue", "noop", "--unique", "k", "-o", "json"])
        .end()
        .json();
    assert_eq!(
        (entries[0]["id"].as_str(), entries[0]["new"].as_bool()),
        (Some(first.as_str()), Some(false))
    );
}

#[test]
fn a_database_is_migrated_and_its_version_told() {
    let place = Place::new();
    let status = place.run(["migrate", "status"]);
    assert_eq!(
        (status.code, status.stdout.contains("does not exist")),
        (Some(3), true),
        "{status:?}"
    );
    assert!(!place.path("jobs.db").exists(), "looking makes no file");
    for _ in 0..2 {
        place.run(["migrate", "up"]).ok();
    }
    let status = place.json(["migrate", "status"]);
    assert_eq!(
        (status["is_current"].as_bool(), status["ours"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(status["current"], status["wanted"]);
}

#[test]
fn completions_are_printed_for_each_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(["completions", shell]).ok().stdout;
        assert!(
            script.contains("majordomo") && script.contains("enqueue"),
            "{shell}"
        );
    }
}

#[test]
fn the_help_names_every_exit_code() {
    let help = Place::new().run(["--help"]).ok().stdout;
    for line in [
        "0  done",
        "1  something failed",
        "2  bad usage",
        "3  no such job",
        "4  refused",
    ] {
        assert!(help.contains(line), "{help}");
    }
}

/// As `majordomo .. | head -1` does it.
#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let place = Place::new();
    place
        .run(["job", "enqueue", "noop", "--count", "3000"])
        .ok();
    let mut command = place.command();
    command
        .args(["job", "list", "--limit", "3000", "-o", "ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    // More than a pipe holds is still to come when it is closed.
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(first.starts_with('{'), "{first}");
    assert_eq!(
        (child.wait().unwrap().code(), stderr.as_str()),
        (Some(0), "")
    );
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_leaves_no_job_out() {
    let place = Place::new();
    place.run(["migrate", "up"]).ok();
    let mut command = place.command();
    // Nobody reads what it prints: the reading end is closed before it starts.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .args(["job", "enqueue", "noop", "--count", "1500"])
        .stdout(writer);
    assert_eq!(command.status().unwrap().code(), Some(0));
    let lines = place
        .run(["job", "list", "--limit", "5000", "-o", "ndjson"])
        .ok()
        .lines();
    assert_eq!(lines.len(), 1500);
}

#[test]
fn g113_finished_jobs_are_pruned_once_they_were_kept_long_enough() {
    let place = Place::new();
    for name in ["cancelled", "pending"] {
        place.enqueue(["noop", "--tag", name]);
    }
    place
        .run(["job", "cancel", "--tag", "cancelled", "--yes"])
        .ok();
    let told = place.run(["job", "prune", "--yes"]).ok();
    assert_eq!(told.stdout, "0 deleted\n", "7 days have not passed");
    let dry = || place.json(["job", "prune", "--dry-run", "--cancelled", "1s"]);
    place.until("the cancelled job is past its time", || dry()["done"] == 1);
    assert_eq!(dry()["dry_run"], true);
    let kept = place.json(["job", "prune", "--yes", "--cancelled", "forever"]);
    assert_eq!(
        (&kept["done"], &kept["dry_run"]),
        (&0.into(), &false.into())
    );
    let gone = place.json(["job", "prune", "--yes", "--cancelled", "1s"]);
    assert_eq!(gone["done"], 1);
    let left = place.json(["job", "list"]);
    assert_eq!(left["jobs"].as_array().map(Vec::len), Some(1), "{left}");
}

#[test]
fn a_prune_without_a_yes_or_with_a_time_that_makes_no_sense_is_refused() {
    let place = Place::new();
    let table: [(&[&str], &str); 3] = [
        (&[], "--dry-run"),
        (
            &["--yes", "--dead", "0s"],
            "retention of `dead` jobs is `0ns`",
        ),
        (&["--yes", "--dead", "never"], "or `forever`"),
    ];
    for (options, words) in table {
        let mut command = place.command();
        let done = command
            .args(["job", "prune"])
            .args(options)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(told.contains(words), "{told}");
        assert_eq!(done.status.code(), Some(2), "{told}");
    }
}
