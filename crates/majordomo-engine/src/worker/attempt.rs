//! One attempt of one job: decode, run under timeout, panic guard and
//! cancellation, and say what is to be written about it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use majordomo_core::ending::{Again, Ending, Outcome, decide};
use majordomo_core::job::{Failure, FailureKind};
use majordomo_core::{Details, Job, Timestamp, Verdict};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::context::{CancelReason, Context, Live};
use crate::task_error::TaskError;

use super::handlers::Work;
use super::shared::Shared;

/// How the user's code came out.
enum Ran {
    /// It returned.
    Returned(Result<Value, TaskError>),
    /// It panicked with this message.
    Panicked(String),
    /// It did not stop in time after it was told to, and was dropped.
    Dropped,
}

/// Runs an attempt to its end. `None` if its lease was lost meanwhile, so that
/// nothing may be written. A panic in any of the user's code, also in its
/// decoding, ends the attempt and nothing else.
pub(super) async fn run<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    details: Details,
    live: &Arc<Live>,
    claimed_at: Timestamp,
) -> Option<Ending> {
    let job = details.job.clone();
    match AssertUnwindSafe(run_unguarded(shared, details, live, claimed_at))
        .catch_unwind()
        .await
    {
        Ok(ending) => ending,
        Err(panic) => {
            let failure = Failure::new(FailureKind::Panic, &panic_message(&*panic));
            let verdict = decide(
                &job,
                &Outcome::Failed(Again::ByPolicy),
                None,
                claimed_at,
                fastrand::f64(),
            );
            log(&job, &verdict, Some(&failure));
            Some(Ending {
                error: Some(failure),
                ..Ending::new(live.lease.clone(), verdict)
            })
        }
    }
}

async fn run_unguarded<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    details: Details,
    live: &Arc<Live>,
    claimed_at: Timestamp,
) -> Option<Ending> {
    let job = details.job.clone();
    let Some(handler) = shared.handlers.get(&job.task) else {
        // Only claimed by name, so a storage that hands out others is at fault; do no harm.
        tracing::error!(job = %job.id, task = job.task, "claimed a job of a task that this worker does not know");
        return Some(Ending::new(live.lease.clone(), Verdict::Release));
    };
    let timeout = job.timeout.unwrap_or(shared.settings.timeout);
    let cx = Context::new(
        details,
        Some(timeout),
        shared.client.clone(),
        Arc::clone(live),
    );
    let ran = match handler.start(&shared.app, cx) {
        Ok(work) => guard(shared, work, live, timeout).await,
        Err(unfit) => {
            tracing::warn!(job = %job.id, task = job.task, reason = %unfit.reason, "{}", unfit.message);
            let failure = Failure::new(FailureKind::Decode, &unfit.message);
            let verdict = decide(
                &job,
                &Outcome::Undecodable(unfit.reason),
                None,
                claimed_at,
                fastrand::f64(),
            );
            return Some(Ending {
                error: Some(failure),
                ..Ending::new(live.lease.clone(), verdict)
            });
        }
    };
    let reason = live.cancel.reason();
    if reason == Some(CancelReason::LeaseLost) {
        return None;
    }
    let (outcome, output, failure) = outcome_of(ran, reason, timeout);
    let delay = failure
        .as_ref()
        .and_then(|failure| handler.retry_delay(job.charged + 1, failure));
    let verdict = decide(&job, &outcome, delay, claimed_at, fastrand::f64());
    log(&job, &verdict, failure.as_ref());
    let news = live.take_news();
    let (progress, checkpoint) = (news.progress, news.checkpoint);
    Some(Ending {
        output,
        error: failure,
        progress,
        checkpoint,
        ..Ending::new(live.lease.clone(), verdict)
    })
}

/// Runs the user's code. Being told to stop wakes whoever awaits the context;
/// after the grace the future is dropped. A blocking one can't be: it is
/// waited for, so that there are never two attempts of one job at once.
async fn guard<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    work: Work,
    live: &Arc<Live>,
    timeout: std::time::Duration,
) -> Ran {
    let mut running = AssertUnwindSafe(work.future).catch_unwind();
    let deadline = Instant::now().checked_add(timeout);
    let told = live.cancel.listen();
    tokio::pin!(told);
    let reason = tokio::select! {
        biased;
        ended = &mut running => return ran(ended),
        reason = &mut told => reason,
        () = until(deadline) => {
            live.cancel.fire(CancelReason::Timeout);
            CancelReason::Timeout
        }
    };
    if !work.droppable {
        return ran(running.await);
    }
    tokio::select! {
        biased;
        ended = &mut running => ran(ended),
        () = sleep(shared.grace(reason)) => Ran::Dropped,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn ran(ended: Result<Result<Value, TaskError>, Box<dyn Any + Send>>) -> Ran {
    match ended {
        Ok(result) => Ran::Returned(result),
        Err(panic) => Ran::Panicked(panic_message(&*panic)),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// What it means. Completion counts whatever was asked meanwhile; an error
/// after being told to stop is that stop, not a failure of the task.
fn outcome_of(
    ran: Ran,
    reason: Option<CancelReason>,
    timeout: std::time::Duration,
) -> (Outcome, Option<Value>, Option<Failure>) {
    let failed = |kind, message: &str| Some(Failure::new(kind, message));
    let by_policy = Outcome::Failed(Again::ByPolicy);
    let error = match ran {
        Ran::Returned(Ok(output)) => return (Outcome::Completed, Some(output), None),
        Ran::Returned(Err(error)) => Some(error),
        Ran::Panicked(message) => {
            return match reason {
                Some(CancelReason::User) => (
                    Outcome::Cancelled,
                    None,
                    failed(FailureKind::Panic, &message),
                ),
                _ => (by_policy, None, failed(FailureKind::Panic, &message)),
            };
        }
        Ran::Dropped => None,
    };
    match reason {
        Some(CancelReason::Shutdown) => (Outcome::Released, None, None),
        Some(CancelReason::User) => (
            Outcome::Cancelled,
            None,
            error.and_then(|error| error.failure()),
        ),
        Some(CancelReason::Timeout) => {
            let message = format!("the attempt ran longer than its timeout of {timeout:?}");
            (by_policy, None, failed(FailureKind::Timeout, &message))
        }
        Some(CancelReason::LeaseLost) | None => match error {
            Some(error) => (error.outcome(), None, error.failure()),
            None => (Outcome::Released, None, None),
        },
    }
}

fn log(job: &Job, verdict: &Verdict, failure: Option<&Failure>) {
    let (id, task, attempt) = (job.id, job.task.as_str(), job.charged + 1);
    match (verdict, failure) {
        (Verdict::Dead { reason }, Some(failure)) => {
            tracing::error!(job = %id, task, attempt, %reason, error = %failure, "job is dead");
        }
        (Verdict::Retry { .. }, Some(failure)) => {
            tracing::warn!(job = %id, task, attempt, error = %failure, "attempt failed, will be retried");
        }
        _ => tracing::debug!(job = %id, task, attempt, ending = %verdict.kind(), "attempt ended"),
    }
}
