//! Jobs that run under this worker's name and that it never heard of, because
//! the reply to their claim was lost, or the storage carried the claim out late or
//! twice. Nothing runs under those leases, so they are given back without charge.

use majordomo_core::ending::Proof;
use majordomo_core::{Ending, Filter, Order, Result, State, Timestamp, Verdict, limits};

use super::shared::Shared;

/// Gives back whatever it finds: for a worker that is sure not to be claiming.
pub(super) async fn give_back<App: Send + Sync + 'static>(shared: &Shared<App>) -> Result<()> {
    let running = Filter::all().state(State::Running);
    release(shared, running, Proof::Lease, None).await
}

/// Gives back what it finds once the leases have run out. What was claimed before
/// it started is not its own, whatever the name: the one that had the name before
/// may have died of it.
pub(super) async fn give_back_expired<App: Send + Sync + 'static>(
    shared: &Shared<App>,
) -> Result<()> {
    let Some(since) = shared.since.get() else {
        return Ok(());
    };
    let expired = Filter {
        lease_expired: true,
        ..Filter::all()
    };
    release(shared, expired, Proof::Expired, Some(*since)).await
}

async fn release<App: Send + Sync + 'static>(
    shared: &Shared<App>,
    filter: Filter,
    proof: Proof,
    since: Option<Timestamp>,
) -> Result<()> {
    let filter = Filter {
        worker: Some(shared.settings.name.clone()),
        ..filter
    };
    let storage = shared.client.storage();
    let mut after = None;
    loop {
        let found = storage.find(&filter, Order::default(), after, limits::PAGE);
        let page = found.await?;
        let own = page.items.into_iter().filter(|job| job.started_at >= since);
        let unheard = own
            .filter_map(|job| job.lease)
            .filter(|lease| shared.find(lease).is_none())
            .map(|lease| Ending {
                proof,
                ..Ending::new(lease, Verdict::Release)
            });
        let unheard: Vec<Ending> = unheard.collect();
        if !unheard.is_empty() {
            let jobs = unheard.len();
            tracing::info!(jobs, "gave back jobs whose claim was not heard of");
            storage.settle(unheard, None).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
