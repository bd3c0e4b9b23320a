//! Storages with a deliberate flaw, to show that the suite sees it.

mod hasty;

use std::sync::Arc;

use async_trait::async_trait;
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Filter, Inserted, Job, JobId, Lease, NewJob, Order, Page, Put, Query, Renewed, Repeat, Result,
    Scope, Settled, Storage, Timestamp, Wakes, series::Bucket,
};

pub use hasty::Hasty;

/// A storage with its fence taken out: before a renewal or an ending it looks
/// up the token that the job runs under, and writes that in place of the
/// caller's. Every caller then speaks for the attempt that runs now.
#[derive(Debug)]
pub struct Unfenced<S: ?Sized>(Arc<S>);

/// The trials that must fail on a storage without a fence.
pub const FENCE: &[&str] = &[
    "a_stale_completion_changes_nothing_and_says_so",
    "no_stale_ending_changes_anything",
    "the_same_worker_may_not_end_its_earlier_attempt",
    "a_snoozed_attempt_is_fenced_like_any_other",
    "a_token_from_the_future_is_stale",
    "a_repeat_is_known_while_the_job_runs_again",
    "endings_are_answered_one_by_one_in_order",
    "a_stale_beat_writes_nothing_and_says_so",
    "an_operators_retry_never_resets_the_token",
];

impl<S: Storage + ?Sized> Unfenced<S> {
    /// Takes the fence out of `storage`.
    pub fn new(storage: Arc<S>) -> Self {
        Self(storage)
    }

    /// The leases with the tokens that their jobs have now.
    async fn current<'a>(&self, leases: impl Iterator<Item = &'a mut Lease> + Send) -> Result<()> {
        let leases: Vec<&mut Lease> = leases.collect();
        let ids: Vec<JobId> = leases.iter().map(|lease| lease.job).collect();
        let jobs = self.0.get(&ids).await?;
        for (lease, details) in leases.into_iter().zip(jobs) {
            if let Some(current) = details.and_then(|details| details.job.lease) {
                *lease = current;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<S: Storage + ?Sized> Storage for Unfenced<S> {
    async fn renew(&self, mut beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        self.current(beats.iter_mut().map(|beat| &mut beat.lease))
            .await?;
        self.0.renew(beats).await
    }

    async fn settle(
        &self,
        mut endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        self.current(endings.iter_mut().map(|ending| &mut ending.lease))
            .await?;
        self.0.settle(endings, then).await
    }

    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        self.0.insert(groups, repeat).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.0.claim(claim).await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        self.0.find(filter, order, after, limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.0.get(ids).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        self.0.change(filter, change, after, limit).await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.0.remove(filter, limit).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.0.controls().await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        self.0.set_control(scope, control).await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        self.0.put_document(put).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.0.get_document(key).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        self.0.list_documents(prefix, after, limit).await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.0.remove_document(key).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.0.series(query).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.0.now().await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.0.wakes()
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }
}
