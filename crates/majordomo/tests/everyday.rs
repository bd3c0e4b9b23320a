//! What a program does with Majordomo from day to day, by the facade alone, and
//! on both storages where that matters.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use majordomo::prelude::*;
use majordomo::url::StorageUrl;
use majordomo::{JobId, NewJob, State};
use tokio::sync::watch;

const NEVER: Duration = DAY;

/// Squares a number.
#[derive(Serialize, Deserialize, Task)]
#[task(output = u64)]
struct Square(u64);

impl Run<()> for Square {
    async fn run(self, _: &(), _: &Context) -> Result<u64> {
        Ok(self.0 * self.0)
    }
}

/// A whole program; where its jobs are kept is all that is said to it.
async fn program(url: &str) {
    let storage = url.parse::<StorageUrl>().unwrap().open().await.unwrap();
    let jobs = Client::shared(storage);
    let worker = Worker::new(&jobs, ()).handle::<Square>();
    let mut running = worker.start().await.unwrap();
    let handles = jobs.enqueue_many((1..=5).map(Square)).await.unwrap();
    for (handle, expected) in handles.iter().zip([1, 4, 9, 16, 25]) {
        assert_eq!(handle.result().await.unwrap(), expected, "on {url}");
    }
    let later = jobs.enqueue(Square(6)).after(DAY).await.unwrap();
    later.cancel().await.unwrap();
    assert_eq!(later.state().await.unwrap(), State::Cancelled, "on {url}");
    running.stop();
    running.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_the_same_program_works_on_memory_and_on_sqlite_by_its_url_alone() {
    let folder = tempfile::tempdir().unwrap();
    program("memory:").await;
    let file = folder.path().join("jobs.db");
    program(&format!("sqlite:{}", file.display())).await;
    program(&format!("sqlite:{}?durability=relaxed", file.display())).await;
}

/// What it was called when its jobs were stored, and what it is called now.
mod before {
    use super::*;

    #[derive(Serialize, Deserialize, Task)]
    #[task(name = "send-mail")]
    pub(super) struct SendMail(pub(super) u64);

    #[derive(Serialize, Deserialize, Task)]
    pub(super) struct OldReport(pub(super) u64);
}

/// The type has another name, the task has not.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "send-mail", output = u64)]
struct DeliverLetter(u64);

impl Run<()> for DeliverLetter {
    async fn run(self, _: &(), _: &Context) -> Result<u64> {
        Ok(self.0)
    }
}

/// The task has another name, and remembers the old one.
#[derive(Serialize, Deserialize, Task)]
#[task(name = "report", aliases("old-report"), output = u64)]
struct Report(u64);

impl Run<()> for Report {
    async fn run(self, _: &(), _: &Context) -> Result<u64> {
        Ok(self.0)
    }
}

#[tokio::test]
async fn g18_jobs_stored_before_a_type_or_a_task_was_renamed_still_run() {
    let jobs = Client::new(Memory::new());
    let mail = jobs.enqueue(before::SendMail(1)).await.unwrap().id();
    let report = jobs.enqueue(before::OldReport(2)).await.unwrap().id();
    assert_eq!(
        jobs.job(report).await.unwrap().unwrap().job.task,
        "old-report"
    );
    let worker = Worker::new(&jobs, ()).handle::<DeliverLetter>();
    let _running = worker.handle::<Report>().start().await.unwrap();
    let mail = jobs.handle::<DeliverLetter>(mail);
    assert_eq!(mail.result().await.unwrap(), 1);
    let report = jobs.handle::<Report>(report);
    assert_eq!(report.result().await.unwrap(), 2);
}

/// One service with two methods, each of which is a task.
#[derive(Default)]
struct Mailer {
    welcomed: AtomicUsize,
    reminded: AtomicUsize,
}

impl Mailer {
    fn welcome(&self) {
        self.welcomed.fetch_add(1, Ordering::SeqCst);
    }

    fn remind(&self, times: usize) {
        self.reminded.fetch_add(times, Ordering::SeqCst);
    }
}

#[derive(Serialize, Deserialize, Task)]
struct Welcome;

impl Run<Arc<Mailer>> for Welcome {
    async fn run(self, mailer: &Arc<Mailer>, _: &Context) -> Result<()> {
        mailer.welcome();
        Ok(())
    }
}

#[derive(Serialize, Deserialize, Task)]
struct Remind {
    times: usize,
}

impl Run<Arc<Mailer>> for Remind {
    async fn run(self, mailer: &Arc<Mailer>, _: &Context) -> Result<()> {
        mailer.remind(self.times);
        Ok(())
    }
}

#[tokio::test]
async fn g19_two_methods_of_one_service_are_two_tasks_that_both_run() {
    let jobs = Client::new(Memory::new());
    let mailer = Arc::new(Mailer::default());
    let worker = Worker::new(&jobs, Arc::clone(&mailer)).handle::<Welcome>();
    let _running = worker.handle::<Remind>().start().await.unwrap();
    let welcome = jobs.enqueue(Welcome).await.unwrap();
    let remind = jobs.enqueue(Remind { times: 3 }).await.unwrap();
    welcome.result().await.unwrap();
    remind.result().await.unwrap();
    let counted = [&mailer.welcomed, &mailer.reminded].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counted, [1, 3]);
}

/// Sends a receipt.
///
/// To whoever paid.
#[derive(Serialize, Deserialize, Task)]
#[task(title = "Send receipt", tags("email", "billing"))]
struct Receipt {
    to: String,
}

impl Run<()> for Receipt {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

/// Sends news.
#[derive(Serialize, Deserialize, Task)]
#[task(tags("email"))]
struct News;

impl Run<()> for News {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn b3_a_task_is_described_and_found_by_its_tags() {
    let jobs = Client::new(Memory::new());
    let worker = Worker::new(&jobs, ()).handle::<Square>();
    let worker = worker.handle::<Receipt>().handle::<News>();
    let _running = worker.start().await.unwrap();
    let tasks = jobs.tasks().await.unwrap();
    let tagged = |tag: &str| -> Vec<&str> {
        let records = tasks.iter().filter_map(|task| task.record.as_ref());
        let tagged = records.filter(|record| record.spec.tags.iter().any(|has| has == tag));
        tagged.map(|record| record.name.as_str()).collect()
    };
    assert_eq!(tagged("email"), ["news", "receipt"]);
    assert_eq!(tagged("billing"), ["receipt"]);
    assert!(tagged("none").is_empty());
    let receipt = tasks.iter().find(|task| task.name == "receipt").unwrap();
    let record = receipt.record.as_ref().unwrap();
    assert_eq!(record.spec.title.as_deref(), Some("Send receipt"));
    let description = record.spec.description.as_deref().unwrap();
    assert!(description.starts_with("Sends a receipt."), "{description}");
    let schema = record.schema.as_ref().unwrap();
    assert!(schema["properties"]["to"].is_object(), "{schema}");
}

/// The poll is a day away: what happens, happens because the other handle's
/// writes are noticed, or because a timer rings. Were it not so, it would never.
#[tokio::test(flavor = "multi_thread")]
async fn g6_g56_gx9_jobs_of_another_handle_start_without_a_poll_now_and_when_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let here = Client::new(Sqlite::open(&file).await.unwrap());
    let there = Client::new(Sqlite::open(&file).await.unwrap());
    let worker = Worker::new(&there, ()).handle::<Square>().poll(NEVER);
    let mut running = worker.start().await.unwrap();
    for number in 0..10 {
        let now = here.enqueue(Square(number)).await.unwrap();
        assert_eq!(now.result().await.unwrap(), number * number);
        let soon = here.enqueue(Square(number));
        let soon = soon.after(Duration::from_millis(20)).await.unwrap();
        assert_eq!(soon.result().await.unwrap(), number * number);
        let job = soon.details().await.unwrap().job;
        assert!(job.started_at.unwrap() >= job.due, "never before");
    }
    running.stop();
    running.wait().await.unwrap();
}

/// Runs until the gate opens, and says that it has begun.
#[derive(Serialize, Deserialize, Task)]
struct Sleep;

impl Run<Arc<Gate>> for Sleep {
    async fn run(self, gate: &Arc<Gate>, _: &Context) -> Result<()> {
        gate.begun.send_modify(|begun| *begun += 1);
        let mut open = gate.open.subscribe();
        open.wait_for(|open| *open)
            .await
            .expect("the test lives on");
        Ok(())
    }
}

#[derive(Default)]
struct Gate {
    begun: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

/// The jobs end only after everything else was answered: were a connection held
/// while a job runs, nothing would be.
#[tokio::test(flavor = "multi_thread")]
async fn g64_a_hundred_running_jobs_hold_no_connection_of_a_storage_with_one_reader() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let storage = Sqlite::options(&file).readers(1).open().await.unwrap();
    let jobs = Client::new(storage);
    let gate = Arc::new(Gate::default());
    let worker = Worker::new(&jobs, Arc::clone(&gate)).handle::<Sleep>();
    let mut running = worker.concurrency(100).start().await.unwrap();
    let sleeping = jobs.enqueue_many((0..100).map(|_| Sleep)).await.unwrap();
    let mut begun = gate.begun.subscribe();
    begun.wait_for(|begun| *begun == 100).await.unwrap();
    let all = majordomo::Filter::all().state(State::Running);
    for _ in 0..20 {
        let page = jobs.find(&all, majordomo::Order::default(), None, 1000);
        assert_eq!(page.await.unwrap().items.len(), 100);
        assert_eq!(sleeping[7].state().await.unwrap(), State::Running);
        assert_eq!(jobs.workers().await.unwrap().len(), 1);
        let later = jobs.enqueue(Sleep).after(DAY).await.unwrap();
        later.cancel().await.unwrap();
        assert_eq!(later.state().await.unwrap(), State::Cancelled);
    }
    gate.open.send_replace(true);
    for handle in &sleeping {
        handle.result().await.unwrap();
    }
    running.stop();
    running.wait().await.unwrap();
}

/// Two programs on one file: one that only enqueues, and later one that only works.
#[tokio::test(flavor = "multi_thread")]
async fn g60_gx28_one_program_may_only_enqueue_another_only_work_and_a_third_do_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.db");
    let open = async || Client::new(Sqlite::open(&file).await.unwrap());
    let producer = open().await;
    let handles = producer.enqueue_many((1..=3).map(Square)).await.unwrap();
    assert!(producer.workers().await.unwrap().is_empty());
    for handle in &handles {
        assert_eq!(handle.state().await.unwrap(), State::Pending);
    }
    let mut only_works = {
        let works = open().await;
        let worker = Worker::new(&works, ()).handle::<Square>();
        worker.name("only-works").start().await.unwrap()
    };
    for handle in &handles {
        handle.result().await.unwrap();
    }
    let workers = producer.workers().await.unwrap();
    let names: BTreeSet<_> = workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, ["only-works"].into(), "who enqueued is none of them");
    only_works.stop();
    only_works.wait().await.unwrap();
    let both = open().await;
    let worker = Worker::new(&both, ()).handle::<Square>();
    let _both = worker.start().await.unwrap();
    let square = both.enqueue(Square(9)).await.unwrap();
    assert_eq!(square.result().await.unwrap(), 81);
}

/// A job that was built and never sent is nowhere.
#[tokio::test]
async fn g46_a_job_that_was_only_built_is_not_stored() {
    let jobs = Client::new(Memory::new());
    let built: NewJob = jobs.enqueue(Square(2)).build().unwrap();
    let id: JobId = built.id;
    assert!(jobs.job(id).await.unwrap().is_none());
    jobs.insert(vec![built]).await.unwrap();
    assert!(jobs.job(id).await.unwrap().is_some());
}
