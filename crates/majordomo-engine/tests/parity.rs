//! What can be said of a job when it is enqueued, and read of it afterwards:
//! everything is kept, everything is honoured.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::job::{Occurrence, Trace};
use majordomo_core::{
    Backoff, DeadReason, EndingKind, ErrorKind, FailureKind, Filter, Hold, JobId, ManualClock,
    Memory, NewJob, Order, State, Storage, Task, When, time,
};
use majordomo_engine::{
    Cancelled, Client, Context, NotCompleted, Result, Run, TaskError, TaskRecord, Worker,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    rows: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Written {
    bytes: u64,
}

impl Task for Report {
    type Output = Written;
    const NAME: &'static str = "report";
}

impl Run<Arc<String>> for Report {
    async fn run(self, unit: &Arc<String>, cx: &Context) -> Result<Written> {
        cx.progress(25, "reading");
        cx.progress_step(self.rows, 100, format!("{} {unit}", self.rows));
        cx.log("info", "almost done");
        match self.rows {
            0 => Err(TaskError::new("no rows")),
            1 => std::future::pending().await,
            rows => Ok(Written { bytes: rows * 10 }),
        }
    }
}

fn place() -> (Client, Memory, ManualClock) {
    let clock = ManualClock::default();
    let memory = Memory::with_clock(Arc::new(clock.clone()));
    (Client::new(memory.clone()), memory, clock)
}

fn worker(jobs: &Client) -> Worker<Arc<String>> {
    Worker::new(jobs, Arc::new("rows".to_owned()))
        .handle::<Report>()
        .grace(Duration::ZERO)
}

const MINUTE: Duration = Duration::from_secs(60);

/// A job with every option, none at its default.
fn everything(jobs: &Client) -> NewJob {
    let trace = Trace {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: Some("a=1".into()),
    };
    let occurrence = Occurrence {
        schedule: "nightly".into(),
        nominal_at: time::from_micros(7),
        reason: "late".into(),
    };
    jobs.enqueue(Report { rows: 5 })
        .id("01937b2e-5c1a-7cc3-98c4-dc0c0c07398f".parse().unwrap())
        .queue("slow")
        .priority(-7)
        .after(MINUTE)
        .expires_in(3 * MINUTE)
        .attempts(2)
        .backoff(Backoff::fixed(MINUTE).jitter(0.0))
        .timeout(Duration::from_millis(5))
        .retention(9 * MINUTE)
        .unique("ann")
        .hold(Hold::new("other"))
        .tags(["Night", "big"])
        .metadata("city", "Oslo")
        .metadata("n", 7)
        .actor("ann")
        .tenant("acme")
        .limit_key("smtp")
        .trace(trace)
        .occurrence(occurrence)
        .build()
        .unwrap()
}

#[tokio::test]
async fn g45_every_option_is_stored() {
    let (jobs, memory, _) = place();
    let job = everything(&jobs);
    jobs.insert(vec![job.clone()]).await.unwrap();
    let stored = jobs.job(job.id).await.unwrap().unwrap().job;
    let now = memory.now().await.unwrap();
    assert_eq!(stored, job.clone().into_job(now));
    // And none of it is what it would have been without saying so.
    let plain = serde_json::to_value(jobs.enqueue(Report { rows: 5 }).build().unwrap()).unwrap();
    let said = serde_json::to_value(&job).unwrap();
    for (field, value) in said.as_object().unwrap() {
        let same = ["task", "version", "payload"].contains(&field.as_str());
        assert_eq!(plain[field] == *value, same, "{field}");
    }
}

#[tokio::test]
async fn g45_every_option_that_a_worker_heeds_is_honoured() {
    let (jobs, _, clock) = place();
    let stepper = |queue: &str| worker(&jobs).queue(queue).stepper().unwrap();
    let slow = stepper("slow");
    let built = everything(&jobs);
    let id = built.id;
    jobs.insert(vec![built.clone()]).await.unwrap();
    // The unique key is taken.
    let again = jobs
        .enqueue(Report { rows: 5 })
        .unique("ann")
        .await
        .unwrap();
    assert_eq!((again.id(), again.is_new()), (id, false));
    // Not before it is due, and only from its queue.
    assert_eq!(slow.step().await.unwrap().ran(), 0);
    clock.advance(MINUTE);
    assert_eq!(stepper("default").step().await.unwrap().ran(), 0);
    // The limit key is limited with others.
    jobs.limit_key("smtp").max_running(0).await.unwrap();
    assert_eq!(slow.step().await.unwrap().ran(), 0);
    jobs.limit_key("smtp").unlimited().await.unwrap();
    // Priority goes before time.
    let first = jobs
        .enqueue(Report { rows: 9 })
        .queue("slow")
        .await
        .unwrap();
    let one = worker(&jobs).queue("slow").concurrency(1);
    assert_eq!(one.stepper().unwrap().step().await.unwrap().ran(), 1);
    assert_eq!(first.state().await.unwrap(), State::Completed);
    assert_eq!(slow.step().await.unwrap().ran(), 1);
    let details = jobs.job(id).await.unwrap().unwrap();
    assert_eq!(details.output, Some(json!({ "bytes": 50 })));

    // Timeout, backoff, attempts.
    let stuck = NewJob {
        id: JobId::new(),
        payload: majordomo_core::Payload::json(&Report { rows: 1 }).unwrap(),
        due: When::Now,
        expires: None,
        holds: Vec::new(),
        ..built.clone()
    };
    let stuck_id = stuck.id;
    jobs.insert(vec![stuck]).await.unwrap();
    assert_eq!(slow.step().await.unwrap().count(EndingKind::Retried), 1);
    let retrying = jobs.job(stuck_id).await.unwrap().unwrap().job;
    assert_eq!(retrying.error.unwrap().kind, FailureKind::Timeout);
    assert_eq!(
        time::between(clock_now(&jobs).await, retrying.due),
        MINUTE,
        "the backoff"
    );
    clock.advance(MINUTE);
    assert_eq!(slow.step().await.unwrap().count(EndingKind::Dead), 1);
    let dead = jobs.job(stuck_id).await.unwrap().unwrap().job;
    assert_eq!(dead.dead_reason, Some(DeadReason::Exhausted));

    // Expiry.
    let late = NewJob {
        id: JobId::new(),
        holds: Vec::new(),
        ..built
    };
    let late_id = late.id;
    jobs.insert(vec![late]).await.unwrap();
    clock.advance(3 * MINUTE);
    assert_eq!(slow.step().await.unwrap().expired, 1);
    let late = jobs.job(late_id).await.unwrap().unwrap().job;
    assert_eq!(late.state, State::Expired);
}

async fn clock_now(jobs: &Client) -> majordomo_core::Timestamp {
    jobs.storage().now().await.unwrap()
}

#[tokio::test]
async fn g46_a_job_is_built_written_as_text_and_runs_after_it_was_inserted_elsewhere() {
    let (here, ..) = place();
    let job = everything(&here);
    assert_eq!(job.payload.decode::<Report>().unwrap().rows, 5);
    let text = serde_json::to_string(&job).unwrap();

    let (there, _, clock) = place();
    let read: NewJob = serde_json::from_str(&text).unwrap();
    assert_eq!(read, job);
    there.insert(vec![read]).await.unwrap();
    clock.advance(MINUTE);
    let stepper = worker(&there).queue("slow").stepper().unwrap();
    assert_eq!(stepper.drain().await.unwrap().ran(), 1);
    let handle = there.handle::<Report>(job.id);
    assert_eq!(handle.result().await.unwrap(), Written { bytes: 50 });
    assert!(
        here.job(job.id).await.unwrap().is_none(),
        "nothing was stored by building"
    );
    let refused = here.enqueue(Report { rows: 1 }).queue("").build();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A field that goes away breaks those who read it as JSON.
#[tokio::test]
async fn b88_b90_what_is_read_of_a_job_covers_all_that_is_known_of_an_execution() {
    let (jobs, ..) = place();
    let job = jobs.enqueue(Report { rows: 0 }).actor("ann").tags(["a"]);
    let id = job.attempts(1).await.unwrap().id();
    worker(&jobs)
        .name("ada")
        .stepper()
        .unwrap()
        .step()
        .await
        .unwrap();
    let details = jobs.job(id).await.unwrap().unwrap();
    let value = serde_json::to_value(&details).unwrap();
    for (what, pointer) in [
        ("id", "/job/id"),
        ("task", "/job/task"),
        ("parameters", "/job/payload"),
        ("status", "/job/state"),
        ("user", "/job/actor"),
        ("requested at", "/job/created_at"),
        ("scheduled at", "/job/due"),
        ("started at", "/job/started_at"),
        ("completed at", "/job/ended_at"),
        ("progress", "/job/progress/percent"),
        ("message", "/job/progress/note"),
        ("error message", "/job/error/message"),
        ("error type", "/job/error/kind"),
        ("tags", "/job/tags/0"),
        ("attempt", "/attempts/0/token"),
        ("worker", "/attempts/0/worker"),
        ("attempt's duration", "/attempts/0/ended_at"),
        ("attempt's error", "/attempts/0/error/message"),
        ("log", "/log/0/message"),
        ("progress history", "/history/0/percent"),
        ("its time", "/history/0/at"),
    ] {
        assert!(
            value.pointer(pointer).is_some_and(|found| !found.is_null()),
            "{what}: nothing at {pointer} in {value:#}"
        );
    }
    for field in ["/output", "/checkpoint", "/job/schedule"] {
        assert!(value.pointer(field).is_some(), "{field}");
    }
    let last = details.history.last().unwrap();
    assert_eq!(last.step.unwrap().total, 100);
    assert_eq!(last.note.as_deref(), Some("0 rows"));
}

#[tokio::test]
async fn b87_a_task_is_registered_with_all_that_is_known_of_its_definition() {
    let (jobs, ..) = place();
    let mut running = worker(&jobs).version("3.1").start().await.unwrap();
    running.stop();
    running.wait().await.unwrap();
    let tasks = jobs.tasks().await.unwrap();
    let record = tasks[0].record.clone().unwrap();
    assert!(tasks[0].seen_at.is_some() && !tasks[0].is_provided());
    let expected = TaskRecord {
        app_version: Some("3.1".into()),
        ..TaskRecord::of::<Report>()
    };
    assert_eq!(record, expected);
    let value = serde_json::to_value(&record).unwrap();
    let mut fields: Vec<&str> = value["spec"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "backoff",
            "description",
            "expires_in",
            "max_attempts",
            "priority",
            "queue",
            "retention",
            "tags",
            "timeout",
            "title"
        ]
    );
}

/// What others call pending, scheduled, running, completed, failed, cancelled,
/// retrying and timed out.
#[tokio::test]
async fn b89_every_usual_status_has_its_place_among_ours() {
    let (jobs, memory, clock) = place();
    let now = memory.now().await.unwrap();
    let status = async |id: JobId| {
        let job = jobs.job(id).await.unwrap().unwrap().job;
        let is_timeout = job
            .error
            .as_ref()
            .is_some_and(|error| error.kind == FailureKind::Timeout);
        match job.state {
            State::Pending if job.charged > 0 => "retrying",
            State::Pending if job.due > now => "scheduled",
            State::Pending => "pending",
            State::Running => "running",
            State::Completed => "completed",
            State::Dead if is_timeout => "timed out",
            State::Dead => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
        }
    };
    let rows = async |rows, attempts: u32, after| {
        let job = jobs.enqueue(Report { rows }).attempts(attempts);
        let job = job.timeout(Duration::from_millis(5)).after(after);
        job.await.unwrap().id()
    };
    let later = rows(2, 1, MINUTE).await;
    let (good, failing, stuck) = (
        rows(2, 1, Duration::ZERO).await,
        rows(0, 1, Duration::ZERO).await,
        rows(1, 1, Duration::ZERO).await,
    );
    let again = rows(0, 2, Duration::ZERO).await;
    worker(&jobs).stepper().unwrap().step().await.unwrap();
    let waiting = rows(2, 1, Duration::ZERO).await;
    let cancelled = rows(2, 1, Duration::ZERO).await;
    jobs.cancel(cancelled).await.unwrap();
    assert_eq!(status(later).await, "scheduled");
    assert_eq!(status(good).await, "completed");
    assert_eq!(status(failing).await, "failed");
    assert_eq!(status(stuck).await, "timed out");
    assert_eq!(status(again).await, "retrying");
    assert_eq!(status(waiting).await, "pending");
    assert_eq!(status(cancelled).await, "cancelled");
    drop(clock);
}

#[tokio::test]
async fn b91_b97_execute_schedule_cancel_get_progress_list_and_retry_are_all_there() {
    let (jobs, ..) = place();
    let mut running = worker(&jobs).start().await.unwrap();
    // Execute: the result is typed.
    let done = jobs.enqueue(Report { rows: 4 }).await.unwrap();
    assert_eq!(done.result().await.unwrap(), Written { bytes: 40 });
    let failed = jobs.enqueue(Report { rows: 0 }).attempts(1).await.unwrap();
    match failed.result().await.unwrap_err() {
        NotCompleted::Dead(Some(DeadReason::Exhausted), Some(error)) => {
            assert_eq!(error.message, "no rows");
        }
        other => panic!("{other}"),
    }
    // Schedule, and cancel.
    let later = jobs
        .enqueue(Report { rows: 3 })
        .after(MINUTE)
        .await
        .unwrap();
    assert_eq!(later.cancel().await.unwrap(), Cancelled::Done);
    // Get, with its progress.
    assert_eq!(done.state().await.unwrap(), State::Completed);
    let progress = done.progress().await.unwrap().unwrap();
    assert_eq!(progress.note.as_deref(), Some("4 rows"));
    // List.
    let dead = Filter::all().state(State::Dead);
    let page = jobs.find(&dead, Order::default(), None, 10).await.unwrap();
    assert_eq!(page.items[0].id, failed.id());
    // Retry.
    failed.retry(When::Now).await.unwrap();
    assert!(failed.result().await.is_err());
    assert_eq!(failed.details().await.unwrap().attempts.len(), 2);
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test]
async fn b35_a_job_is_run_here_and_now_and_its_output_returned() {
    let (jobs, memory, _) = place();
    let app = Arc::new(Arc::new("rows".to_owned()));
    let output = jobs.run_inline(Report { rows: 6 }, Arc::clone(&app)).await;
    assert_eq!(output.unwrap(), Written { bytes: 60 });
    let failed = jobs.run_inline(Report { rows: 0 }, app).await;
    let error = failed.unwrap_err().to_string();
    assert_eq!(error, "the job is dead (exhausted): no rows");
    let page = memory
        .find(&Filter::all(), Order::default(), None, 10)
        .await
        .unwrap();
    let states: Vec<State> = page.items.iter().map(|job| job.state).collect();
    assert_eq!(
        states,
        [State::Completed, State::Dead],
        "with their history"
    );
    assert!(
        jobs.workers().await.unwrap().is_empty(),
        "and nobody is left"
    );
}
