//! Every verb of the storage, with whatever its fate is.

use async_trait::async_trait;
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Query, Renewed, Repeat, Result, Scope,
    Settled, Storage, Timestamp, Wakes, series::Bucket,
};

use super::{Faulty, Verbs};

#[async_trait]
impl<S: Storage + ?Sized> Storage for Faulty<S> {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        let call = || self.inner.insert(groups.clone(), repeat);
        self.call(Verbs::Insert, "insert", call).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let call = || self.inner.claim(claim.clone());
        self.call(Verbs::Claim, "claim", call).await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        let call = || self.inner.renew(beats.clone());
        self.call(Verbs::Renew, "renew", call).await
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        let call = || self.inner.settle(endings.clone(), then.clone());
        self.call(Verbs::Settle, "settle", call).await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let call = || self.inner.find(filter, order, after, limit);
        self.call(Verbs::Read, "find", call).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.call(Verbs::Read, "get", || self.inner.get(ids)).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        let call = || self.inner.change(filter, change, after, limit);
        self.call(Verbs::Operate, "change", call).await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        let call = || self.inner.remove(filter, limit);
        self.call(Verbs::Operate, "remove", call).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.call(Verbs::Read, "controls", || self.inner.controls())
            .await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        let call = || self.inner.set_control(scope.clone(), control.clone());
        self.call(Verbs::Operate, "set_control", call).await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        let call = || self.inner.put_document(put.clone());
        self.call(Verbs::Operate, "put_document", call).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        let call = || self.inner.get_document(key);
        self.call(Verbs::Read, "get_document", call).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        let call = || self.inner.list_documents(prefix, after, limit);
        self.call(Verbs::Read, "list_documents", call).await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        let call = || self.inner.remove_document(key);
        self.call(Verbs::Operate, "remove_document", call).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.call(Verbs::Read, "series", || self.inner.series(query))
            .await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call(Verbs::Read, "now", || self.inner.now()).await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.inner.wakes()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}
