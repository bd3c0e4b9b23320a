//! What jobs carry is shown to people without anything that a terminal would obey.

mod common;

use common::{Done, Place};
use majordomo::prelude::*;
use serde_json::json;

/// Clears the screen, in the 7-bit way and in the 8-bit way, and turns the text around.
const HOSTILE: &str = "\u{1b}[2J\u{9b}2J\u{202e}\u{7}";
/// As it is shown.
const SHOWN: &str = "\\u{1b}[2J\\u{9b}2J\\u{202e}\\u{7}";

/// Says it in every way a task can.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "hostile\u{202e}", attempts = 1)]
struct Hostile {
    text: String,
}

impl Run<()> for Hostile {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        cx.progress(50, format!("note {}", self.text));
        cx.checkpoint(&self.text)?;
        cx.log("info", format!("log {}\nid            forged", self.text));
        let cause = std::io::Error::other(format!("cause {}", self.text));
        Err(TaskError::from(cause).context(format!("error {}\nstate         forged", self.text)))
    }
}

/// Runs such a job, and returns its id.
#[expect(clippy::unwrap_used, reason = "this is a part of tests")]
async fn run_one(place: &Place) -> String {
    let client = Client::new(Sqlite::open(place.path("jobs.db")).await.unwrap());
    let text = HOSTILE.to_owned();
    let handle = client
        .enqueue(Hostile { text })
        .queue("queue\u{202e}")
        .tags(["tag\u{202e}"])
        .metadata("key", HOSTILE)
        .actor("actor\u{202e}")
        .await
        .unwrap();
    let worker = Worker::new(&client, ())
        .handle::<Hostile>()
        .queue("queue\u{202e}")
        .name("worker\u{202e}");
    worker
        .run_until(async { drop(handle.wait().await.unwrap()) })
        .await
        .unwrap();
    handle.id().to_string()
}

#[tokio::test]
async fn everything_about_a_job_is_shown_without_its_escape_sequences() {
    let place = Place::new();
    let id = &run_one(&place).await;
    let text = plain(&place.run(["job", "show", id]).ok().stdout);
    for part in [
        "task          hostile\\u{202e}\n",
        "queue         queue\\u{202e}\n",
        "tags          tag\\u{202e}\n",
        "metadata      key=",
        "actor         actor\\u{202e}\n",
        "worker\\u{202e}",
        &format!("progress      50 % note {SHOWN}\n"),
        &format!("error {SHOWN}\n              state         forged\n"),
        &format!("caused by: cause {SHOWN}\n"),
        &format!("  50 % note {SHOWN}\n"),
        &format!("info  log {SHOWN}\n    id            forged\n"),
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let forged = |name| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((forged("state "), forged("id ")), (1, 1), "{text}");

    let text = plain(&place.run(["job", "list"]).ok().stdout);
    assert!(text.contains(&format!("error {}", &SHOWN[..20])), "{text}");
    assert!(
        text.contains("hostile\\u{202e}") && !text.contains("forged"),
        "{text}"
    );

    // JSON keeps it all, and is as harmless.
    for format in ["json", "ndjson"] {
        let done = place.run(["job", "show", id, "-o", format]).ok();
        plain(&done.stdout);
        assert_eq!(done.json()["job"]["payload"]["value"]["text"], HOSTILE);
    }
}

#[cfg(unix)]
#[test]
fn messages_and_logs_are_told_without_escape_sequences() {
    let place = Place::new();
    let worker = place.start(&["worker", "--log", "trace"]);
    for how in ["error", "panic"] {
        let payload = json!({ "message": format!("{HOSTILE}\nerror: forged"), "how": how });
        let done = place.run([
            "job",
            "enqueue",
            "fail",
            &payload.to_string(),
            "--attempts",
            "1",
            "--wait",
        ]);
        assert_eq!(done.code, Some(1), "{done:?}");
        let text = plain(&done.stderr);
        assert!(
            text.contains(&format!("{SHOWN}\n  error: forged\n")),
            "{text}"
        );
    }
    worker.signal("TERM");
    let Done { stdout, stderr, .. } = worker.end().ok();
    plain(&stdout);
    assert!(plain(&stderr).contains("panic: panicked at "), "{stderr}");

    let bad = format!("{{\"how\": {}}}", json!(HOSTILE));
    for arguments in [
        ["job", "enqueue", "fail", &bad],
        ["job", "enqueue", HOSTILE, "{}"],
        ["--storage", HOSTILE, "job", "list"],
        ["--storage", &format!("sqlite:{HOSTILE}"), "job", "list"],
    ] {
        let done = place.start(&arguments).end();
        assert!(matches!(done.code, Some(2 | 3)), "{done:?}");
        assert!(
            plain(&done.stderr).contains("\\u{9b}2J\\u{202e}"),
            "{done:?}"
        );
    }
}

/// The text, which must hold nothing that a terminal would obey.
fn plain(text: &str) -> String {
    let obeyed = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
    assert!(!text.contains(obeyed), "{text:?}");
    text.to_owned()
}
