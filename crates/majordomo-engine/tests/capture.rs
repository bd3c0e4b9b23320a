//! What the code of a job logs is kept with the job, wherever in it it is logged.
//!
//! A subscriber can be set once in a process, so all of these share one: it
//! prints to a buffer from `warn` upwards, and keeps lines from `info` upwards.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use majordomo_core::{Details, LogLine, State, Task, limits};
use majordomo_engine::{Context, Result, Run, RunBlocking, TaskError, capture};
use majordomo_testkit::Kit;
use serde::{Deserialize, Serialize};
use tracing::{Instrument, debug, error, info, info_span, warn};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

/// What was printed.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Printed {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

static PRINTED: LazyLock<Printed> = LazyLock::new(|| {
    let printed = Printed::default();
    let print = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(printed.clone());
    tracing_subscriber::registry()
        .with(print.with_filter(LevelFilter::WARN))
        .with(capture::layer())
        .init();
    printed
});

#[derive(Serialize, Deserialize)]
enum Say {
    Plainly,
    FromWithin,
    FromASpawnedTask,
    AndFail,
    AndPanic,
    TooMuch,
    Endlessly,
}

impl Task for Say {
    type Output = ();
    const NAME: &'static str = "say";
}

impl Run<()> for Say {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        match self {
            Self::Plainly => {
                info!(amount = 5, to = "ann", "sent {}", "money");
                warn!("careful");
                error!(
                    error = &*Box::<dyn std::error::Error>::from("no luck"),
                    "failed"
                );
                debug!("not wanted");
                cx.log("info", "said by the context");
            }
            Self::FromWithin => {
                async {
                    tokio::task::yield_now().await;
                    info_span!("inner").in_scope(|| info!("deep inside"));
                }
                .instrument(info_span!("outer"))
                .await;
                tracing::debug_span!("of no interest").in_scope(|| info!("in a span that is off"));
            }
            Self::FromASpawnedTask => {
                let body = async { info!("from the spawned task") };
                let spawned = async { tokio::spawn(body.in_current_span()).await };
                spawned.instrument(info_span!("around")).await?;
                tokio::spawn(async { info!("from a task that has no span") }).await?;
            }
            Self::AndFail => {
                info!("attempt {}", cx.attempt());
                return Err(TaskError::new("no luck"));
            }
            Self::AndPanic => {
                info!("last words");
                panic!("a bug");
            }
            Self::TooMuch => (0..600).for_each(|number| info!("line {number}")),
            Self::Endlessly => info!("{}", "x".repeat(10 * limits::ERROR)),
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Shout;

impl Task for Shout {
    type Output = ();
    const NAME: &'static str = "shout";
}

impl RunBlocking<()> for Shout {
    fn run(self, _: &(), _: &Context) -> Result<()> {
        info!("from the thread {}", std::thread::current().name().unwrap());
        Ok(())
    }
}

async fn details<T: Task>(task: T) -> Details {
    LazyLock::force(&PRINTED);
    let kit = Kit::new();
    let worker = kit
        .worker(())
        .name("tester")
        .handle::<Say>()
        .handle_blocking::<Shout>();
    let worker = worker.stepper().unwrap();
    let handle = kit.jobs.enqueue(task).attempts(2).await.unwrap();
    for _ in 0..2 {
        worker.drain().await.unwrap();
        kit.advance(std::time::Duration::from_secs(3600));
    }
    handle.details().await.unwrap()
}

async fn said<T: Task>(task: T) -> Vec<(String, String)> {
    let log = details(task).await.log;
    let line = |line: LogLine| (line.level, line.message);
    log.into_iter().map(line).collect()
}

fn info(message: &str) -> (String, String) {
    ("info".to_owned(), format!("capture: {message}"))
}

#[tokio::test]
async fn g71_lines_are_kept_with_level_target_message_and_fields() {
    let kept = said(Say::Plainly).await;
    let expected = [
        ("info", r#"capture: sent money amount=5 to="ann""#),
        ("warn", "capture: careful"),
        ("error", "capture: failed error=no luck"),
        ("info", "said by the context"),
    ];
    assert_eq!(
        kept,
        expected.map(|(level, text)| (level.to_owned(), text.to_owned()))
    );
}

#[tokio::test]
async fn g71_lines_come_from_nested_spans_spawned_tasks_and_blocking_threads() {
    let kept = said(Say::FromWithin).await;
    assert_eq!(kept, [info("deep inside"), info("in a span that is off")]);
    assert_eq!(
        said(Say::FromASpawnedTask).await,
        [info("from the spawned task")]
    );
    assert_eq!(
        said(Shout).await,
        [info("from the thread majordomo-blocking")]
    );
}

#[tokio::test]
async fn g71_lines_of_attempts_that_fail_or_panic_are_kept_too() {
    let expected = [info("attempt 1"), info("attempt 2")];
    assert_eq!(
        said(Say::AndFail).await,
        expected,
        "and none of the engine's own"
    );
    let details = details(Say::AndPanic).await;
    assert_eq!(details.job.state, State::Dead);
    assert_eq!(details.log.len(), 2);
    assert_eq!(details.log[1].message, "capture: last words");
}

#[tokio::test]
async fn g71_lines_are_bounded_in_number_and_in_length() {
    let kept = said(Say::TooMuch).await;
    assert_eq!(
        (kept.len(), &kept[0]),
        (limits::LOG_LINES, &info("line 100"))
    );
    let long = said(Say::Endlessly).await;
    assert!(long[0].1.ends_with('…') && long[0].1.len() <= limits::ERROR);
}

#[tokio::test]
async fn g71_every_printed_line_of_a_job_says_of_which_job_it_is() {
    let job = details(Say::Plainly).await.job;
    let printed = String::from_utf8(PRINTED.0.lock().unwrap().clone()).unwrap();
    let id = format!("id={} ", job.id);
    let lines: Vec<_> = printed.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(
        lines.len(),
        2,
        "what is kept and what is printed are apart: {lines:?}"
    );
    let fields = format!(
        r#"job{{{id}task="say" queue="default" attempt=1 worker="tester"}}: capture: careful"#
    );
    assert!(lines[0].ends_with(&fields), "{}", lines[0]);
}

#[tokio::test]
async fn g71_the_order_of_the_layers_does_not_matter() {
    let print = tracing_subscriber::fmt::layer().with_writer(io::sink);
    let _here = tracing_subscriber::registry()
        .with(capture::layer().level(LevelFilter::WARN))
        .with(print.with_filter(LevelFilter::ERROR))
        .set_default();
    let levels: Vec<_> = said(Say::Plainly)
        .await
        .into_iter()
        .map(|line| line.0)
        .collect();
    assert_eq!(
        levels,
        ["warn", "error", "info"],
        "the last one is the context's own"
    );
}
