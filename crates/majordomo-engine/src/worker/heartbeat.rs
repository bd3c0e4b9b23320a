//! Signs of life: renews every lease of the worker in one call, carries
//! progress up, and brings cancellations and lost leases back down.
//!
//! It runs on a thread and a runtime of its own, with the sweeper, so that a
//! handler that blocks the user's runtime costs no lease. While nothing runs it
//! sleeps.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use majordomo_core::{Beat, Error, ErrorKind, Filter, Order, Renewed, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::client::Ears;
use crate::context::{CancelReason, Live};
use crate::sweeper;

use super::shared::Shared;

/// How often attempts with news are written.
const NEWS: Duration = Duration::from_millis(250);

/// The heartbeat thread. Dropped, it stops.
#[derive(Debug)]
pub(super) struct Heart {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Stops it and waits for its last call to end.
    pub(super) async fn stop(mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Joining blocks, if only for a moment.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Starts the thread.
pub(super) fn start<App: Send + Sync + 'static>(shared: Arc<Shared<App>>) -> Result<Heart> {
    let failed = |source: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "cannot start the heartbeat thread").source(source)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let ears = shared.client.listen();
    let body = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = beat(&shared, ears) => {}
                () = sweep(&shared) => {}
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("majordomo-heartbeat".to_owned())
        .spawn(body)
        .map_err(failed)?;
    Ok(Heart {
        stop: Some(stop),
        thread: Some(thread),
    })
}

async fn beat<App: Send + Sync + 'static>(shared: &Shared<App>, mut ears: Ears) {
    let mut next_beat = Instant::now() + shared.settings.heartbeat;
    loop {
        let live = shared.live_list();
        if live.is_empty() {
            shared.alive.notified().await;
            next_beat = Instant::now() + shared.settings.heartbeat;
            continue;
        }
        let all = Instant::now() >= next_beat;
        let due: Vec<_> = live
            .into_iter()
            .filter(|live| all || live.has_news())
            .collect();
        if !due.is_empty() {
            renew(shared, &due).await;
        }
        if all {
            // Early rather than late, and not all workers in step.
            next_beat = Instant::now()
                + shared
                    .settings
                    .heartbeat
                    .mul_f64(0.9 + 0.1 * fastrand::f64());
        }
        let tick = NEWS.min(next_beat.saturating_duration_since(Instant::now()));
        tokio::select! {
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

/// Renews the leases of these attempts and writes their news.
async fn renew<App: Send + Sync + 'static>(shared: &Shared<App>, due: &[Arc<Live>]) {
    for chunk in due.chunks(1000) {
        let news: Vec<_> = chunk.iter().map(|live| live.take_news()).collect();
        let beats = chunk.iter().zip(&news).map(|(live, news)| Beat {
            progress: news.progress.clone(),
            checkpoint: news.checkpoint.clone(),
            ..Beat::new(live.lease.clone(), shared.settings.lease)
        });
        match shared.client.storage().renew(beats.collect()).await {
            Ok(answers) => {
                for (live, answer) in chunk.iter().zip(answers) {
                    match answer {
                        Renewed::Kept => {}
                        Renewed::CancelAsked => live.cancel.fire(CancelReason::User),
                        Renewed::Lost => lost(live),
                    }
                }
            }
            Err(error) => {
                // The next beat tries again; the lease outlasts several of them.
                tracing::warn!(%error, leases = chunk.len(), "cannot renew leases");
                for (live, news) in chunk.iter().zip(news) {
                    live.put_back(news);
                }
                sleep(NEWS.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }
}

fn lost(live: &Live) {
    if live.cancel.reason() != Some(CancelReason::LeaseLost) {
        tracing::warn!(job = %live.lease.job, "the lease is lost: the attempt is told to stop and can write nothing");
    }
    live.cancel.fire(CancelReason::LeaseLost);
}

/// Tells attempts whose job someone cancelled, without waiting for their next beat.
async fn look_for_cancels<App: Send + Sync + 'static>(shared: &Shared<App>) {
    let ids: Vec<_> = shared.live().keys().copied().collect();
    let filter = Filter {
        cancel_requested: true,
        ..Filter::ids(ids)
    };
    let limit = majordomo_core::limits::PAGE;
    if let Ok(page) = shared
        .client
        .storage()
        .find(&filter, Order::default(), None, limit)
        .await
    {
        let live = shared.live();
        for live in page.items.iter().filter_map(|job| live.get(&job.id)) {
            live.cancel.fire(CancelReason::User);
        }
    }
}

async fn sweep<App: Send + Sync + 'static>(shared: &Shared<App>) {
    loop {
        sleep(shared.settings.sweep.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        match sweeper::sweep(&**shared.client.storage()).await {
            Ok(swept) if swept != sweeper::Swept::default() => {
                tracing::warn!(lost = swept.lost, expired = swept.expired, "swept");
                shared.client.notify(majordomo_core::Wake::ALL);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot sweep"),
        }
    }
}
