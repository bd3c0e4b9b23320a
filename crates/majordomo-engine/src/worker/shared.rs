//! What the parts of one worker share: who it is, what it knows, and what runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use majordomo_core::{Claim, JobId};
use tokio::sync::Notify;

use crate::client::Client;
use crate::context::{CancelReason, Live};

use super::handlers::Handlers;
use super::settings::Settings;

/// How far a shutdown has come; each stage is above the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    No,
    Drain,
    Now,
}

/// The shared state of a worker.
pub(super) struct Shared<App> {
    pub(super) client: Client,
    pub(super) app: Arc<App>,
    pub(super) handlers: Handlers<App>,
    pub(super) settings: Settings,
    pub(super) tasks: Vec<String>,
    /// Attempts whose ending is not written yet: they hold leases to be renewed.
    live: Mutex<HashMap<JobId, Arc<Live>>>,
    /// Tells the heartbeat that there is something to renew again.
    pub(super) alive: Notify,
}

impl<App: Send + Sync + 'static> Shared<App> {
    pub(super) fn new(
        client: Client,
        app: Arc<App>,
        handlers: Handlers<App>,
        settings: Settings,
    ) -> Self {
        let tasks = handlers.tasks();
        Self {
            client,
            app,
            handlers,
            settings,
            tasks,
            live: Mutex::default(),
            alive: Notify::new(),
        }
    }

    /// A request for this many jobs of each queue.
    pub(super) fn claim(&self, queues: Vec<(String, usize)>) -> Claim {
        let suspects = usize::from(!self.live().values().any(|live| live.suspect));
        let (worker, tasks) = (self.settings.name.clone(), self.tasks.clone());
        Claim {
            worker,
            queues,
            tasks,
            lease: self.settings.lease,
            suspects,
        }
    }

    pub(super) fn live(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live_list(&self) -> Vec<Arc<Live>> {
        self.live().values().cloned().collect()
    }

    pub(super) fn enlist(&self, live: Arc<Live>) {
        let first = {
            let mut all = self.live();
            all.insert(live.lease.job, live);
            all.len() == 1
        };
        if first {
            self.alive.notify_one();
        }
    }

    pub(super) fn delist(&self, job: JobId) {
        self.live().remove(&job);
    }

    pub(super) fn cancel_all(&self, reason: CancelReason) {
        for live in self.live().values() {
            live.cancel.fire(reason);
        }
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
