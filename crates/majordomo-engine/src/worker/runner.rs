//! A runner: one slot at work. It runs a job, hands in the ending, and goes on
//! with the next that was claimed ahead, without asking anyone; it ends when
//! there is none.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use majordomo_core::Ending;
use tokio::time::Instant;

use super::attempt;
use super::shared::Shared;
use super::slots::Ahead;

/// Works until nothing is left to start.
pub(super) async fn run<App: Send + Sync + 'static>(shared: Arc<Shared<App>>) {
    let mut next = shared.slots.first();
    while let Some(ahead) = next {
        let (lane, suspect) = (ahead.lane, ahead.live.suspect);
        let live = Arc::clone(&ahead.live);
        let (ending, ran) = match unfit(&ahead).await {
            Some(instead) => (instead, None),
            None => {
                let started = Instant::now();
                let ending = attempt(&shared, ahead).await;
                (ending, Some(started.elapsed()))
            }
        };
        // Also if it never began: a later attempt of its job may wait for this.
        live.cancel.over();
        if ending.is_none() {
            shared.delist(&live.lease);
        }
        next = shared.slots.over(lane, ending, ran, suspect);
        // Jobs that never wait must not keep a thread from everything else.
        tokio::task::consume_budget().await;
    }
}

/// What is to be written instead of starting it, if it must not start. While it
/// waits for earlier attempts of the same job to be over, it may expire, be
/// cancelled, or lose its lease.
async fn unfit(ahead: &Ahead) -> Option<Option<Ending>> {
    for earlier in &ahead.earlier {
        if let Some(instead) = ahead.unfit() {
            return Some(instead);
        }
        earlier.cancel.is_over().await;
    }
    ahead.unfit()
}

/// Runs one attempt. User code is guarded further in; whatever panics here is a
/// bug of ours, and costs this one lease.
async fn attempt<App: Send + Sync + 'static>(
    shared: &Arc<Shared<App>>,
    ahead: Ahead,
) -> Option<Ending> {
    let Ahead {
        details,
        live,
        claimed,
        ..
    } = ahead;
    let attempt = attempt::run(shared, details, &live, claimed);
    let ending = AssertUnwindSafe(attempt).catch_unwind().await;
    ending.unwrap_or_else(|_| {
        tracing::error!(job = %live.lease.job, "an attempt ended by a bug; its lease will run out");
        None
    })
}
