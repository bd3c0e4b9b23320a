//! The demo: it ends well, twice in one file, and tells so.

mod common;

use common::Place;

#[test]
fn the_demo_ends_as_it_should_twice_in_one_file() {
    let place = Place::new();
    for _ in 0..2 {
        let done = place
            .run(["demo", "--storage", "sqlite:demo.db", "--jobs", "300"])
            .ok();
        assert!(
            done.stdout.contains("Every job ended as it should."),
            "{}",
            done.stdout
        );
        assert!(
            done.stdout
                .contains("sqlite:demo.db job list --queue demo-"),
            "{}",
            done.stdout
        );
        assert!(
            done.stderr.contains("demo-report 100/100 %"),
            "{}",
            done.stderr
        );
    }
    assert!(
        !place.path("jobs.db").exists(),
        "the demo leaves the storage of the environment alone"
    );
    let dead = place.json([
        "job",
        "list",
        "--storage",
        "sqlite:demo.db",
        "--state",
        "dead",
    ]);
    assert_eq!(
        dead["jobs"].as_array().unwrap().len(),
        6,
        "three in each run"
    );
}

#[test]
fn the_demo_counts_what_became_of_each_kind() {
    let result = Place::new().json(["demo", "--storage", "memory:", "--jobs", "100"]);
    assert_eq!(
        (result["as_expected"].as_bool(), result["jobs"].as_u64()),
        (Some(true), Some(100))
    );
    let kinds = result["kinds"].as_array().unwrap();
    let sum = |field: &str| {
        kinds
            .iter()
            .map(|kind| kind[field].as_u64().unwrap())
            .sum::<u64>()
    };
    let ends = ["completed", "dead", "cancelled", "expired", "unfinished"].map(sum);
    assert_eq!(ends, [97, 1, 1, 1, 0]);
    // Half of the ten flaky ones fail once, half twice; the doomed one fails three times; the late one never starts.
    assert_eq!(sum("attempts"), 100 + 5 + 10 + 2 - 1);
}

#[cfg(unix)]
#[test]
fn an_interrupted_demo_drains_and_leaves_no_job_behind() {
    // Enough jobs that some are left whenever the signal comes.
    let place = Place::new();
    let demo = place.start(&["demo", "--storage", "sqlite:demo.db", "--jobs", "20000"]);
    let list = [
        "job",
        "list",
        "--storage",
        "sqlite:demo.db",
        "--state",
        "completed",
        "-o",
        "ndjson",
    ];
    place.until("the first jobs", || {
        let done = place.run(list);
        done.code == Some(0) && !done.stdout.is_empty()
    });
    demo.signal("INT");
    let ended = demo.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("error: the demo was interrupted"),
        "{}",
        ended.stderr
    );
    for state in ["pending", "running"] {
        let left = place.json([
            "job",
            "list",
            "--storage",
            "sqlite:demo.db",
            "--state",
            state,
        ]);
        assert!(left["jobs"].as_array().unwrap().is_empty(), "{left}");
    }
}

#[cfg(unix)]
#[test]
fn the_commands_printed_at_the_end_work_as_they_are() {
    use std::process::Command;

    let place = Place::new();
    let demo = |by_cargo: bool| {
        let mut command = place.command();
        command.args(["demo", "--jobs", "20"]);
        // Where the demo's own file goes, with a name that a shell would take apart.
        let folder = place.path("a b");
        std::fs::create_dir_all(&folder).unwrap();
        command.env("TMPDIR", folder).env("USER", "tester");
        if by_cargo {
            command.env("CARGO_PKG_NAME", "majordomo-cli");
        }
        common::Started::new(command, "demo".to_owned()).end().ok()
    };
    let ended = demo(false).stdout;
    assert!(
        place.path("a b/majordomo-demo-tester.db").exists(),
        "{ended}"
    );
    let (_, commands) = ended.split_once("Look closer:\n").unwrap();
    assert_eq!(commands.lines().count(), 2, "{ended}");
    for line in commands.lines() {
        let shell = Command::new("sh")
            .args(["-c", line])
            .current_dir(place.path("."))
            .output()
            .unwrap();
        let text = String::from_utf8(shell.stdout).unwrap();
        assert!(
            shell.status.success() && text.contains("dead (exhausted)"),
            "{line}: {text}"
        );
    }
    let words = if cfg!(debug_assertions) {
        "  cargo run -- --storage "
    } else {
        "  cargo run --release -- --storage "
    };
    assert_eq!(demo(true).stdout.matches(words).count(), 2);
}
