//! What people do to jobs and queues through the client: change, control.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use majordomo_core::{
    Change, Changed, Control, Edit, ErrorKind, Filter, JobId, ManualClock, Memory, NewJob, Pause,
    Payload, Refusal, Scope, State, Storage, Task, When,
};
use majordomo_engine::{Cancelled, Client, Context, Result, Run, Worker};
use majordomo_testkit::faulty::{Chance, Faulty, Verbs};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

/// Longer than any machine takes; nothing here waits for it to pass.
const GUARD: Duration = Duration::from_secs(120);
/// So long that only a wake can be the reason for a look.
const NEVER: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note(u64);

impl Task for Note {
    type Output = u64;
    const NAME: &'static str = "note";
}

impl Run<()> for Note {
    async fn run(self, _: &(), _: &Context) -> Result<u64> {
        Ok(self.0)
    }
}

fn client() -> (Client, ManualClock) {
    let clock = ManualClock::default();
    let memory = Memory::with_clock(Arc::new(clock.clone()));
    (Client::new(memory), clock)
}

/// A client of which half of all replies to changes are lost, and that goes on trying.
fn forgetful(seed: u64) -> Client {
    let faulty = Faulty::new(Arc::new(Memory::new()), seed);
    let lost = Chance {
        refused: 0.0,
        lost: 0.5,
    };
    Client::shared(Arc::new(faulty.with(Verbs::Operate, lost))).patience(NEVER)
}

#[tokio::test(start_paused = true)]
async fn a_cancel_or_retry_whose_reply_was_lost_is_told_as_done() {
    let jobs = forgetful(97);
    for number in 0..50 {
        let id = jobs.enqueue(Note(number)).await.unwrap().id();
        assert_eq!(jobs.cancel(id).await.unwrap(), Cancelled::Done);
        jobs.retry(id, When::Now).await.unwrap();
        jobs.set_priority(id, 7).await.unwrap();
        jobs.move_to(id, "other").await.unwrap();
        jobs.expire(id).await.unwrap();
        assert_eq!(
            jobs.job(id).await.unwrap().unwrap().job.state,
            State::Expired
        );
        jobs.remove_one(id).await.unwrap();
        assert!(jobs.job(id).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_a_revision_whose_reply_was_lost_is_told_as_done() {
    let jobs = forgetful(98);
    for number in 0..50 {
        let handle = jobs.enqueue(Note(number)).await.unwrap();
        handle.edit_at(1, &Note(number + 1)).await.unwrap();
        // Nobody else's edit passes for one's own.
        let refused = handle.edit_at(1, &Note(number + 2)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let job = handle.details().await.unwrap().job;
        assert_eq!(job.payload.decode::<Note>().unwrap(), Note(number + 1));
        assert_eq!(job.revision, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_named_jobs_tells_of_each_also_after_lost_replies() {
    let jobs = forgetful(99);
    let handles = jobs.enqueue_many((0..30).map(Note)).await.unwrap();
    let ids: Vec<JobId> = handles.iter().map(|handle| handle.id()).collect();
    let (mut told, mut after) = (Vec::new(), None);
    loop {
        let page = jobs
            .change_page(&Filter::ids(ids.clone()), &Change::Cancel, after, 7)
            .await
            .unwrap();
        told.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = ids
        .iter()
        .map(|&id| (id, Changed::Done(State::Cancelled)))
        .collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_cancel_of_what_others_cancelled_says_so_if_no_reply_was_lost() {
    let (jobs, _) = client();
    let id = jobs.enqueue(Note(1)).await.unwrap().id();
    assert_eq!(jobs.cancel(id).await.unwrap(), Cancelled::Done);
    assert_eq!(
        jobs.cancel(id).await.unwrap(),
        Cancelled::AlreadyFinished(State::Cancelled)
    );
}

#[tokio::test]
async fn each_change_of_one_job_is_made_or_says_why_not() {
    let (jobs, clock) = client();
    let handle = jobs.enqueue(Note(1)).await.unwrap();
    let id = handle.id();
    let later = clock_after(&jobs, 60).await;
    handle.reschedule(Duration::from_secs(60)).await.unwrap();
    handle.move_to("slow").await.unwrap();
    handle.set_priority(-3).await.unwrap();
    handle.edit(&Note(2)).await.unwrap();
    let job = handle.details().await.unwrap().job;
    assert_eq!(
        (job.due, job.queue.as_str(), job.priority, job.revision),
        (later, "slow", -3, 5)
    );
    assert_eq!(job.payload.decode::<Note>().unwrap(), Note(2));
    // An edit of what was read before is refused, and changes nothing.
    let stale = handle.edit_at(4, &Note(3)).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert!(
        stale.to_string().contains("at revision 5 by now"),
        "{stale}"
    );
    handle.edit_at(5, &Note(3)).await.unwrap();

    let unfinished = jobs.remove_one(id).await.unwrap_err();
    assert!(
        unfinished
            .to_string()
            .contains("the job is pending (hint: cancel it first)"),
        "{unfinished}"
    );
    jobs.expire(id).await.unwrap();
    for refused in [
        jobs.expire(id).await,
        jobs.move_to(id, "x").await,
        jobs.set_priority(id, 1).await,
        handle.reschedule(When::Now).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().ends_with("the job is expired"), "{error}");
    }
    handle.retry(When::Now).await.unwrap();
    handle.cancel().await.unwrap();
    jobs.remove_one(id).await.unwrap();
    for missing in [
        jobs.remove_one(id).await,
        jobs.expire(id).await,
        jobs.edit(id, Edit::default()).await,
    ] {
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    }
    drop(clock);
}

async fn clock_after(jobs: &Client, seconds: u64) -> majordomo_core::Timestamp {
    let now = jobs.storage().now().await.unwrap();
    majordomo_core::time::after(now, Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_page_of_changes_answers_for_each_job() {
    let (jobs, _) = client();
    let handles = jobs.enqueue_many((0..3).map(Note)).await.unwrap();
    handles[1].cancel().await.unwrap();
    let first = jobs
        .change_page(&Filter::all(), &Change::Cancel, None, 2)
        .await
        .unwrap();
    assert_eq!(
        first.items,
        [
            (handles[0].id(), Changed::Done(State::Cancelled)),
            (
                handles[1].id(),
                Changed::Refused(Refusal::State(State::Cancelled))
            )
        ]
    );
    let last = jobs
        .change_page(&Filter::all(), &Change::Cancel, first.next, 2)
        .await
        .unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
}

#[tokio::test]
async fn controls_are_set_field_by_field_and_listed() {
    let (jobs, _) = client();
    jobs.queue("mail").max_running(3).await.unwrap();
    let paused = jobs.queue("mail").pause("moving house").await.unwrap();
    let pause = Pause {
        note: "moving house".into(),
        until: None,
    };
    let expected = Control {
        paused: Some(pause),
        max_running: Some(3),
    };
    assert_eq!(paused, expected);
    jobs.task("note").max_running(1).await.unwrap();
    let until = clock_after(&jobs, 60).await;
    let limited = jobs.limit_key("smtp");
    limited
        .pause_until("", Duration::from_secs(60))
        .await
        .unwrap();
    let scopes: Vec<Scope> = jobs
        .controls()
        .await
        .unwrap()
        .into_iter()
        .map(|(scope, _)| scope)
        .collect();
    let all = [
        Scope::Queue("mail".into()),
        Scope::Task("note".into()),
        Scope::LimitKey("smtp".into()),
    ];
    assert_eq!(scopes, all);
    let paused = limited.read().await.unwrap().paused.unwrap();
    assert_eq!(paused.until, Some(until));
    assert_eq!(
        jobs.queue("mail").resume().await.unwrap().max_running,
        Some(3)
    );
    for scope in all {
        jobs.control(scope).set(Control::default()).await.unwrap();
    }
    assert!(jobs.controls().await.unwrap().is_empty());
    for refused in [
        jobs.queue("").pause("").await,
        jobs.queue("x").pause_until("", When::Now).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(jobs.controls().await.unwrap().is_empty());
}

/// Many programs at once, each changing one field of the same control. Half of
/// all writes are refused at first, so that each has time to get in between.
#[tokio::test(start_paused = true)]
async fn changing_one_field_of_a_control_never_loses_the_other() {
    for seed in 0..20 {
        let refused = Chance {
            refused: 0.5,
            lost: 0.0,
        };
        let faulty = Faulty::new(Arc::new(Memory::new()), seed);
        let storage = Arc::new(faulty.with(Verbs::Operate, refused));
        let changes = (0..4).map(|number| {
            let jobs = Client::shared(Arc::clone(&storage) as _).patience(NEVER);
            tokio::spawn(async move {
                let queue = jobs.queue("mail");
                match number % 2 {
                    0 => queue.pause("x").await.unwrap(),
                    _ => queue.max_running(7).await.unwrap(),
                }
            })
        });
        for change in changes.collect::<Vec<_>>() {
            change.await.unwrap();
        }
        let control = Client::shared(storage).queue("mail").read().await.unwrap();
        assert!(control.paused.is_some(), "seed {seed}: {control:?}");
        assert_eq!(control.max_running, Some(7), "seed {seed}");
    }
}

#[tokio::test]
async fn a_turn_that_a_dead_program_took_ends_by_itself() {
    let (jobs, clock) = client();
    let jobs = jobs.patience(Duration::ZERO);
    let put = majordomo_core::Put::new("control/queue/mail", "someone".into());
    jobs.storage().put_document(put).await.unwrap().unwrap();
    let taken = jobs.queue("mail").max_running(1).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Unavailable);
    assert!(
        taken.to_string().contains("control of queue `mail`"),
        "{taken}"
    );
    clock.advance(Duration::from_secs(10));
    jobs.queue("mail").max_running(1).await.unwrap();
    // And it left none behind.
    jobs.queue("mail").unlimited().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_control_whose_replies_are_lost_is_set_all_the_same() {
    let jobs = forgetful(100);
    for _ in 0..20 {
        jobs.queue("mail").max_running(3).await.unwrap();
        jobs.queue("mail").pause("x").await.unwrap();
        assert_eq!(
            jobs.queue("mail").resume().await.unwrap().max_running,
            Some(3)
        );
    }
}

/// Counts how many of it run at once; only three together get on.
struct Gate {
    three: Barrier,
    running: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Serialize, Deserialize)]
struct Pass;

impl Task for Pass {
    type Output = ();
    const NAME: &'static str = "pass";
}

impl Run<Arc<Gate>> for Pass {
    async fn run(self, gate: &Arc<Gate>, _: &Context) -> Result<()> {
        let running = gate.running.fetch_add(1, Ordering::SeqCst) + 1;
        gate.most.fetch_max(running, Ordering::SeqCst);
        gate.three.wait().await;
        // Room for a fourth to show itself.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        gate.running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_max_running_holds_over_two_workers_and_is_reached() {
    let memory = Memory::new();
    let jobs = Client::new(memory.clone());
    jobs.queue("default").max_running(3).await.unwrap();
    let gate = Arc::new(Gate {
        three: Barrier::new(3),
        running: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let mut workers = Vec::new();
    for name in ["ada", "bob"] {
        let worker = Worker::new(&Client::new(memory.clone()), Arc::clone(&gate))
            .handle::<Pass>()
            .name(name)
            .start();
        workers.push(worker.await.unwrap());
    }
    let handles = jobs.enqueue_many((0..90).map(|_| Pass)).await.unwrap();
    for handle in handles {
        let result = tokio::time::timeout(GUARD, handle.result()).await;
        result.unwrap().unwrap();
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), 3);
    for worker in &mut workers {
        worker.stop();
        worker.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_resumed_queue_or_a_raised_limit_is_taken_up_at_once() {
    let (jobs, _) = client();
    let mut worker = Worker::new(&jobs, ())
        .handle::<Note>()
        .queue("held")
        .queue("open")
        .poll(NEVER)
        .start()
        .await
        .unwrap();
    let held = jobs.queue("held");
    held.pause("wait").await.unwrap();
    for release in ["resume", "raise"] {
        let waiting = jobs.enqueue(Note(1)).queue("held").await.unwrap();
        // Once this one has run, the worker has looked at both and goes to sleep.
        let open = jobs.enqueue(Note(2)).queue("open").await.unwrap();
        tokio::time::timeout(GUARD, open.result())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(waiting.state().await.unwrap(), State::Pending);
        match release {
            "resume" => held.resume().await.unwrap(),
            _ => held.unlimited().await.unwrap(),
        };
        tokio::time::timeout(GUARD, waiting.result())
            .await
            .unwrap()
            .unwrap();
        held.max_running(0).await.unwrap();
    }
    worker.stop();
    worker.wait().await.unwrap();
}

#[tokio::test]
async fn g47_the_storage_is_at_hand_for_what_the_client_has_no_method_for() {
    let (jobs, _) = client();
    let storage: &Arc<dyn Storage> = jobs.storage();
    let job = NewJob::new("note", Payload::json(&Note(1)).unwrap());
    let id = job.id;
    storage
        .insert(vec![vec![job]], majordomo_core::Repeat::First)
        .await
        .unwrap();
    assert_eq!(
        jobs.handle::<Note>(id).state().await.unwrap(),
        State::Pending
    );
}
