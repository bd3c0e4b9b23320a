//! Signs of life: renews every lease of the worker in one call, carries news of
//! attempts up, and brings cancellations and lost leases back down.
//!
//! It runs on a thread and a runtime of its own, with sweeper and pruner, so that a
//! handler that blocks the user's runtime costs no lease ([`Spawner`]). While nothing runs it
//! sleeps. A panic in it would be a bug, and it goes on after one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use majordomo_core::{Beat, Filter, Order, Renewed, Result, limits};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::client::Ears;
use crate::context::CancelReason;
use crate::live::Live;
use crate::spawner::Spawner;
use crate::sweeper;

use super::presence::Presence;
use super::pruning;
use super::shared::Shared;
use super::trouble::Failures;
use super::unheard;

/// How often attempts with news are written.
const NEWS: Duration = Duration::from_millis(250);
/// How soon a beat that failed is tried again, if not sooner by its interval.
const AGAIN: Duration = Duration::from_secs(1);

/// The running heartbeat. Dropped, it stops.
#[derive(Debug)]
pub(super) struct Heart {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl Heart {
    /// Stops it and waits for its last call to end.
    pub(super) async fn stop(self) {
        drop(self.stop);
        // An error means that it has ended already.
        let _ = self.stopped.await;
    }
}

/// Starts it where `spawner` says.
pub(super) fn start<App: Send + Sync + 'static>(
    shared: Arc<Shared<App>>,
    presence: Presence,
    spawner: Spawner,
) -> Result<Heart> {
    let (stop, mut stopping) = oneshot::channel::<()>();
    let (report, stopped) = oneshot::channel::<()>();
    let life = async move {
        tokio::select! {
            biased;
            _ = &mut stopping => {}
            () = live(&shared, &presence) => {}
        }
        drop(report);
    };
    spawner.spawn("majordomo-heartbeat", Box::pin(life))?;
    Ok(Heart { stop, stopped })
}

/// Beats, sweeps and prunes without end, also after a panic.
async fn live<App: Send + Sync + 'static>(shared: &Shared<App>, presence: &Presence) {
    loop {
        let all = async {
            tokio::select! {
                biased;
                () = beat(shared) => {}
                () = sweep(shared) => {}
                () = presence.stay() => {}
                () = pruning::prune(shared) => {}
            }
        };
        if AssertUnwindSafe(all).catch_unwind().await.is_err() {
            tracing::error!("the heartbeat panicked, which is a bug; it goes on");
        }
        sleep(NEWS.mul_f64(0.5 + fastrand::f64())).await;
    }
}

async fn beat<App: Send + Sync + 'static>(shared: &Shared<App>) {
    let mut ears = shared.client.listen();
    // What was asked before anyone listened.
    look_for_cancels(shared).await;
    let interval = shared.settings.heartbeat;
    let mut next_beat = Instant::now() + interval;
    let mut failures = Failures::default();
    loop {
        let live = shared.live();
        if live.is_empty() {
            shared.alive.notified().await;
            next_beat = Instant::now() + interval;
            continue;
        }
        let all = Instant::now() >= next_beat;
        let due: Vec<_> = live
            .into_iter()
            .filter(|live| all || live.has_news())
            .collect();
        if let Err(error) = renew(shared, &due).await {
            if let Some(since_last) = failures.tell(Instant::now()) {
                let leases = due.len();
                tracing::warn!(%error, leases, since_last, "cannot renew leases");
            }
            // The next try must come well before the lease runs out.
            next_beat = Instant::now() + interval.min(AGAIN).mul_f64(0.5 + 0.5 * fastrand::f64());
        } else if all {
            failures = Failures::default();
            // Early rather than late, and not all workers in step.
            next_beat = Instant::now() + interval.mul_f64(0.9 + 0.1 * fastrand::f64());
        }
        let tick = NEWS.min(next_beat.saturating_duration_since(Instant::now()));
        tokio::select! {
            biased;
            () = sleep(tick) => {}
            () = work(&mut ears) => {
                look_for_cancels(shared).await;
                // At most one look for each tick, however many wakes there are.
                sleep(tick).await;
            }
        }
    }
}

/// Waits for a wake that may be about a cancel.
async fn work(ears: &mut Ears) {
    while !ears.next().await.work {}
}

/// Renews the leases of these attempts and writes their news. A part that fails
/// keeps no other from being tried.
async fn renew<App: Send + Sync + 'static>(shared: &Shared<App>, due: &[Arc<Live>]) -> Result<()> {
    let mut reached = Ok(());
    for chunk in due.chunks(1000) {
        let news: Vec<_> = chunk.iter().map(|live| live.news()).collect();
        let beats = chunk.iter().zip(&news).map(|(live, news)| Beat {
            progress: news.progress.value.clone(),
            checkpoint: news.checkpoint.value.clone(),
            log: news.log.clone(),
            ..Beat::new(live.lease.clone(), shared.settings.lease)
        });
        let good_until = Instant::now() + shared.settings.lease;
        match shared.client.storage().renew(beats.collect()).await {
            Ok(answers) => {
                for ((live, news), answer) in chunk.iter().zip(&news).zip(answers) {
                    match answer {
                        Renewed::Kept => {
                            live.renewed(good_until);
                            live.confirm(news);
                        }
                        Renewed::CancelAsked => {
                            live.renewed(good_until);
                            live.confirm(news);
                            live.cancel.fire(CancelReason::User);
                        }
                        Renewed::Lost => lost(shared, live),
                    }
                }
            }
            // News stays with its attempt, for the next beat or its ending.
            Err(error) => reached = Err(error),
        }
    }
    reached
}

fn lost<App: Send + Sync + 'static>(shared: &Shared<App>, live: &Live) {
    // One that has just been settled holds no lease either, and that is no loss.
    if shared.find(&live.lease).is_some() && live.cancel.fire(CancelReason::LeaseLost) {
        tracing::warn!(
            job = %live.lease.job,
            "the lease is lost: the attempt is told to stop and can write nothing"
        );
    }
}

/// Tells attempts whose job someone cancelled, without waiting for their next beat.
async fn look_for_cancels<App: Send + Sync + 'static>(shared: &Shared<App>) {
    let filter = Filter {
        cancel_requested: true,
        worker: Some(shared.settings.name.clone()),
        ..Filter::all()
    };
    let limit = limits::PAGE;
    let found = shared
        .client
        .storage()
        .find(&filter, Order::default(), None, limit);
    // If it can't be read, the next beat brings it all the same.
    let Ok(page) = found.await else { return };
    for lease in page.items.iter().filter_map(|job| job.lease.as_ref()) {
        if let Some(live) = shared.find(lease) {
            live.cancel.fire(CancelReason::User);
        }
    }
}

async fn sweep<App: Send + Sync + 'static>(shared: &Shared<App>) {
    let mut failures = Failures::default();
    loop {
        let jitter = 0.9 + 0.2 * fastrand::f64();
        sleep(shared.settings.sweep.mul_f64(jitter)).await;
        let swept = sweep_once(shared).await;
        let Err(error) = swept else {
            failures = Failures::default();
            continue;
        };
        if let Some(since_last) = failures.tell(Instant::now()) {
            tracing::warn!(%error, since_last, "cannot sweep");
        }
    }
}

/// Sweeps, but for the leases of this very worker: it is alive, whatever kept it
/// from renewing them, so they are renewed first.
async fn sweep_once<App: Send + Sync + 'static>(shared: &Shared<App>) -> Result<()> {
    let storage = &**shared.client.storage();
    unheard::give_back_expired(shared).await?;
    let lost = sweeper::find_lost(storage).await?;
    let own = |job: &majordomo_core::Job| {
        let lease = job.lease.as_ref();
        lease.is_some_and(|lease| shared.find(lease).is_some())
    };
    if lost.iter().any(own) {
        renew(shared, &shared.live()).await?;
    }
    let lost = lost.into_iter().filter(|job| !own(job)).collect();
    let swept = sweeper::Swept {
        lost: sweeper::end_lost(storage, lost).await?,
        expired: sweeper::end_expired(storage).await?,
    };
    if swept != sweeper::Swept::default() {
        tracing::warn!(lost = swept.lost, expired = swept.expired, "swept");
        shared.client.notify(majordomo_core::Wake::ALL);
    }
    Ok(())
}
