//! Bad input: one clear message that names the value and the fix, an exit code
//! that is not 0, and nothing done.

mod common;

use common::{Place, patch};

#[test]
fn every_bad_value_is_named_with_what_to_do() {
    let place = Place::new();
    place.write("broken.json", b"{\"seconds\": ");
    let table: &[(&[&str], &[&str])] = &[
        (
            &["--storage", "oracle:x", "job", "list"],
            &[
                "`oracle` in `oracle:x`",
                "hint: the storages are `sqlite:PATH`",
            ],
        ),
        (
            &["--storage", "jobs.db", "job", "list"],
            &["`jobs.db` is not the URL", "say `sqlite:jobs.db`"],
        ),
        (
            &["--storage", "memory:x", "job", "list"],
            &["takes no path `x`", "hint: say `memory:`"],
        ),
        (
            &["job", "enqueue", "slep"],
            &[
                "the task `slep` is not known",
                "hint: did you mean `sleep`?",
            ],
        ),
        (
            &["job", "enqueue", "noop", "{a:1}"],
            &["`{a:1}` is not JSON", "line 1 column 2", "hint: quote it"],
        ),
        (
            &["job", "enqueue", "sleep", "@broken.json"],
            &["the payload in `broken.json`", "is not JSON"],
        ),
        (
            &["job", "enqueue", "sleep", "@none.json"],
            &["from `none.json`", "No such file"],
        ),
        (
            &["job", "enqueue", "sleep", r#"{"seconds":"x"}"#],
            &[
                "task `sleep`",
                "at `/seconds`",
                "\"x\" is not of type",
                "hint: correct",
            ],
        ),
        (
            &["job", "enqueue", "sleep", "{}"],
            &["at its root", "\"seconds\" is a required property"],
        ),
        (
            &["job", "enqueue", "sleep", r#"{"seconds":-1}"#],
            &["at `/seconds`", "-1"],
        ),
        (
            &["job", "enqueue", "fail", r#"{"how":"softly"}"#],
            &["at `/how`", "softly"],
        ),
        (
            &["job", "enqueue", "fail", r#"{"tims":1}"#],
            &["'tims' was unexpected"],
        ),
        (
            &["job", "enqueue", "noop", "--in", "5 apples"],
            &["'5 apples' for '--in", "write for example `30s`"],
        ),
        (
            &["job", "enqueue", "noop", "--at", "tomorrow"],
            &["'tomorrow' for '--at", "2030-01-31T09:30:00Z"],
        ),
        (
            &[
                "job",
                "enqueue",
                "noop",
                "--in",
                "1s",
                "--at",
                "2030-01-01T00:00:00Z",
            ],
            &["cannot be used with"],
        ),
        (
            &["job", "enqueue", "noop", "--attempts", "0"],
            &["with 0 attempts", "hint: give it at least 1"],
        ),
        (
            &["job", "enqueue", "noop", "--attempts", "many"],
            &["'many' for '--attempts"],
        ),
        (
            &["job", "enqueue", "noop", "--priority", "70000"],
            &["'70000' for '--priority"],
        ),
        (
            &["job", "enqueue", "noop", "--queue", ""],
            &["the queue is empty"],
        ),
        (
            &["job", "enqueue", "noop", "--queue", "a\nb"],
            &["the queue `a\\nb` holds control characters"],
        ),
        (
            &["job", "enqueue", "noop", "--meta", "seven"],
            &["'seven' for '--meta", "write it as `key=value`"],
        ),
        (
            &["job", "enqueue", "noop", "--count", "0"],
            &["'0' for '--count"],
        ),
        (
            &["job", "enqueue", "noop", "{\"a\":\"\\u0000\"}"],
            &["a NUL character", "hint: "],
        ),
        (
            &["job", "enqueue", "noop", "--wait=soon"],
            &["'soon' for '--wait", "write for example `30s`"],
        ),
        (
            &["job", "enqueue", "noop", "--expires-at", "soon"],
            &["'soon' for '--expires-at", "2030-01-31T09:30:00Z"],
        ),
        (
            &["job", "list", "--asc", "--desc"],
            &["cannot be used with"],
        ),
        (
            &["--storage", "memory:", "job", "enqueue", "noop", "--wait"],
            &["`--wait` would wait for ever", "hint: use"],
        ),
        (
            &["job", "list", "--state", "done"],
            &["'done' for '--state", "pending, running, completed, dead"],
        ),
        (&["job", "list", "--after", "7"], &["`7` is not a cursor"]),
        (
            &["job", "list", "-o", "xml"],
            &["'xml' for '--output", "ndjson"],
        ),
        (&["job", "show", "x"], &["`x` is not a job id", "01937b2e"]),
        (&["job", "cancel"], &["no job is named", "hint: give ids"]),
        (
            &["job", "cancel", "--all"],
            &["may cancel many jobs", "add `--yes`"],
        ),
        (
            &["job", "delete", "--all"],
            &["may delete many jobs", "add `--yes`"],
        ),
        (
            &["worker", "--lease", "1ms"],
            &[
                "the worker's `lease` is `1ms`",
                "hint: it may be from `10ms`",
            ],
        ),
        (
            &["worker", "--concurrency", "0"],
            &["`concurrency` is `0`", "hint: it may be from `1`"],
        ),
        (
            &["worker", "--queue", "a", "--queue", "a"],
            &["queue `a` is given twice"],
        ),
        (&["demo", "--jobs", "3"], &["'3' for '--jobs", "20..="]),
        (
            &["--log", "=/=", "job", "list"],
            &["`=/=` is not a log filter", "hint: say `error`"],
        ),
        (
            &["--storage", "memory:", "migrate", "up"],
            &["`memory:` has no schema", "hint: name a file"],
        ),
        (&["jobs"], &["unrecognized subcommand 'jobs'"]),
    ];
    for (arguments, words) in table {
        let done = place.start(arguments).end().fails(2, words);
        assert_eq!(done.stdout, "", "{arguments:?}");
        // A worker is refused only once it is there.
        if arguments[0] == "worker" {
            std::fs::remove_file(place.path("jobs.db")).unwrap();
        }
        assert!(
            !place.path("jobs.db").exists(),
            "{arguments:?} leaves a file"
        );
    }
    place.run(["migrate", "up"]).ok();
    assert!(
        place.json(["job", "list"])["jobs"]
            .as_array()
            .unwrap()
            .is_empty(),
        "nothing was enqueued"
    );
}

#[test]
fn a_payload_over_the_limit_is_refused_from_wherever_it_comes() {
    let place = Place::new();
    let payload = |bytes: usize| format!("{{\"bytes\":\"{}\"}}", "x".repeat(bytes - 12));
    let limit = 1024 * 1024;
    place.write("fits.json", payload(limit).as_bytes());
    place.enqueue(["noop", "@fits.json"]);
    place.write("over.json", payload(limit + 1).as_bytes());
    let words = [
        "has 1048577 bytes, the limit is 1048576",
        "hint: store the data elsewhere",
    ];
    place
        .run(["job", "enqueue", "noop", "@over.json"])
        .fails(2, &words);
    place
        .run_with_input(["job", "enqueue", "noop", "-"], &payload(limit + 1))
        .fails(2, &words);
    place.write("huge.json", payload(5 * limit).as_bytes());
    place
        .run(["job", "enqueue", "noop", "@huge.json"])
        .fails(2, &["`huge.json`", "the limit is 1048576"]);
    assert_eq!(
        place.json(["job", "list"])["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn force_enqueues_what_is_not_known_or_does_not_fit() {
    let place = Place::new();
    for arguments in [["slep", "{}"], ["sleep", "\"x\""]] {
        let id = place.enqueue([arguments[0], arguments[1], "--force"]);
        assert_eq!(place.show(&id)["job"]["task"], arguments[0]);
    }
}

#[test]
fn files_that_cannot_be_used_are_named_and_left_as_they_are() {
    let place = Place::new();
    let list = |storage: &str| place.run(["--storage", storage, "job", "list"]);
    place.write(
        "notes.txt",
        &b"Dear diary, today I was taken for a database.\n".repeat(100),
    );
    let before = std::fs::read(place.path("notes.txt")).unwrap();
    list("sqlite:notes.txt").fails(
        1,
        &[
            "notes.txt` is not a SQLite database",
            "hint: choose another path",
        ],
    );
    place
        .run(["--storage", "sqlite:notes.txt", "job", "enqueue", "noop"])
        .fails(1, &["is not a SQLite database"]);
    assert_eq!(std::fs::read(place.path("notes.txt")).unwrap(), before);
    list("sqlite:none.db").fails(3, &["there is no database `none.db`", "hint: name another"]);
    assert!(
        !place.path("none.db").exists(),
        "a look at a mistyped path leaves no file"
    );
    list("sqlite:none/jobs.db").fails(1, &["`none/jobs.db` does not exist", "hint: "]);
    place
        .run(["--storage", "sqlite:notes.txt/x.db", "migrate", "up"])
        .fails(1, &["notes.txt/x.db", "hint: "]);
    place
        .run(["--storage", "sqlite:.", "migrate", "up"])
        .fails(1, &["is a folder", "hint: "]);
    let status = place.run(["--storage", "sqlite:notes.txt", "migrate", "status"]);
    assert_eq!(
        (
            status.code,
            status.stdout.contains("not a database of Majordomo")
        ),
        (Some(1), true),
        "{status:?}"
    );
}

#[test]
fn databases_of_others_and_of_the_future_are_refused() {
    let place = Place::new();
    let path = place.path("jobs.db");
    let id = place.enqueue(["noop"]);
    assert!(
        !place.path("jobs.db-wal").exists(),
        "a command that has ended leaves its file whole"
    );
    let own = std::fs::read(&path).unwrap();
    let refused = |words: &[&str]| {
        for arguments in [
            &["job", "list"][..],
            &["job", "enqueue", "noop"],
            &["migrate", "up"],
            &["worker"],
        ] {
            place.start(arguments).end().fails(1, words);
        }
        assert_eq!(place.run(["migrate", "status"]).code, Some(1));
    };
    // The version of the schema, in SQLite's header.
    patch(&path, 60, 99);
    refused(&[
        "has schema version 99",
        "hint: it was migrated by a newer Majordomo: update",
    ]);
    // The program that a file belongs to.
    patch(&path, 68, 0x4d4f_4f4e);
    refused(&[
        "belongs to another program",
        "hint: give Majordomo a file of its own",
    ]);
    std::fs::write(&path, own).unwrap();
    assert_eq!(place.state(&id), "pending");
}

/// Nobody may make a file there, not even root.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let words = [
        "cannot write to `/sys/jobs.db`",
        "hint: the file and its folder must be writable",
    ];
    Place::new()
        .run(["--storage", "sqlite:/sys/jobs.db", "job", "enqueue", "noop"])
        .fails(1, &words);
}
