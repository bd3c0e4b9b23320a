//! What the parts of one worker share: who it is, what it knows, and what runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use majordomo_core::{Claim, JobId, Lease, Timestamp};
use tokio::sync::Notify;

use crate::client::Client;
use crate::context::CancelReason;
use crate::live::Live;

use super::app::Source;
use super::handlers::Handlers;
use super::settings::Settings;
use super::slots::Slots;

/// How far a shutdown has come; each stage is above the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    No,
    Drain,
    Now,
}

/// The attempts of a worker whose ending is not written yet.
#[derive(Default)]
struct Roster {
    /// Those that hold leases to be renewed.
    current: BTreeMap<JobId, Arc<Live>>,
    /// Those whose job this same worker lost and claimed again meanwhile.
    displaced: Vec<Arc<Live>>,
}

/// The shared state of a worker.
pub(super) struct Shared<App> {
    pub(super) client: Client,
    pub(super) app: Source<App>,
    pub(super) handlers: Handlers<App>,
    pub(super) settings: Settings,
    pub(super) tasks: Vec<String>,
    pub(super) slots: Slots,
    /// When the worker started, by the storage's clock; not known of one that only steps.
    pub(super) since: OnceLock<Timestamp>,
    roster: Mutex<Roster>,
    /// Tells the heartbeat that there is something to renew again.
    pub(super) alive: Notify,
}

impl<App: Send + Sync + 'static> Shared<App> {
    pub(super) fn new(
        client: Client,
        app: Source<App>,
        handlers: Handlers<App>,
        settings: Settings,
    ) -> Self {
        let tasks = handlers.tasks();
        Self {
            client,
            app,
            handlers,
            slots: Slots::new(&settings),
            since: OnceLock::new(),
            settings,
            tasks,
            roster: Mutex::default(),
            alive: Notify::new(),
        }
    }

    /// A request for this many jobs of each queue.
    pub(super) fn claim(&self, queues: Vec<(String, usize)>) -> Claim {
        let runs = |live: &Arc<Live>| live.suspect && !live.cancel.has_ended();
        let suspects = {
            let roster = self.roster();
            usize::from(!roster.current.values().chain(&roster.displaced).any(runs))
        };
        let (worker, tasks) = (self.settings.name.clone(), self.tasks.clone());
        Claim {
            worker,
            queues,
            tasks,
            lease: self.settings.lease,
            suspects,
        }
    }

    /// The attempts that hold leases.
    pub(super) fn live(&self) -> Vec<Arc<Live>> {
        self.roster().current.values().cloned().collect()
    }

    /// The attempt under this lease, if it is not over.
    pub(super) fn find(&self, lease: &Lease) -> Option<Arc<Live>> {
        let roster = self.roster();
        let current = roster.current.get(&lease.job);
        let mut all = current.into_iter().chain(&roster.displaced);
        all.find(|live| is_same(&live.lease, lease)).cloned()
    }

    /// Takes in a new attempt. Earlier ones of the same job have lost their lease
    /// by that; they are told, and given back so that the new one can wait for
    /// their end: no job runs twice at once in one process.
    pub(super) fn enlist(&self, live: &Arc<Live>) -> Vec<Arc<Live>> {
        let job = live.lease.job;
        let (earlier, first) = {
            let mut roster = self.roster();
            let displaced = roster.current.insert(job, Arc::clone(live));
            roster.displaced.extend(displaced);
            let same = |earlier: &&Arc<Live>| earlier.lease.job == job;
            // All of them: the latest may never begin while one before it still runs.
            let earlier: Vec<_> = roster.displaced.iter().filter(same).cloned().collect();
            (earlier, roster.current.len() == 1)
        };
        for earlier in &earlier {
            earlier.cancel.fire(CancelReason::LeaseLost);
        }
        if first {
            self.alive.notify_one();
        }
        earlier
    }

    /// Strikes out an attempt whose ending is written, or can't be any more. It
    /// may never have started, so whoever waits for its end hears of it here.
    pub(super) fn delist(&self, lease: &Lease) {
        let over = {
            let mut roster = self.roster();
            let current = roster.current.get(&lease.job);
            if current.is_some_and(|live| is_same(&live.lease, lease)) {
                roster.current.remove(&lease.job)
            } else {
                let mut displaced = roster.displaced.iter();
                let place = displaced.position(|live| is_same(&live.lease, lease));
                place.map(|place| roster.displaced.swap_remove(place))
            }
        };
        if let Some(over) = over {
            over.cancel.over();
        }
    }

    pub(super) fn cancel_all(&self, reason: CancelReason) {
        let roster = self.roster();
        for live in roster.current.values().chain(&roster.displaced) {
            live.cancel.fire(reason);
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an attempt that was told to stop may still go on.
    pub(super) fn grace(&self, reason: CancelReason) -> Duration {
        match reason {
            CancelReason::Shutdown => self.settings.shutdown_grace(),
            CancelReason::Timeout | CancelReason::User | CancelReason::LeaseLost => {
                self.settings.grace
            }
        }
    }
}

/// Whether two leases are of one attempt, whatever their ends.
fn is_same(a: &Lease, b: &Lease) -> bool {
    (a.job, a.token) == (b.job, b.token)
}

#[cfg(test)]
mod tests {
    use majordomo_core::{Memory, Timestamp};

    use super::*;

    fn live(job: JobId, token: u64) -> Arc<Live> {
        let lease = Lease {
            job,
            token,
            worker: "w".into(),
            expires: Timestamp::UNIX_EPOCH,
        };
        Arc::new(Live::new(lease, false, tokio::time::Instant::now()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_claimed_again_does_not_wait_for_ever_for_an_earlier_claim_that_never_started() {
        let (client, app) = (Client::new(Memory::new()), Source::Shared(Arc::new(())));
        let shared = Shared::new(client, app, Handlers::new(), Settings::default());
        let job = JobId::new();
        let first = live(job, 1);
        assert!(shared.enlist(&first).is_empty());
        let earlier = shared.enlist(&live(job, 2)).pop().unwrap();
        assert_eq!(earlier.cancel.reason(), Some(CancelReason::LeaseLost));
        // Its runner sees that the lease is lost, and starts nothing.
        shared.delist(&first.lease);
        let over = tokio::time::timeout(Duration::from_secs(1), earlier.cancel.is_over());
        assert!(over.await.is_ok(), "nobody says that it is over");
        assert!(shared.find(&first.lease).is_none());
        assert_eq!(shared.live().len(), 1, "the later claim stays");
    }
}
