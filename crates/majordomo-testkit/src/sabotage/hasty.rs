//! A storage that acknowledges before it has written.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Query, Renewed, Repeat, Result, Scope,
    Settled, Storage, Timestamp, Wakes, series::Bucket,
};

/// A storage whose inserts and endings are acknowledged at once, and written
/// with the next call. Whoever dies before that takes them along.
#[derive(Debug)]
pub struct Hasty<S: ?Sized> {
    unwritten: Mutex<VecDeque<Write>>,
    storage: Arc<S>,
}

#[derive(Debug)]
enum Write {
    Insert(Vec<Vec<NewJob>>, Repeat),
    Settle(Vec<Ending>),
}

impl<S: Storage + ?Sized> Hasty<S> {
    /// Makes `storage` hasty.
    pub fn new(storage: Arc<S>) -> Self {
        Self {
            unwritten: Mutex::default(),
            storage,
        }
    }

    fn put_off(&self, write: Write) {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(write);
    }

    fn next(&self) -> Option<Write> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// The storage, once all that was put off is written.
    async fn caught_up(&self) -> Result<&S> {
        while let Some(write) = self.next() {
            match write {
                Write::Insert(groups, repeat) => drop(self.storage.insert(groups, repeat).await?),
                Write::Settle(endings) => drop(self.storage.settle(endings, None).await?),
            }
        }
        Ok(&self.storage)
    }
}

#[async_trait]
impl<S: Storage + ?Sized> Storage for Hasty<S> {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        self.caught_up().await?;
        let answer = |group: &Vec<NewJob>| Ok(vec![Inserted::New; group.len()]);
        let answers = groups.iter().map(answer).collect();
        self.put_off(Write::Insert(groups, repeat));
        Ok(answers)
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        let storage = self.caught_up().await?;
        let claimed = match then {
            Some(claim) => Some(storage.claim(claim).await?),
            None => None,
        };
        let answer = |ending: &Ending| Settled::Applied(ending.verdict.state());
        let answers = endings.iter().map(answer).collect();
        self.put_off(Write::Settle(endings));
        Ok((answers, claimed))
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.caught_up().await?.claim(claim).await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        self.caught_up().await?.renew(beats).await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let storage = self.caught_up().await?;
        storage.find(filter, order, after, limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.caught_up().await?.get(ids).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        let storage = self.caught_up().await?;
        storage.change(filter, change, after, limit).await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.caught_up().await?.remove(filter, limit).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.caught_up().await?.controls().await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        self.caught_up().await?.set_control(scope, control).await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        self.caught_up().await?.put_document(put).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.caught_up().await?.get_document(key).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        let storage = self.caught_up().await?;
        storage.list_documents(prefix, after, limit).await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.caught_up().await?.remove_document(key).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.caught_up().await?.series(query).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.caught_up().await?.now().await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.storage.wakes()
    }

    fn name(&self) -> String {
        self.storage.name()
    }

    fn durability(&self) -> Durability {
        self.storage.durability()
    }
}
