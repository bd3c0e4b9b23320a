//! Who is there and who provides what: workers, tasks, queues, and why a job waits.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{
    Change, Claim, Ending, Failure, FailureKind, Filter, JobId, ManualClock, Memory, Proof, Put,
    Scope, State, Storage, Task, Timestamp, Verdict, When,
};
use majordomo_engine::{
    Client, Context, Count, Explanation, Queue, Reason, Result, Run, TaskStatus, Worker,
    WorkerRecord,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Send(u64);

impl Task for Send {
    type Output = Vec<String>;
    const NAME: &'static str = "send";
    const ALIASES: &'static [&'static str] = &["post"];
}

/// Returns the workers that it sees while it runs.
impl Run<()> for Send {
    async fn run(self, _: &(), cx: &Context) -> Result<Vec<String>> {
        let workers = cx.client().workers().await?;
        Ok(workers.into_iter().map(|worker| worker.name).collect())
    }
}

#[derive(Serialize, Deserialize)]
struct Other;

impl Task for Other {
    type Output = ();
    const NAME: &'static str = "other";
}

impl Run<()> for Other {
    async fn run(self, _: &(), _: &Context) -> Result<()> {
        Ok(())
    }
}

/// Runs until it is told to stop, and says when it has begun.
#[derive(Serialize, Deserialize)]
struct Hang;

impl Task for Hang {
    type Output = ();
    const NAME: &'static str = "hang";
}

impl Run<Arc<Notify>> for Hang {
    async fn run(self, begun: &Arc<Notify>, cx: &Context) -> Result<()> {
        begun.notify_one();
        cx.cancelled().await;
        Ok(())
    }
}

struct Place {
    jobs: Client,
    memory: Memory,
    clock: ManualClock,
}

impl Place {
    fn new() -> Self {
        let clock = ManualClock::default();
        let memory = Memory::with_clock(Arc::new(clock.clone()));
        Self {
            jobs: Client::new(memory.clone()),
            memory,
            clock,
        }
    }

    /// A worker that is there as far as anyone can tell.
    async fn present(&self, name: &str, tasks: &[&str], queues: &[&str]) -> WorkerRecord {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let now = self.memory.now().await.unwrap();
        let record = WorkerRecord {
            name: name.into(),
            started_at: now,
            seen_at: now,
            is_stopping: false,
            majordomo: "0".into(),
            app_version: None,
            tasks: owned(tasks),
            queues: owned(queues),
            concurrency: 2,
            queue_limits: Default::default(),
            host: None,
            process: 7,
        };
        let put = Put::new(
            format!("worker/{name}"),
            serde_json::to_value(&record).unwrap(),
        );
        self.memory.put_document(put).await.unwrap().unwrap();
        record
    }

    /// Claims one job of `send` from `default` for a worker.
    async fn claim(&self, worker: &str) -> majordomo_core::Lease {
        let claim = Claim {
            worker: worker.into(),
            queues: vec![("default".into(), 1)],
            tasks: vec!["send".into()],
            lease: Duration::from_secs(30),
            suspects: 1,
        };
        let mut claimed = self.memory.claim(claim).await.unwrap();
        claimed.jobs.remove(0).1
    }

    async fn send(&self) -> JobId {
        self.jobs.enqueue(Send(1)).await.unwrap().id()
    }

    async fn explain(&self, id: JobId) -> Explanation {
        self.jobs.explain(id).await.unwrap()
    }

    /// The only reason there is.
    async fn reason(&self, id: JobId) -> Reason {
        let mut explanation = self.explain(id).await;
        assert_eq!(explanation.reasons.len(), 1, "{explanation}");
        explanation.reasons.remove(0)
    }

    async fn task(&self, name: &str) -> TaskStatus {
        let tasks = self.jobs.tasks().await.unwrap();
        let found = tasks.into_iter().find(|task| task.name == name);
        found.unwrap_or_else(|| panic!("no task `{name}`"))
    }

    fn at(&self, seconds: i64) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        majordomo_core::time::from_micros(start.as_microsecond() + seconds * 1_000_000)
    }
}

#[tokio::test]
async fn b15_a_worker_is_there_before_its_first_job_and_until_it_stops() {
    let place = Place::new();
    let handle = place.jobs.enqueue(Send(1)).await.unwrap();
    assert!(place.jobs.workers().await.unwrap().is_empty());
    let mut running = Worker::new(&place.jobs, ())
        .handle::<Send>()
        .handle::<Other>()
        .queue("default")
        .queue(Queue::new("mail").concurrency(3))
        .concurrency(5)
        .name("ada")
        .version("1.2")
        .start()
        .await
        .unwrap();
    assert_eq!(handle.result().await.unwrap(), ["ada"]);
    let workers = place.jobs.workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    let ada = &workers[0];
    assert_eq!(ada.tasks, ["send", "post", "other"]);
    assert_eq!(ada.queues, ["default", "mail"]);
    assert_eq!((ada.concurrency, ada.process), (5, std::process::id()));
    assert_eq!(ada.queue_limits, [("mail".to_owned(), 3)].into());
    assert_eq!(ada.app_version.as_deref(), Some("1.2"));
    assert_eq!((ada.started_at, ada.seen_at), (place.at(0), place.at(0)));
    assert!(ada.takes("mail") && ada.knows("post") && !ada.knows("mail"));
    running.stop();
    running.wait().await.unwrap();
    assert!(place.jobs.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_that_vanished_is_forgotten_after_half_a_minute() {
    let place = Place::new();
    let mut running = Worker::new(&place.jobs, ())
        .handle::<Send>()
        .name("ada")
        .start()
        .await
        .unwrap();
    let document = place.memory.get_document("worker/ada").await.unwrap();
    let document = document.unwrap();
    let ends = majordomo_core::time::after(document.changed_at, Duration::from_secs(30));
    assert_eq!(document.expires, Some(ends));
    running.stop();
    running.wait().await.unwrap();
    // As one that was killed leaves it.
    let put = Put {
        ttl: Some(Duration::from_secs(30)),
        ..Put::new(document.key, document.value)
    };
    place.memory.put_document(put).await.unwrap().unwrap();
    assert_eq!(place.jobs.workers().await.unwrap().len(), 1);
    place.clock.advance(Duration::from_secs(30));
    assert!(place.jobs.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn g60_gx28_a_program_that_only_enqueues_is_no_worker() {
    let place = Place::new();
    let handle = place.jobs.enqueue(Send(1)).await.unwrap();
    handle.cancel().await.unwrap();
    place.explain(handle.id()).await;
    let documents = place.memory.list_documents("", None, 10).await.unwrap();
    assert!(documents.items.is_empty(), "{documents:?}");
}

#[tokio::test]
async fn b17_a_task_that_the_next_deploy_leaves_out_is_no_longer_provided_and_its_jobs_are_counted()
{
    let place = Place::new();
    let mut old = Worker::new(&place.jobs, ())
        .handle::<Send>()
        .handle::<Other>()
        .name("old")
        .version("1")
        .start()
        .await
        .unwrap();
    assert!(place.task("send").await.is_provided());
    place.clock.advance(Duration::from_secs(20));
    old.stop();
    old.wait().await.unwrap();
    let jobs = (0..3)
        .map(Send)
        .map(|task| place.jobs.enqueue(task).build());
    let mut jobs: Vec<_> = jobs.collect::<Result<_, _>>().unwrap();
    // Under an earlier name it is the same task.
    jobs[2].task = "post".into();
    place.jobs.insert(jobs).await.unwrap();
    place.clock.advance(Duration::from_secs(3600));
    let mut new = Worker::new(&place.jobs, ())
        .handle::<Other>()
        .name("new")
        .version("2")
        .start()
        .await
        .unwrap();
    let send = place.task("send").await;
    assert!(!send.is_provided() && send.is_orphaned());
    assert_eq!(send.waiting.jobs, 3);
    assert_eq!(
        send.seen_at,
        Some(place.at(20)),
        "when the last worker that provided it stopped"
    );
    let record = send.record.unwrap();
    assert_eq!(record.app_version.as_deref(), Some("1"));
    let other = place.task("other").await;
    assert_eq!(other.workers, ["new"]);
    assert_eq!(other.record.unwrap().app_version.as_deref(), Some("2"));
    assert!(
        place.jobs.tasks().await.unwrap().len() == 2,
        "`post` is `send`"
    );
    new.stop();
    new.wait().await.unwrap();
}

#[tokio::test]
async fn jobs_of_a_task_that_was_never_registered_are_orphans_too() {
    let place = Place::new();
    let payload = majordomo_core::Payload::json(&()).unwrap();
    let job = majordomo_core::NewJob::new("mistyped", payload);
    place.jobs.insert(vec![job]).await.unwrap();
    let task = place.task("mistyped").await;
    assert!(task.is_orphaned() && task.record.is_none() && task.seen_at.is_none());
}

#[tokio::test]
async fn queues_are_listed_with_what_happens_in_them() {
    let place = Place::new();
    place.present("ada", &["send"], &["default", "mail"]).await;
    place.send().await;
    place.send().await;
    place.claim("ada").await;
    place.jobs.queue("night").max_running(1).await.unwrap();
    let queues = place.jobs.queues().await.unwrap();
    let table: Vec<_> = queues
        .iter()
        .map(|queue| {
            let (running, waiting) = (queue.running.jobs, queue.waiting.jobs);
            (queue.name.as_str(), running, waiting, queue.workers.len())
        })
        .collect();
    assert_eq!(
        table,
        [("default", 1, 1, 1), ("mail", 0, 0, 1), ("night", 0, 0, 0)]
    );
    assert_eq!(queues[2].control.max_running, Some(1));
}

#[tokio::test]
async fn a_job_without_workers_queue_or_task_is_explained_by_what_is_missing() {
    let place = Place::new();
    let id = place.send().await;
    assert!(matches!(place.reason(id).await, Reason::NoWorker { .. }));
    place.present("ada", &["other"], &["default"]).await;
    let unknown = place.reason(id).await;
    assert_eq!(
        unknown,
        Reason::TaskUnknown {
            task: "send".into(),
            workers: vec!["ada".into()]
        }
    );
    place.present("bob", &["send"], &["mail"]).await;
    let apart = place.reason(id).await;
    assert_eq!(
        apart,
        Reason::QueueNotTaken {
            queue: "default".into(),
            workers: vec!["bob".into()]
        }
    );
    place.present("eve", &["send"], &["default"]).await;
    assert_eq!(place.reason(id).await, Reason::Ready);
}

#[tokio::test]
async fn a_job_that_waits_for_its_time_or_its_retry_is_explained() {
    let place = Place::new();
    place.present("ada", &["send"], &["default"]).await;
    let id = place.send().await;
    place
        .jobs
        .reschedule(id, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(place.reason(id).await, Reason::NotDue { due: place.at(60) });
    place.jobs.reschedule(id, When::Now).await.unwrap();
    let lease = place.claim("ada").await;
    let error = Failure::new(FailureKind::Error, "no luck");
    let due = When::In(Duration::from_secs(90));
    let ending = Ending {
        error: Some(error.clone()),
        ..Ending::new(lease, Verdict::Retry { due })
    };
    place.memory.settle(vec![ending], None).await.unwrap();
    assert_eq!(
        place.reason(id).await,
        Reason::Retry {
            due: place.at(90),
            charged: 1,
            of: 10,
            error: Some(error)
        }
    );
}

#[tokio::test]
async fn a_job_that_must_start_by_then_or_missed_it_is_explained() {
    let place = Place::new();
    place.present("ada", &["send"], &["default"]).await;
    let handle = place.jobs.enqueue(Send(1));
    let handle = handle.expires_in(Duration::from_secs(10)).await.unwrap();
    let id = handle.id();
    assert_eq!(
        place.explain(id).await.reasons,
        [Reason::Ready, Reason::Expires { at: place.at(10) }]
    );
    place.clock.advance(Duration::from_secs(10));
    let late = Reason::Late {
        expires: place.at(10),
    };
    assert_eq!(place.reason(id).await, late);
}

#[tokio::test]
async fn a_paused_or_full_queue_or_task_is_explained() {
    let place = Place::new();
    place.present("ada", &["send"], &["default"]).await;
    let id = place.send().await;
    place.jobs.queue("default").pause("why").await.unwrap();
    let until = When::In(Duration::from_secs(60));
    place
        .jobs
        .task("send")
        .pause_until("", until)
        .await
        .unwrap();
    let told = place.explain(id).await.reasons;
    assert_eq!(
        told,
        [
            Reason::Paused {
                scope: Scope::Queue("default".into()),
                note: "why".into(),
                until: None
            },
            Reason::Paused {
                scope: Scope::Task("send".into()),
                note: String::new(),
                until: Some(place.at(60))
            },
        ]
    );
    place.jobs.queue("default").resume().await.unwrap();
    place.jobs.task("send").resume().await.unwrap();
    place.claim("ada").await;
    place.jobs.queue("default").max_running(1).await.unwrap();
    let next = place.send().await;
    assert_eq!(
        place.reason(next).await,
        Reason::Full {
            scope: Scope::Queue("default".into()),
            running: 1,
            max_running: 1
        }
    );
}

#[tokio::test]
async fn a_running_job_and_one_whose_worker_vanished_are_explained() {
    let place = Place::new();
    let id = place.send().await;
    place.claim("ada").await;
    assert_eq!(
        place.reason(id).await,
        Reason::Running {
            worker: "ada".into(),
            since: Some(place.at(0)),
            lease_until: place.at(30),
            is_asked_to_stop: false
        }
    );
    place.clock.advance(Duration::from_secs(30));
    assert_eq!(
        place.reason(id).await,
        Reason::LeaseOver {
            worker: "ada".into(),
            since: place.at(30)
        }
    );
}

#[tokio::test]
async fn a_job_behind_others_is_explained_with_their_number() {
    let place = Place::new();
    place.present("ada", &["send"], &["default"]).await;
    let first = place.send().await;
    let id = place.send().await;
    place.clock.advance(Duration::from_secs(1));
    let urgent = place.jobs.enqueue(Send(1)).priority(1).await.unwrap();
    let low = place.jobs.enqueue(Send(1)).priority(-1).await.unwrap();
    // One that no worker here runs stands in nobody's way.
    place.jobs.enqueue(Other).priority(9).await.unwrap();
    let ahead = async |id| match place.explain(id).await.reasons[..] {
        [Reason::Behind { ahead }] => ahead.jobs,
        [Reason::Ready] => 0,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(ahead(urgent.id()).await, 0);
    assert_eq!(ahead(first).await, 1);
    assert_eq!(ahead(id).await, 2);
    assert_eq!(ahead(low.id()).await, 3);
    place.jobs.enqueue_many((0..1100).map(Send)).await.unwrap();
    let last = place.send().await;
    let told = place.explain(last).await.reasons;
    let ahead = Count {
        jobs: 1000,
        or_more: true,
    };
    assert_eq!(told, [Reason::Behind { ahead }]);
}

#[tokio::test]
async fn a_suspect_behind_another_is_explained() {
    let place = Place::new();
    place.present("ada", &["send"], &["default"]).await;
    let (first, second) = (place.send().await, place.send().await);
    for _ in 0..2 {
        for _ in 0..2 {
            place.claim("dead").await;
        }
        place.clock.advance(Duration::from_secs(31));
        let running = Filter::all().state(State::Running);
        let found = place.memory.find(&running, Default::default(), None, 9);
        let leases = found.await.unwrap().items.into_iter();
        let lost = leases.filter_map(|job| job.lease).map(|lease| Ending {
            proof: Proof::Expired,
            ..Ending::new(lease, Verdict::Lost { due: When::Now })
        });
        place.memory.settle(lost.collect(), None).await.unwrap();
    }
    let running = place.claim("ada").await.job;
    let waiting = if running == first { second } else { first };
    assert_eq!(
        place.reason(waiting).await,
        Reason::Suspect {
            crashes: 2,
            behind: running
        }
    );
}

#[tokio::test]
async fn a_finished_job_is_explained_with_the_holder_of_its_key() {
    let place = Place::new();
    let first = place.jobs.enqueue(Send(1)).unique("ann").await.unwrap();
    first.cancel().await.unwrap();
    assert!(matches!(
        place.reason(first.id()).await,
        Reason::Finished {
            state: State::Cancelled,
            ..
        }
    ));
    let second = place.jobs.enqueue(Send(1)).unique("ann").await.unwrap();
    let told = first.explain().await.unwrap().reasons;
    let held = Reason::KeyHeld {
        key: "send/ann".into(),
        by: second.id(),
    };
    assert_eq!(told[1], held);
    // As a retry says too.
    let refused = first.retry(When::Now).await.unwrap_err();
    assert!(refused.to_string().contains(&second.id().to_string()));
    let missing = place.jobs.explain(JobId::new()).await.unwrap_err();
    assert_eq!(missing.kind(), majordomo_core::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_job_behind_workers_with_their_hands_full_is_explained() {
    let place = Place::new();
    let begun = Arc::new(Notify::new());
    let mut worker = Worker::new(&place.jobs, Arc::clone(&begun))
        .handle::<Hang>()
        .concurrency(1)
        .start()
        .await
        .unwrap();
    let hanging = place.jobs.enqueue(Hang).await.unwrap();
    begun.notified().await;
    let waiting = place.jobs.enqueue(Hang).await.unwrap();
    assert_eq!(
        place.reason(waiting.id()).await,
        Reason::Busy {
            running: 1,
            slots: 1
        }
    );
    place
        .jobs
        .change(&Filter::all(), &Change::Cancel)
        .await
        .unwrap();
    hanging.wait().await.unwrap();
    worker.stop();
    worker.wait().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_drains_says_so_and_provides_nothing_any_more() {
    let place = Place::new();
    let begun = Arc::new(Notify::new());
    let mut worker = Worker::new(&place.jobs, Arc::clone(&begun))
        .handle::<Hang>()
        .start()
        .await
        .unwrap();
    let hanging = place.jobs.enqueue(Hang).await.unwrap();
    begun.notified().await;
    assert!(!place.jobs.workers().await.unwrap()[0].is_stopping);
    worker.stop();
    let draining = async {
        while !place.jobs.workers().await.unwrap()[0].is_stopping {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), draining)
        .await
        .unwrap();
    let waiting = place.jobs.enqueue(Hang).await.unwrap();
    assert!(matches!(
        place.reason(waiting.id()).await,
        Reason::NoWorker { .. }
    ));
    assert!(place.task("hang").await.is_orphaned());
    hanging.cancel().await.unwrap();
    worker.wait().await.unwrap();
    assert!(place.jobs.workers().await.unwrap().is_empty());
}
