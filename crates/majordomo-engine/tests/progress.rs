//! What becomes of reports of progress: written seldom, kept in bounds, and
//! never in the way of the job.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use majordomo_core::{
    Beat, Claim, Clock, Details, ManualClock, Memory, Progress, Renewed, State, Storage, Task,
    limits,
};
use majordomo_engine::{Client, Context, Handle, Result, Run, Worker};
use majordomo_testkit::Faulty;
use majordomo_testkit::faulty::{Chance, Verbs};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Goes through this many items and returns how many there were.
#[derive(Serialize, Deserialize)]
struct Count {
    items: u64,
    /// Whether it lets others run in between.
    yields: bool,
}

impl Task for Count {
    type Output = u64;
    const NAME: &'static str = "count";
}

impl Run<()> for Count {
    async fn run(self, _: &(), cx: &Context) -> Result<u64> {
        let mut count = 0;
        for item in cx.progress_iter(0..self.items) {
            count += u64::from(item? < self.items);
            if self.yields && count % 1000 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(count)
    }
}

/// Reports these percentages.
#[derive(Serialize, Deserialize)]
struct Report(Vec<Option<f64>>);

impl Task for Report {
    type Output = ();
    const NAME: &'static str = "report";
}

impl Run<()> for Report {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        for percent in self.0 {
            cx.progress(percent.unwrap_or(f64::NAN), "");
        }
        Ok(())
    }
}

/// Reports twice; in between it waits until the first report was seen.
#[derive(Serialize, Deserialize)]
struct Staged;

impl Task for Staged {
    type Output = ();
    const NAME: &'static str = "staged";
}

impl Run<Arc<Notify>> for Staged {
    async fn run(self, seen: &Arc<Notify>, cx: &Context) -> Result<()> {
        cx.progress(25, "a quarter");
        seen.notified().await;
        cx.progress(100, "all of it");
        Ok(())
    }
}

fn faulty() -> (Arc<Faulty<Memory>>, Client) {
    let faulty = Arc::new(Faulty::new(Arc::new(Memory::new()), 1));
    let storage: Arc<dyn Storage> = faulty.clone();
    (faulty, Client::shared(storage))
}

fn worker(jobs: &Client) -> Worker<()> {
    Worker::new(jobs, ()).handle::<Count>().handle::<Report>()
}

async fn finished<T: Task>(handle: &Handle<T>) -> Details {
    let details = handle.wait().await.unwrap();
    assert_eq!(details.job.state, State::Completed);
    details
}

const MILLION: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn b32_a_million_items_cause_at_most_one_write_in_each_window() {
    let (faulty, jobs) = faulty();
    // No beat but those that carry news.
    let hour = Duration::from_secs(3600);
    let quiet = worker(&jobs).lease(3 * hour).heartbeat(hour);
    let _running = quiet.start().await.unwrap();
    let began = Instant::now();
    let (items, yields) = (MILLION, true);
    let handle = jobs.enqueue(Count { items, yields }).await.unwrap();
    let details = finished(&handle).await;
    // A slow machine has more windows, so this holds on any.
    let windows = u64::try_from(began.elapsed().as_millis() / 250).unwrap() + 1;
    let writes = faulty.calls(Verbs::Renew).made;
    assert!(writes <= windows, "{writes} writes in {windows} windows");
    let last = details.job.progress.unwrap();
    assert_eq!((last.percent, last.step.unwrap().done), (100.0, MILLION));
    assert_eq!(details.output, Some(MILLION.into()));
}

#[tokio::test]
async fn b32_without_a_window_only_the_end_is_written() {
    let (faulty, jobs) = faulty();
    let stepper = worker(&jobs).stepper().unwrap();
    for items in [MILLION, 0] {
        let yields = false;
        let handle = jobs.enqueue(Count { items, yields }).await.unwrap();
        stepper.step().await.unwrap();
        let details = finished(&handle).await;
        assert_eq!(details.job.progress.unwrap().percent, 100.0);
        assert_eq!(details.history.len(), 1);
    }
    assert_eq!(faulty.calls(Verbs::Renew).made, 0);
    assert_eq!(faulty.calls(Verbs::Settle).made, 2);
}

#[tokio::test]
async fn b39_a_percentage_is_kept_in_range_and_what_is_no_number_is_ignored() {
    let (_, jobs) = faulty();
    let stepper = worker(&jobs).stepper().unwrap();
    for (reported, kept) in [
        (vec![Some(250.0)], Some(100.0)),
        (vec![Some(-3.0)], Some(0.0)),
        (vec![Some(40.0), Some(30.0), None], Some(30.0)),
        (vec![None], None),
    ] {
        let handle = jobs.enqueue(Report(reported)).await.unwrap();
        stepper.step().await.unwrap();
        let progress = finished(&handle).await.job.progress;
        assert_eq!(progress.map(|progress| progress.percent), kept);
    }
}

#[tokio::test]
async fn b39_a_job_completes_although_its_progress_can_never_be_written() {
    let (faulty, jobs) = faulty();
    let down = Chance {
        refused: 1.0,
        lost: 0.0,
    };
    faulty.set(Verbs::Renew, down);
    let _running = worker(&jobs).start().await.unwrap();
    let yields = true;
    let handle = jobs.enqueue(Count { items: 10, yields }).await.unwrap();
    let details = finished(&handle).await;
    assert_eq!(
        details.job.progress.unwrap().percent,
        100.0,
        "the last report comes with the end"
    );
    let calls = faulty.calls(Verbs::Renew);
    assert_eq!(calls.made, calls.refused);
}

#[tokio::test]
async fn b90_the_history_has_percentage_note_and_time_of_each_report() {
    let (_, jobs) = faulty();
    let seen = Arc::new(Notify::new());
    let worker = Worker::new(&jobs, Arc::clone(&seen)).handle::<Staged>();
    let _running = worker.start().await.unwrap();
    let handle = jobs.enqueue(Staged).await.unwrap();
    let mut watch = handle.watch();
    while watch.next().await.unwrap().unwrap().history.is_empty() {}
    seen.notify_one();
    let details = finished(&handle).await;
    let told = details.history.iter().map(|report| {
        let note = report.note.as_deref().unwrap();
        (report.percent, note)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(25.0, "a quarter"), (100.0, "all of it")]
    );
    let attempt = &details.attempts[0];
    let (began, ended) = (attempt.started_at, attempt.ended_at.unwrap());
    let times = [began, details.history[0].at, details.history[1].at, ended];
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(details.job.progress.as_ref(), details.history.last());
}

/// What the heartbeat writes when an attempt runs for so long that 10,000 reports
/// get through, each in a window of its own.
#[tokio::test]
async fn b40_of_ten_thousand_reports_a_hundred_are_kept_evenly_with_first_and_last() {
    const REPORTS: u32 = 10_000;
    let clock = ManualClock::default();
    let storage = Memory::with_clock(Arc::new(clock.clone()));
    let jobs = Client::new(storage.clone());
    let handle = jobs.enqueue(Report(Vec::new())).await.unwrap();
    let lease = Duration::from_secs(3600);
    let claim = Claim {
        worker: "tester".to_owned(),
        queues: vec![("default".to_owned(), 1)],
        tasks: vec![Report::NAME.to_owned()],
        lease,
        suspects: 1,
    };
    let (_, held) = storage.claim(claim).await.unwrap().jobs.remove(0);
    let began = clock.now();
    for number in 1..=REPORTS {
        clock.advance(Duration::from_millis(250));
        let percent = f64::from(number) / f64::from(REPORTS) * 100.0;
        let beat = Beat {
            progress: Some(Progress::new(percent, "")),
            ..Beat::new(held.clone(), lease)
        };
        assert_eq!(storage.renew(vec![beat]).await.unwrap(), [Renewed::Kept]);
    }
    let history = handle.details().await.unwrap().history;
    assert_eq!(history.len(), limits::HISTORY);
    assert_eq!((history[0].percent, history[99].percent), (0.01, 100.0));
    let gaps: Vec<_> = history
        .windows(2)
        .map(|pair| pair[1].percent - pair[0].percent)
        .collect();
    let widest = gaps.iter().copied().fold(0.0, f64::max);
    assert!(
        widest <= 3.0,
        "evenly would be 1 %, the widest gap is {widest} %"
    );
    let first = majordomo_core::time::between(began, history[0].at);
    assert_eq!(first, Duration::from_millis(250), "each with its time");
}

/// Reports data, then falls back and asks not to.
#[derive(Serialize, Deserialize)]
struct Say {
    reports: usize,
}

impl Task for Say {
    type Output = ();
    const NAME: &'static str = "say";
}

impl Run<()> for Say {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        cx.progress(60, "most");
        cx.progress_only_grows();
        let reports: [&dyn Fn(); 3] = [
            &|| cx.progress(20, "from the start"),
            &|| cx.progress_data(70, "rows", &serde_json::json!({ "rows": 7 })),
            &|| cx.progress_data(65, "too much", &"x".repeat(limits::NOTE)),
        ];
        reports[..self.reports].iter().for_each(|report| report());
        Ok(())
    }
}

/// What is kept of the last report of this many.
async fn latest_of(reports: usize) -> Progress {
    let jobs = Client::new(Memory::new());
    let worker = Worker::new(&jobs, ()).handle::<Say>().stepper().unwrap();
    let handle = jobs.enqueue(Say { reports }).await.unwrap();
    assert_eq!(worker.drain().await.unwrap().completed(), 1);
    handle.progress().await.unwrap().unwrap()
}

#[tokio::test]
async fn b5_b39_a_report_carries_data_within_bounds_and_may_be_told_to_only_grow() {
    let fallen = latest_of(1).await;
    assert_eq!(
        (fallen.percent, fallen.note.as_deref()),
        (60.0, Some("from the start"))
    );
    let data = latest_of(2).await.data;
    assert_eq!(data, Some(serde_json::json!({ "rows": 7 })));
    let latest = latest_of(3).await;
    assert_eq!(
        (latest.percent, latest.note.as_deref()),
        (70.0, Some("too much"))
    );
    assert_eq!(
        latest.data, None,
        "what is too large is left out, and the job goes on"
    );
}
