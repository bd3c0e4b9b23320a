//! The memory storage: the whole contract kept by a few maps under one lock.
//!
//! For tests, for trials, and for programs whose jobs need not outlive them.
//! Clones share the same jobs, so a client and a worker made from clones see
//! each other by construction. Each verb locks once, decides through the pure
//! rules of core, and answers with data of its own; no lock is held across an
//! await, because nothing here awaits.

mod change;
mod claim;
mod find;
mod insert;
mod settle;
mod tables;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::change::{Change, Changed};
use crate::clock::{Clock, SystemClock};
use crate::control::{Control, Scope};
use crate::document::{Document, Put};
use crate::ending::Ending;
use crate::error::Result;
use crate::filter::{Cursor, Filter, Order, Page};
use crate::id::JobId;
use crate::job::{Details, Job, NewJob};
use crate::limits;
use crate::series::{Bucket, Query};
use crate::storage::{
    Beat, Claim, Claimed, Durability, Inserted, Renewed, Repeat, Settled, Storage,
};
use crate::wake::{Signal, Wake, Wakes};

use tables::Tables;

/// Keeps jobs in memory. Clones are the same storage.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    tables: Mutex<Tables>,
    clock: Arc<dyn Clock>,
    signal: Signal,
}

impl Memory {
    /// An empty storage on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty storage on this clock, which may be manual.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                tables: Mutex::default(),
                clock,
                signal: Signal::new(),
            }),
        }
    }

    fn lock(&self) -> (MutexGuard<'_, Tables>, Timestamp) {
        let tables = self
            .inner
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that writes are in the order of their times.
        let now = self.inner.clock.now();
        (tables, now)
    }

    fn notify(&self, wake: Wake) {
        if wake != Wake::default() {
            self.inner.signal.notify(wake);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

#[async_trait]
impl Storage for Memory {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        _repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        // Every id is looked for among all jobs anyway, so a repeat needs nothing more.
        let (mut tables, now) = self.lock();
        let answers: Vec<_> = groups
            .into_iter()
            .map(|group| tables.insert_group(group, now))
            .collect();
        drop(tables);
        self.notify(Wake::ALL);
        Ok(answers)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        claim.check()?;
        let (mut tables, now) = self.lock();
        Ok(tables.claim(&claim, now))
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        beats.iter().try_for_each(Beat::check)?;
        let news = beats
            .iter()
            .any(|beat| beat.progress.is_some() || !beat.log.is_empty());
        let (mut tables, now) = self.lock();
        let answers = beats
            .into_iter()
            .map(|beat| tables.renew(beat, now))
            .collect();
        drop(tables);
        self.notify(Wake { work: false, news });
        Ok(answers)
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        endings.iter().try_for_each(Ending::check)?;
        then.as_ref().map_or(Ok(()), Claim::check)?;
        let (mut tables, now) = self.lock();
        let mut wake = Wake::default();
        let answers = endings
            .into_iter()
            .map(|ending| {
                let settled = tables.settle(ending, now);
                if let Settled::Applied(state) = settled {
                    wake.news = true;
                    wake.work |= !state.is_finished();
                }
                settled
            })
            .collect();
        // An ending makes room under a limit, wherever the next job waits.
        wake.work |= wake.news && !tables.controls.is_empty();
        let claimed = then.map(|claim| tables.claim(&claim, now));
        drop(tables);
        self.notify(wake);
        Ok((answers, claimed))
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let (tables, now) = self.lock();
        Ok(tables.find(filter, order, after, limit.min(limits::PAGE), now))
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        let (tables, _) = self.lock();
        Ok(ids.iter().map(|id| tables.jobs.get(id).cloned()).collect())
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        change.check()?;
        let (mut tables, now) = self.lock();
        let page = tables.change(filter, change, after, limit.min(limits::PAGE), now);
        drop(tables);
        if !page.items.is_empty() {
            self.notify(Wake::ALL);
        }
        Ok(page)
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        let (mut tables, now) = self.lock();
        let removed = tables.remove(filter, limit.min(limits::PAGE), now);
        drop(tables);
        self.notify(Wake {
            work: false,
            news: removed > 0,
        });
        Ok(removed)
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        let (tables, _) = self.lock();
        Ok(tables
            .controls
            .iter()
            .map(|(scope, control)| (scope.clone(), control.clone()))
            .collect())
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        scope.check()?;
        let (mut tables, _) = self.lock();
        if control == Control::default() {
            tables.controls.remove(&scope);
        } else {
            tables.controls.insert(scope, control);
        }
        drop(tables);
        self.notify(Wake::WORK);
        Ok(())
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        put.check()?;
        let (mut tables, now) = self.lock();
        Ok(tables.put_document(put, now))
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        let (tables, now) = self.lock();
        Ok(tables.document(key, now).cloned())
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        let (tables, now) = self.lock();
        Ok(tables.list_documents(prefix, after, limit.min(limits::PAGE), now))
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        let (mut tables, now) = self.lock();
        let existed = tables.document(key, now).is_some();
        tables.documents.remove(key);
        Ok(existed)
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        let (tables, _) = self.lock();
        Ok(tables.series(query))
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.inner.clock.now())
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        Some(Box::new(self.inner.signal.listen()))
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }
}
