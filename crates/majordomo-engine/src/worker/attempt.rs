//! One attempt of one job: decode, run under timeout, panic guard and
//! cancellation, and say what is to be written about it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use majordomo_core::ending::{Again, Ending, Outcome, decide};
use majordomo_core::job::{Failure, FailureKind};
use majordomo_core::{Details, Job, Verdict};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument;

use crate::context::{CancelReason, Context};
use crate::live::Live;
use crate::span;
use crate::task_error::TaskError;

use super::app::Close;
use super::handlers::{Handler, Work};
use super::shared::Shared;
use super::slots::Moment;

/// How the user's code came out.
enum Ran {
    /// It returned.
    Returned(Result<Value, TaskError>),
    /// It panicked with this message.
    Panicked(String),
    /// It did not stop in time after it was told to, and was dropped.
    Dropped,
}

/// What came out, what it means, and what is kept of it.
struct Came {
    outcome: Outcome,
    output: Option<Value>,
    failure: Option<Failure>,
}

/// A job as it was claimed, and when that was.
struct Claimed {
    cx: Context,
    at: Moment,
}

impl Claimed {
    fn job(&self) -> &Job {
        self.cx.job()
    }
}

/// Runs an attempt to its end. `None` if its lease was lost meanwhile, so that
/// nothing may be written. A panic in any of the user's code, also in its
/// decoding, ends the attempt and nothing else.
pub(super) async fn run<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    details: Arc<Details>,
    live: &Arc<Live>,
    claimed_at: Moment,
) -> Option<Ending> {
    let Some(handler) = shared.handlers.get(&details.job.task) else {
        // Only claimed by name, so a storage that hands out others is at fault; do no harm.
        let (job, task) = (details.job.id, &details.job.task);
        tracing::error!(%job, task, "claimed a job of a task that this worker does not know");
        return Some(Ending::new(live.lease.clone(), Verdict::Release));
    };
    let timeout = details.job.timeout.unwrap_or(shared.settings.timeout);
    let client = shared.client.clone();
    let claimed = Claimed {
        cx: Context::new(details, Some(timeout), client, Arc::clone(live)),
        at: claimed_at,
    };
    let span = span::open(claimed.job(), live);
    run_claimed(shared, handler.as_ref(), &claimed, live, timeout)
        .instrument(span)
        .await
}

async fn run_claimed<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    handler: &dyn Handler<App>,
    claimed: &Claimed,
    live: &Arc<Live>,
    timeout: Duration,
) -> Option<Ending> {
    let came = come(shared, handler, claimed.cx.clone(), live, timeout);
    let came = AssertUnwindSafe(came).catch_unwind().await;
    live.cancel.over();
    let came = came.unwrap_or_else(|panic| panicked(&panic_message(&*panic)));
    // Whatever came out: without the lease it counts for nothing.
    if live.cancel.reason() == Some(CancelReason::LeaseLost) {
        return None;
    }
    Some(ending(claimed, handler, live, came))
}

/// What is to be written.
fn ending<App>(claimed: &Claimed, handler: &dyn Handler<App>, live: &Live, came: Came) -> Ending {
    let Came {
        outcome,
        output,
        failure,
    } = came;
    let job = claimed.job();
    let own_delay = failure.as_ref().and_then(|failure| {
        // The user's code once more, so guarded once more.
        let delay = || handler.retry_delay(job.charged + 1, failure);
        std::panic::catch_unwind(AssertUnwindSafe(delay)).unwrap_or_default()
    });
    let verdict = decide(job, &outcome, own_delay, claimed.at.now(), fastrand::f64());
    log(&verdict, failure.as_ref());
    Ending {
        output,
        error: failure,
        ..live.ending(verdict)
    }
}

/// Runs the user's code and sees what it means.
async fn come<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    handler: &dyn Handler<App>,
    cx: Context,
    live: &Arc<Live>,
    timeout: Duration,
) -> Came {
    match handler.start(&shared.app, cx) {
        Ok(mut work) => {
            let closing = work.close.take();
            let ran = guard(shared, work, live, timeout).await;
            if let Some(closing) = closing {
                close(closing, shared.settings.grace).await;
            }
            outcome_of(ran, live.cancel.reason(), timeout)
        }
        Err(unfit) => {
            tracing::warn!(reason = %unfit.reason, "{}", unfit.message);
            Came {
                outcome: Outcome::Undecodable(unfit.reason),
                output: None,
                failure: Some(Failure::new(FailureKind::Decode, &unfit.message)),
            }
        }
    }
}

/// Runs the user's code. Being told to stop wakes whoever awaits the context;
/// after the grace the future is dropped. A blocking one can't be: it is
/// waited for, so that there are never two attempts of one job at once.
async fn guard<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    work: Work,
    live: &Arc<Live>,
    timeout: Duration,
) -> Ran {
    let mut running = AssertUnwindSafe(work.future).catch_unwind();
    let deadline = Instant::now().checked_add(timeout);
    let reason = tokio::select! {
        biased;
        ended = &mut running => return ran(ended),
        reason = live.cancel.told() => reason,
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

/// Ends what was made for the attempt. The attempt is over whatever comes of it.
async fn close(close: Close, within: Duration) {
    let closing = AssertUnwindSafe(async {
        if let Some(closing) = close() {
            closing.await;
        }
    });
    match timeout(within, closing.catch_unwind()).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => {
            let panic = panic_message(&*panic);
            tracing::warn!(panic, "closing the application of an attempt panicked");
        }
        Err(_) => tracing::warn!(
            "closing the application of an attempt took longer than {within:?}: it is dropped"
        ),
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

fn panicked(message: &str) -> Came {
    Came {
        outcome: Outcome::Failed(Again::ByPolicy),
        output: None,
        failure: Some(Failure::new(FailureKind::Panic, message)),
    }
}

/// What it means. Completion counts whatever was asked meanwhile, and so does
/// what the task says by name (snooze, cancel, permanent, retry after). Any
/// other error after being told to stop is that stop, and no failure of the task.
fn outcome_of(ran: Ran, reason: Option<CancelReason>, timeout: Duration) -> Came {
    let error = match ran {
        Ran::Returned(Ok(output)) => {
            return Came {
                outcome: Outcome::Completed,
                output: Some(output),
                failure: None,
            };
        }
        Ran::Panicked(message) if reason == Some(CancelReason::User) => {
            return Came {
                outcome: Outcome::Cancelled,
                ..panicked(&message)
            };
        }
        Ran::Panicked(message) => return panicked(&message),
        Ran::Returned(Err(error)) => Some(error),
        Ran::Dropped => None,
    };
    let outcome = error.as_ref().map(TaskError::outcome);
    let failure = error.as_ref().and_then(TaskError::failure);
    let named = outcome
        .as_ref()
        .is_some_and(|outcome| *outcome != Outcome::Failed(Again::ByPolicy));
    let (outcome, failure) = match reason {
        Some(CancelReason::User) => (Outcome::Cancelled, failure),
        Some(CancelReason::Timeout) if !named => {
            let message = format!("the attempt ran longer than its timeout of {timeout:?}");
            let failure = Failure::new(FailureKind::Timeout, &message);
            (Outcome::Failed(Again::ByPolicy), Some(failure))
        }
        Some(CancelReason::Shutdown) if !named => (Outcome::Released, None),
        _ => (outcome.unwrap_or(Outcome::Released), failure),
    };
    Came {
        outcome,
        output: None,
        failure,
    }
}

/// Says how it ended; of which job is in the span. What tasks say may hold
/// anything, so it is quoted.
fn log(verdict: &Verdict, failure: Option<&Failure>) {
    match (verdict, failure) {
        (Verdict::Dead { reason }, Some(error)) => {
            let kind = error.kind.as_str();
            tracing::error!(%reason, kind, error = ?error.to_string(), "job is dead");
        }
        (Verdict::Retry { .. }, Some(error)) => {
            let kind = error.kind.as_str();
            tracing::info!(kind, error = ?error.to_string(), "attempt failed, will be retried");
        }
        _ => tracing::debug!(ending = %verdict.kind(), "attempt ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn came(error: TaskError, reason: CancelReason) -> Outcome {
        outcome_of(Ran::Returned(Err(error)), Some(reason), LIMIT).outcome
    }

    #[test]
    fn an_error_after_being_told_to_stop_is_that_stop() {
        use CancelReason::{Shutdown, Timeout, User};
        let plain = || TaskError::new("interrupted");
        assert_eq!(came(plain(), Shutdown), Outcome::Released);
        assert_eq!(came(plain(), User), Outcome::Cancelled);
        assert_eq!(came(plain(), Timeout), Outcome::Failed(Again::ByPolicy));
    }

    #[test]
    fn what_a_task_says_by_name_counts_also_after_being_told_to_stop() {
        use CancelReason::{Shutdown, Timeout, User};
        let snoozed = Outcome::Snoozed(majordomo_core::When::In(LIMIT));
        assert_eq!(came(TaskError::snooze(LIMIT), Shutdown), snoozed);
        assert_eq!(
            came(TaskError::cancel("enough"), Timeout),
            Outcome::Cancelled
        );
        let never = Outcome::Failed(Again::Never);
        assert_eq!(came(TaskError::permanent("no"), Shutdown), never);
        assert_eq!(came(TaskError::permanent("no"), User), Outcome::Cancelled);
        let done = outcome_of(Ran::Returned(Ok(Value::Null)), Some(User), LIMIT);
        assert_eq!(done.outcome, Outcome::Completed);
    }
}
