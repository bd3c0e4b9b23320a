//! Two nodes on one SQLite file, as two processes would have it.

use std::sync::Arc;

use majordomo::prelude::*;
use tokio::sync::Notify;

/// Squares a number.
#[derive(Serialize, Deserialize, Task)]
#[task(output = u64)]
struct Square(u64);

impl Run<()> for Square {
    async fn run(self, _: &(), _: &Context) -> Result<u64> {
        Ok(self.0 * self.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g44_a_handle_waits_for_a_worker_on_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let here = Client::new(Sqlite::open(&file).await.unwrap());
    let there = Client::new(Sqlite::open(&file).await.unwrap());
    let mut worker = Worker::new(&there, ())
        .handle::<Square>()
        .start()
        .await
        .unwrap();
    let handle = here.enqueue(Square(12)).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 144);
    worker.stop();
    worker.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_that_one_node_sets_is_taken_up_at_once_by_the_worker_of_another() {
    let never = Duration::from_secs(24 * 3600);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let here = Client::new(Sqlite::open(&file).await.unwrap());
    let there = Client::new(Sqlite::open(&file).await.unwrap());
    here.queue("held").pause("wait").await.unwrap();
    let mut worker = Worker::new(&there, ())
        .handle::<Square>()
        .queue("held")
        .queue("open")
        .poll(never)
        .start()
        .await
        .unwrap();
    let held = here.enqueue(Square(3)).queue("held").await.unwrap();
    // Once this one has run, the worker has looked at both and goes to sleep.
    let open = here.enqueue(Square(2)).queue("open").await.unwrap();
    assert_eq!(open.result().await.unwrap(), 4);
    assert_eq!(held.state().await.unwrap(), majordomo::State::Pending);
    here.queue("held").resume().await.unwrap();
    let result = tokio::time::timeout(Duration::from_secs(120), held.result()).await;
    assert_eq!(result.unwrap().unwrap(), 9);
    worker.stop();
    worker.wait().await.unwrap();
}

#[tokio::test]
async fn g37_an_enqueue_dropped_while_it_is_written_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = Client::new(Sqlite::open(folder.path().join("jobs.db")).await.unwrap());
    let mut ids = Vec::new();
    for number in 0..200_u64 {
        let id = majordomo::JobId::new();
        ids.push(id);
        let enqueue = jobs.enqueue(Square(number)).id(id);
        // Dropped before it began, while it waits, or after it was done.
        let patience = Duration::from_micros(number * 20);
        let _ = tokio::time::timeout(patience, std::future::IntoFuture::into_future(enqueue)).await;
        let again = jobs.enqueue(Square(number)).id(id).await.unwrap();
        assert_eq!((again.id(), again.is_new()), (id, true));
    }
    let all = majordomo::Filter::all();
    let stored = jobs
        .find(&all, majordomo::Order::default(), None, 1000)
        .await
        .unwrap();
    assert_eq!(
        stored.items.iter().map(|job| job.id).collect::<Vec<_>>(),
        ids,
        "exactly one job for each"
    );
}

/// Reports, and ends once the report was seen.
#[derive(Serialize, Deserialize, Task)]
struct Report;

impl Run<Arc<Notify>> for Report {
    async fn run(self, seen: &Arc<Notify>, cx: &Context) -> Result<()> {
        cx.progress_step(3, 4, "three of four");
        seen.notified().await;
        Ok(())
    }
}

/// No clock is asked: were the report not written while the job runs, the job
/// would never end.
#[tokio::test(flavor = "multi_thread")]
async fn b5_a_report_is_seen_on_another_node_while_the_job_still_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let here = Client::new(Sqlite::open(&file).await.unwrap());
    let there = Client::new(Sqlite::open(&file).await.unwrap());
    let seen = Arc::new(Notify::new());
    let mut worker = Worker::new(&there, Arc::clone(&seen))
        .handle::<Report>()
        .start()
        .await
        .unwrap();
    let handle = here.enqueue(Report).await.unwrap();
    let mut watch = handle.watch();
    let job = loop {
        let job = watch.next().await.unwrap().expect("it runs").job;
        if job.progress.is_some() {
            break job;
        }
    };
    let progress = job.progress.unwrap();
    assert_eq!(job.state, majordomo::State::Running);
    assert_eq!(
        (progress.percent, progress.note.as_deref()),
        (75.0, Some("three of four"))
    );
    seen.notify_one();
    handle.result().await.unwrap();
    worker.stop();
    worker.wait().await.unwrap();
}

/// Fails in three ways, one after the other.
#[derive(Serialize, Deserialize, Task)]
#[task(attempts = 3, backoff = "1ms")]
struct Unlucky;

impl Run<()> for Unlucky {
    async fn run(self, _: &(), cx: &Context) -> Result<()> {
        match cx.attempt() {
            1 => {
                let number: u64 = "seven".parse()?;
                Err(TaskError::new(number.to_string()))
            }
            2 => panic!("a bug"),
            _ => Err(TaskError::permanent("given up").context("no use")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g67_another_node_sees_the_error_of_every_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let here = Client::new(Sqlite::open(&file).await.unwrap());
    let there = Client::new(Sqlite::open(&file).await.unwrap());
    let mut worker = Worker::new(&there, ())
        .handle::<Unlucky>()
        .start()
        .await
        .unwrap();
    let handle = here.enqueue(Unlucky).await.unwrap();
    let details = handle.wait().await.unwrap();
    let errors: Vec<_> = details
        .attempts
        .iter()
        .map(|attempt| attempt.error.as_ref().unwrap().to_string())
        .collect();
    let expected = ["invalid digit found in string", "a bug", "no use: given up"];
    assert_eq!(errors, expected);
    worker.stop();
    worker.wait().await.unwrap();
}
