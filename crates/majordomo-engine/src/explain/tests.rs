//! One reason at a time, each from the facts that make it and from those that do not.

use majordomo_core::job::FailureKind;
use majordomo_core::{Lease, NewJob, Pause, Payload, time};

use super::*;

fn second(n: i64) -> Timestamp {
    time::from_micros(n * 1_000_000)
}

/// A pending job that is due at second 0.
fn job() -> Job {
    NewJob::new("send", Payload::json(&()).unwrap()).into_job(second(0))
}

fn running_on(worker: &str) -> Job {
    let mut job = job();
    job.state = State::Running;
    job.started_at = Some(second(1));
    job.lease = Some(Lease {
        job: job.id,
        token: 1,
        worker: worker.into(),
        expires: second(30),
    });
    job
}

fn worker(name: &str, tasks: &[&str], queues: &[&str]) -> WorkerRecord {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    WorkerRecord {
        name: name.into(),
        started_at: second(0),
        seen_at: second(0),
        is_stopping: false,
        majordomo: "1".into(),
        app_version: None,
        tasks: owned(tasks),
        queues: owned(queues),
        concurrency: 2,
        queue_limits: Default::default(),
        host: None,
        process: 1,
    }
}

/// At second 10, with a worker that could run the job.
fn facts(job: Job) -> Facts {
    Facts {
        now: second(10),
        job,
        controls: Vec::new(),
        workers: vec![worker("ada", &["send"], &["default"])],
        running: Vec::new(),
        ahead: Count::default(),
        key_held: None,
    }
}

fn paused(until: Option<Timestamp>) -> Control {
    let note = "moving house".to_owned();
    Control {
        paused: Some(Pause { note, until }),
        ..Control::default()
    }
}

/// The one reason there is, and that its words hold these.
fn only(facts: &Facts, words: &[&str]) -> Reason {
    let mut reasons = reasons(facts);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let reason = reasons.remove(0);
    let text = reason.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text:?}");
    reason
}

#[test]
fn a_job_that_nothing_holds_up_is_ready() {
    let reason = only(&facts(job()), &["nothing stands in its way", "next look"]);
    assert_eq!(reason, Reason::Ready);
}

#[test]
fn a_finished_job_says_how_it_ended() {
    let mut dead = job();
    dead.state = State::Dead;
    dead.ended_at = Some(second(5));
    dead.dead_reason = Some(DeadReason::Permanent);
    dead.error = Some(Failure::new(FailureKind::Error, "no luck"));
    only(
        &facts(dead.clone()),
        &["dead since 1970-01-01T00:00:05Z", "no luck", "retry it"],
    );
    // What a completed job once failed with is of no concern any more.
    let mut completed = facts(dead);
    completed.job.state = State::Completed;
    completed.job.dead_reason = None;
    let reason = only(&completed, &["completed since"]);
    assert!(matches!(reason, Reason::Finished { error: None, .. }));
}

#[test]
fn a_finished_job_says_who_holds_its_key() {
    let mut cancelled = facts(job());
    cancelled.job.state = State::Cancelled;
    let by = JobId::new();
    cancelled.key_held = Some(("send/ann".into(), by));
    let reasons = reasons(&cancelled);
    let text = reasons[1].to_string();
    assert!(
        text.contains(&format!("`send/ann` is held by job {by}")),
        "{text}"
    );
}

#[test]
fn a_running_job_says_where_since_when_and_under_which_lease() {
    let mut running = facts(running_on("ada"));
    let words = [
        "`ada` since 1970-01-01T00:00:01Z",
        "until 1970-01-01T00:00:30Z",
    ];
    only(&running, &words);
    only(&running, &["cancel it"]);
    running.job.cancel_requested = true;
    only(&running, &["was asked to stop"]);
}

#[test]
fn a_job_whose_worker_vanished_says_so() {
    let mut lost = facts(running_on("ada"));
    lost.now = second(30);
    let reason = only(&lost, &["worker `ada`", "sweep"]);
    assert_eq!(
        reason,
        Reason::LeaseOver {
            worker: "ada".into(),
            since: second(30)
        }
    );
}

#[test]
fn a_job_of_the_future_says_when_it_is_due() {
    let mut later = facts(job());
    later.job.due = second(60);
    later.ahead.jobs = 3;
    let reason = only(
        &later,
        &["not due before 1970-01-01T00:01:00Z", "reschedule"],
    );
    assert_eq!(reason, Reason::NotDue { due: second(60) });
}

#[test]
fn a_failed_job_says_what_it_failed_with_and_when_it_runs_again() {
    let mut failed = facts(job());
    failed.job.due = second(60);
    failed.job.charged = 2;
    failed.job.error = Some(Failure::new(FailureKind::Error, "connection refused"));
    only(
        &failed,
        &[
            "attempt 2 of 10",
            "`connection refused`",
            "00:01:00Z",
            "reschedule",
        ],
    );
}

#[test]
fn a_job_past_its_expiry_says_that_it_will_not_run() {
    let mut late = facts(job());
    late.job.expires = Some(second(10));
    let reason = only(&late, &["had to start before 1970-01-01T00:00:10Z"]);
    assert_eq!(
        reason,
        Reason::Late {
            expires: second(10)
        }
    );
}

#[test]
fn a_job_that_expires_says_by_when_it_must_start() {
    let mut expiring = facts(job());
    expiring.job.expires = Some(second(11));
    assert_eq!(
        reasons(&expiring),
        [Reason::Ready, Reason::Expires { at: second(11) }]
    );
}

#[test]
fn a_pause_of_queue_task_or_limit_key_is_told_with_its_note() {
    let mut held = facts(job());
    held.job.limit_key = Some("smtp".into());
    for (scope, words) in [
        (Scope::Queue("default".into()), "queue `default` is paused"),
        (Scope::Task("send".into()), "task `send` is paused"),
        (Scope::LimitKey("smtp".into()), "limit key `smtp` is paused"),
    ] {
        held.controls = vec![
            (scope, paused(None)),
            (Scope::Queue("other".into()), paused(None)),
        ];
        only(&held, &[words, "`moving house`", "resume it"]);
    }
}

#[test]
fn a_pause_that_is_over_by_then_holds_nothing_up() {
    let mut later = facts(job());
    let scope = Scope::Queue("default".into());
    later.controls = vec![(scope, paused(Some(second(20))))];
    only(&later, &["until 1970-01-01T00:00:20Z"]);
    later.job.due = second(20);
    assert_eq!(reasons(&later), [Reason::NotDue { due: second(20) }]);
    later.now = second(20);
    assert_eq!(reasons(&later), [Reason::Ready]);
}

#[test]
fn a_limit_that_is_reached_is_told_with_its_numbers() {
    let mut limited = facts(job());
    limited.workers[0].concurrency = 9;
    limited.running = vec![running_on("ada"), running_on("ada")];
    limited.running[1].queue = "other".into();
    let limit = |most| Control {
        max_running: Some(most),
        ..Control::default()
    };
    limited.controls = vec![(Scope::Queue("default".into()), limit(1))];
    only(
        &limited,
        &["1 jobs of its queue `default`", "at most 1 may"],
    );
    limited.controls = vec![(Scope::Task("send".into()), limit(2))];
    only(&limited, &["2 jobs of its task `send`", "raise the limit"]);
    limited.controls = vec![(Scope::Task("send".into()), limit(3))];
    assert_eq!(reasons(&limited), [Reason::Ready]);
}

#[test]
fn without_any_worker_it_says_what_one_would_need() {
    let mut alone = facts(job());
    alone.workers.clear();
    only(
        &alone,
        &["no worker is alive", "task `send`", "queue `default`"],
    );
}

#[test]
fn a_task_that_no_live_worker_knows_is_told_with_those_that_live() {
    let mut unknown = facts(job());
    unknown.workers = vec![
        worker("ada", &["other"], &["default"]),
        worker("bob", &[], &["default"]),
    ];
    only(
        &unknown,
        &["no live worker knows the task `send`", "ada, bob"],
    );
}

#[test]
fn a_queue_that_nobody_who_knows_the_task_takes_is_told() {
    let mut apart = facts(job());
    apart.workers = vec![
        worker("ada", &["send"], &["mail"]),
        worker("bob", &["other"], &["default"]),
    ];
    only(
        &apart,
        &["takes the queue `default`", "know it: ada)", "move the job"],
    );
}

#[test]
fn workers_with_their_hands_full_are_told_with_their_slots() {
    let mut busy = facts(job());
    busy.workers.push(worker("bob", &["send"], &["default"]));
    busy.running = ["ada", "ada", "bob", "bob"].map(running_on).into();
    let reason = only(&busy, &["hands full", "4 jobs in 4 slots"]);
    assert_eq!(
        reason,
        Reason::Busy {
            running: 4,
            slots: 4
        }
    );
    busy.running.pop();
    assert_eq!(reasons(&busy), [Reason::Ready]);
}

#[test]
fn a_worker_that_may_run_no_more_of_the_queue_has_its_hands_full_for_it() {
    let mut busy = facts(job());
    busy.workers[0].concurrency = 9;
    busy.workers[0].queue_limits.insert("default".into(), 1);
    busy.running = vec![running_on("ada"), running_on("ada")];
    busy.running[0].queue = "other".into();
    let reason = only(&busy, &["1 jobs in 1 slots"]);
    assert_eq!(
        reason,
        Reason::Busy {
            running: 1,
            slots: 1
        }
    );
    busy.job.queue = "other".into();
    busy.workers[0].queues.push("other".into());
    assert_eq!(reasons(&busy), [Reason::Ready]);
}

#[test]
fn a_suspect_waits_for_the_other_one() {
    let mut suspect = facts(job());
    suspect.job.crashes = 2;
    suspect.running = vec![running_on("ada")];
    assert_eq!(reasons(&suspect), [Reason::Ready]);
    suspect.running[0].crashes = 2;
    let behind = suspect.running[0].id;
    let reason = only(&suspect, &["2 times", "one at a time", &behind.to_string()]);
    assert_eq!(reason, Reason::Suspect { crashes: 2, behind });
}

#[test]
fn jobs_that_go_first_are_counted() {
    let mut behind = facts(job());
    behind.ahead = Count {
        jobs: 1000,
        or_more: true,
    };
    only(&behind, &["at least 1000 due jobs", "raise its priority"]);
    let first = job();
    let mut urgent = job();
    urgent.priority = 1;
    assert!(goes_before(&urgent, &first) && !goes_before(&first, &urgent));
    let mut older = job();
    older.due = second(-1);
    assert!(goes_before(&older, &first) && !goes_before(&first, &older));
}

#[test]
fn everything_that_holds_a_job_up_is_told_at_once() {
    let mut stuck = facts(job());
    stuck.workers.clear();
    stuck.controls = vec![(Scope::Task("send".into()), paused(None))];
    let explanation = Explanation {
        id: stuck.job.id,
        state: State::Pending,
        at: stuck.now,
        reasons: reasons(&stuck),
    };
    let text = explanation.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("is pending\n- its task `send` is paused"),
        "{text}"
    );
}
