//! The kit for tests of tasks: workers that step, clocks that jump, and errors
//! that say why.
#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Backoff, Clock, ErrorKind, ManualClock, Memory, Pause, Scope, State, Task};
use majordomo_engine::{Context, Result, Run, TaskError};
use majordomo_testkit::faulty::{Chance, Faulty, Trouble, Verbs};
use majordomo_testkit::{Kit, TestWorker};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Does one thing, whatever its test is about.
#[derive(Clone, Serialize, Deserialize)]
enum Act {
    Return,
    /// Fails as long as fewer attempts than this were charged.
    FailUntil(u32),
    SnoozeFor(Duration),
    Hang,
}

impl Task for Act {
    type Output = u32;
    const NAME: &'static str = "act";
}

impl Run<()> for Act {
    async fn run(self, _: &(), cx: &Context) -> Result<u32> {
        match self {
            Self::Return => Ok(1),
            Self::FailUntil(times) if cx.attempt() <= times => {
                cx.log("info", "about to fail");
                Err(TaskError::new("not yet"))
            }
            Self::FailUntil(times) => Ok(times),
            Self::SnoozeFor(wait) => Err(TaskError::snooze(wait)),
            Self::Hang => std::future::pending().await,
        }
    }
}

fn stepping(kit: &Kit) -> TestWorker<()> {
    kit.test(kit.worker(()).handle::<Act>()).unwrap()
}

/// A kit whose storage can be spoilt.
fn spoilt() -> (Kit, Arc<Faulty<Memory>>) {
    let clock = ManualClock::default();
    let memory = Memory::with_clock(Arc::new(clock.clone()));
    let faulty = Arc::new(Faulty::new(Arc::new(memory), 1));
    let mut kit = Kit::on(Memory::new(), clock);
    kit.jobs = majordomo_engine::Client::shared(faulty.clone());
    (kit, faulty)
}

#[tokio::test]
async fn g101_a_step_runs_exactly_the_due_jobs_and_nothing_before() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let now = kit.jobs.enqueue(Act::Return).await.unwrap();
    let later = kit.jobs.enqueue(Act::Return).after(DAY).await.unwrap();
    assert_eq!(now.state().await.unwrap(), State::Pending);
    assert_eq!(worker.step().await.unwrap().completed(), 1);
    assert_eq!(now.state().await.unwrap(), State::Completed);
    kit.advance(DAY - Duration::from_micros(1));
    assert!(worker.step().await.unwrap().is_idle());
    kit.advance(Duration::from_micros(1));
    assert_eq!(worker.step().await.unwrap().completed(), 1);
    assert_eq!(later.state().await.unwrap(), State::Completed);
}

#[tokio::test]
async fn g102_a_drain_reports_what_ran_and_leaves_retries_to_their_time() {
    let kit = Kit::new();
    let worker = kit.test(kit.worker(()).handle::<Act>().concurrency(2));
    let worker = worker.unwrap();
    for _ in 0..5 {
        kit.jobs.enqueue(Act::Return).await.unwrap();
    }
    let again = kit.jobs.enqueue(Act::FailUntil(1)).await.unwrap();
    let dead = kit.jobs.enqueue(Act::FailUntil(1)).attempts(1);
    let dead = dead.await.unwrap();
    let report = worker.drain().await.unwrap();
    assert_eq!((report.ran(), report.completed()), (7, 5));
    assert_eq!((report.failed(), report.dead()), (2, 1));
    assert_eq!(again.state().await.unwrap(), State::Pending);
    assert_eq!(dead.state().await.unwrap(), State::Dead);
    assert_eq!(worker.report(), report);
}

/// As the README shows it for other tasks, there as a doc test.
#[tokio::test]
async fn g103_a_test_of_a_task_is_six_lines_long() {
    let kit = Kit::new();
    let worker = kit.test(kit.worker(()).handle::<Act>()).unwrap();
    kit.jobs.enqueue(Act::Return).after(YEAR).await.unwrap();
    majordomo_testkit::assert_enqueued!(kit.jobs, Act, |act| matches!(act, Act::Return));
    kit.advance(YEAR);
    assert_eq!(worker.drain().await.unwrap().completed(), 1);
}

#[tokio::test]
async fn g105_a_yearly_wait_and_ten_retries_pass_by_the_clock_of_the_test() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let start = kit.now();
    let enqueue = kit.jobs.enqueue(Act::FailUntil(10)).after(YEAR);
    let backoff = Backoff::exponential(SECOND, 2.0).cap(DAY);
    let job = enqueue.attempts(11).backoff(backoff).await.unwrap();
    let report = worker.run_until_idle().await.unwrap();
    assert_eq!(
        (report.ran(), report.failed(), report.completed()),
        (11, 10, 1)
    );
    assert_eq!(job.result().await.unwrap(), 10);
    let passed = majordomo_core::time::between(start, kit.now());
    assert!(passed >= YEAR + 500 * SECOND, "only {passed:?} passed");
    assert!(passed < YEAR + DAY, "as much as {passed:?} passed");
}

#[tokio::test]
async fn a_job_expires_by_the_clock_of_the_test() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let job = kit.jobs.enqueue(Act::Return).expires_in(DAY).await.unwrap();
    kit.advance(DAY);
    assert_eq!(worker.drain().await.unwrap().expired, 1);
    assert_eq!(job.state().await.unwrap(), State::Expired);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_times_out_by_paused_time() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let enqueue = kit.jobs.enqueue(Act::Hang).timeout(10 * SECOND);
    let job = enqueue.attempts(1).await.unwrap();
    let report = worker.drain().await.unwrap();
    assert_eq!(report.dead(), 1);
    let error = job.details().await.unwrap().job.error.unwrap();
    assert_eq!(error.kind, majordomo_core::job::FailureKind::Timeout);
}

#[tokio::test]
async fn running_until_idle_leaves_alone_what_it_cannot_run() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let pause = Pause {
        note: "for the test".into(),
        ..Pause::default()
    };
    let control = majordomo_core::Control {
        paused: Some(pause),
        ..Default::default()
    };
    let scope = Scope::Queue("default".into());
    let storage = kit.jobs.storage();
    storage.set_control(scope, control).await.unwrap();
    let paused = kit.jobs.enqueue(Act::Return).await.unwrap();
    assert!(worker.run_until_idle().await.unwrap().is_idle());
    let stuck = worker.wait_for(paused.id()).await.unwrap_err().to_string();
    assert!(
        stuck.contains("nothing is left that this worker could run"),
        "{stuck}"
    );
}

#[tokio::test]
async fn waiting_for_a_job_runs_it_with_all_its_retries() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let job = kit.jobs.enqueue(Act::FailUntil(3)).after(YEAR);
    let id = job.await.unwrap().id();
    let found = worker.wait_for(id).await.unwrap();
    assert_eq!(
        (found.job.state, found.attempts.len()),
        (State::Completed, 4)
    );
    let found = worker.wait_for_state(id, State::Completed).await.unwrap();
    assert_eq!(found.job.id, id);
}

#[tokio::test]
async fn g102_waiting_in_vain_shows_the_jobs_their_attempts_errors_and_logs() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let job = kit.jobs.enqueue(Act::FailUntil(9)).attempts(2);
    let id = job.await.unwrap().id();
    let other = kit.jobs.enqueue(Act::Return).after(YEAR).await.unwrap();
    let stuck = worker.wait_for_state(id, State::Completed).await;
    let stuck = stuck.unwrap_err();
    let text = stuck.to_string();
    for part in [
        &format!("waiting until job {id} is completed: it ended as dead\n"),
        "the worker so far: 2 attempts ran: 1 retried, 1 dead\n",
        &format!("- job {id} of `act` in `default`: dead"),
        "2 of 2 attempts",
        "attempt 1: retried: ",
        "not yet",
        "log: info: about to fail",
        &format!("- job {} of `act` in `default`: pending", other.id()),
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert_eq!(stuck.report(), Some(&worker.report()));
    assert_eq!(format!("{stuck:?}"), text, "unwrapping shows the same");
}

#[tokio::test]
async fn waiting_for_a_job_that_is_not_there_says_so() {
    let kit = Kit::new();
    let worker = stepping(&kit);
    let id = majordomo_core::JobId::new();
    let stuck = worker.wait_for(id).await.unwrap_err().to_string();
    assert!(
        stuck.contains(&format!("job {id} is ended: there is no such job")),
        "{stuck}"
    );
    let stuck = kit.wait_for(id, SECOND).await.unwrap_err().to_string();
    assert!(stuck.contains("there is no such job"), "{stuck}");
}

#[tokio::test]
async fn jobs_without_end_are_an_error() {
    let kit = Kit::new();
    let worker = stepping(&kit).within(DAY);
    kit.jobs.enqueue(Act::SnoozeFor(DAY)).await.unwrap();
    let stuck = worker.run_until_idle().await.unwrap_err().to_string();
    assert!(
        stuck.contains("does a job snooze or enqueue itself for ever?"),
        "{stuck}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_an_error_after_the_patience() {
    let kit = Kit::new();
    let worker = stepping(&kit).within(5 * SECOND);
    let job = kit.jobs.enqueue(Act::Hang).await.unwrap();
    let stuck = worker.drain().await.unwrap_err().to_string();
    assert!(
        stuck.starts_with("draining took longer than 5s\n"),
        "{stuck}"
    );
    assert!(
        stuck.contains(&format!(
            "- job {} of `act` in `default`: running",
            job.id()
        )),
        "{stuck}"
    );
    assert!(stuck.contains("attempt 1: not over"), "{stuck}");
}

#[tokio::test]
async fn g102_a_storage_that_fails_is_its_error() {
    let (kit, faulty) = spoilt();
    let worker = stepping(&kit);
    kit.jobs.enqueue(Act::Return).await.unwrap();
    let refused = Chance {
        refused: 1.0,
        lost: 0.0,
    };
    for verbs in [Verbs::Claim, Verbs::Settle] {
        faulty.set(verbs, refused);
        let stuck = worker.drain().await.unwrap_err();
        let error = stuck.storage_error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{stuck}");
        assert!(
            stuck.to_string().starts_with("the storage failed: "),
            "{stuck}"
        );
        faulty.set(verbs, Trouble::default());
    }
}

#[tokio::test(start_paused = true)]
async fn g102_a_storage_that_never_answers_is_an_error_and_no_hang() {
    for (verbs, why) in [
        (Verbs::Claim, "the storage gave no answer to `claim` in 10s"),
        (
            Verbs::Settle,
            "the storage gave no answer to `settle` in 10s",
        ),
        (Verbs::Read, "is ended took longer than 30s"),
    ] {
        let (kit, faulty) = spoilt();
        let worker = stepping(&kit);
        let job = kit.jobs.enqueue(Act::Return).await.unwrap();
        let never = Trouble {
            never_arrives: 1.0,
            ..Trouble::default()
        };
        faulty.set(verbs, never);
        let stuck = worker.wait_for(job.id()).await.unwrap_err().to_string();
        assert!(stuck.contains(why), "{stuck}");
    }
}

#[tokio::test]
async fn a_started_worker_is_waited_for_in_any_state() {
    let kit = Kit::new();
    let mut running = kit.worker(()).handle::<Act>().drain(Duration::ZERO);
    running = running.grace(Duration::ZERO);
    let mut running = running.start().await.unwrap();
    let hangs = kit.jobs.enqueue(Act::Hang).await.unwrap();
    let returns = kit.jobs.enqueue(Act::Return).await.unwrap();
    let patience = 60 * SECOND;
    let found = kit
        .wait_for_state(hangs.id(), State::Running, patience)
        .await;
    assert!(found.unwrap().job.lease.is_some());
    let found = kit.wait_for(returns.id(), patience).await.unwrap();
    assert_eq!(found.job.state, State::Completed);
    let never = kit
        .wait_for_state(returns.id(), State::Dead, patience)
        .await;
    let stuck = never.unwrap_err().to_string();
    assert!(stuck.contains("is dead: it ended as completed"), "{stuck}");
    let short = kit.wait_for(hangs.id(), Duration::from_millis(1)).await;
    let stuck = short.unwrap_err().to_string();
    assert!(stuck.contains("took longer than 1ms"), "{stuck}");
    running.stop_now();
    running.wait().await.unwrap();
}

/// As tests of one program are: each has its own kit, and its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g104_gx23_kits_in_one_process_know_nothing_of_each_other() {
    let each = |wait: Duration| async move {
        let kit = Kit::new();
        let worker = stepping(&kit);
        let job = kit.jobs.enqueue(Act::Return).after(wait).await.unwrap();
        assert_eq!(worker.run_until_idle().await.unwrap().ran(), 1);
        assert_eq!(job.state().await.unwrap(), State::Completed);
        majordomo_core::time::between(ManualClock::default().now(), kit.now())
    };
    let (day, year) = (tokio::spawn(each(DAY)), tokio::spawn(each(YEAR)));
    assert_eq!((day.await.unwrap(), year.await.unwrap()), (DAY, YEAR));
}
