//! The line between one worker and its storage. Whatever the worker asks goes
//! over it, which is the one place for two things that no caller has to know:
//! a call that gets no answer is given up in time, and a [`Gate`], if there is
//! one, stands before the claims.
//!
//! # Calls without an answer
//!
//! A storage that never answers would hold its caller for ever: the pump could
//! write no ending, and the heartbeat would let every lease run out. So a call
//! is given up after a third of a lease, at least a second and at most a
//! minute, and counts as unclear: it may have been carried out. That leaves
//! time to ask again, and to give back what was claimed unheard, before the
//! leases are lost. Repeating any of these calls is harmless (law 2).
//!
//! What tasks ask through their context's client to be written is not given
//! up here: how long an insert of theirs may take is for them to say.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use majordomo_core::series::{Bucket, Query};
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Renewed, Repeat,
    Result, Scope, Settled, Storage, Timestamp, Wakes,
};
use tokio::time::timeout;

use crate::client::Client;

use super::gate::Gate;

/// The shortest and the longest wait for an answer.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A storage as its worker reaches it.
pub(super) struct Line {
    client: Client,
    within: Duration,
    gate: Option<Gate>,
}

/// Whether a call that got no answer may have changed something.
#[derive(Clone, Copy)]
enum Asked {
    ToRead,
    ToWrite,
}

/// A client whose calls go over a line.
pub(super) fn client(client: Client, lease: Duration, gate: Option<Gate>) -> Client {
    let line = Line {
        client: client.clone(),
        within: (lease / 3).clamp(SHORTEST, LONGEST),
        gate,
    };
    client.over(Arc::new(line))
}

impl Line {
    fn inner(&self) -> &dyn Storage {
        &**self.client.storage()
    }

    async fn answered<T>(
        &self,
        verb: &str,
        asked: Asked,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Ok(answer) = timeout(self.within, call).await else {
            let (kind, meaning) = match asked {
                Asked::ToRead => (ErrorKind::Unavailable, ""),
                Asked::ToWrite => (ErrorKind::Unknown, ", so it may have been carried out"),
            };
            let within = self.within;
            let message = format!("the storage gave no answer to `{verb}` in {within:?}{meaning}");
            return Err(Error::new(kind, message)
                .hint("see whether it is overloaded, locked, or cut off by the network"));
        };
        answer
    }

    /// The answer to a claim that is held.
    async fn nothing(&self) -> Result<Claimed> {
        Ok(Claimed {
            now: self.now().await?,
            jobs: Vec::new(),
            next_due: None,
        })
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

#[async_trait]
impl Storage for Line {
    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        let call = self.answered("claim", Asked::ToWrite, self.inner().claim(claim));
        let Some(gate) = &self.gate else {
            return call.await;
        };
        let Some(ticket) = gate.enter() else {
            return self.nothing().await;
        };
        let answer = call.await;
        match &answer {
            Ok(claimed) => ticket.claimed(&claimed.jobs),
            Err(error) => gate.failed(error),
        }
        answer
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        let Some(gate) = &self.gate else {
            let call = self.inner().renew(beats);
            return self.answered("renew", Asked::ToWrite, call).await;
        };
        let leases: Vec<_> = beats.iter().map(|beat| beat.lease.clone()).collect();
        let call = self.inner().renew(beats);
        let answers = self.answered("renew", Asked::ToWrite, call).await?;
        for (lease, answer) in leases.iter().zip(&answers) {
            if *answer == Renewed::Lost {
                gate.lost(lease);
            }
        }
        Ok(answers)
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        let Some(gate) = &self.gate else {
            let call = self.inner().settle(endings, then);
            return self.answered("settle", Asked::ToWrite, call).await;
        };
        let lease = |ending: &Ending| {
            let lease = &ending.lease;
            (lease.job, lease.token, ending.verdict.kind())
        };
        let leases: Vec<_> = endings.iter().map(lease).collect();
        let ticket = then.as_ref().and_then(|_| gate.enter());
        let held = match (&then, &ticket) {
            (Some(_), None) => Some(self.nothing().await?),
            _ => None,
        };
        let then = then.filter(|_| ticket.is_some());
        gate.writing(&leases);
        let call = self.inner().settle(endings, then);
        let answer = self.answered("settle", Asked::ToWrite, call).await;
        match &answer {
            Ok((settled, claimed)) => {
                gate.wrote(&leases, settled);
                if let (Some(ticket), Some(claimed)) = (ticket, claimed) {
                    ticket.claimed(&claimed.jobs);
                }
            }
            Err(error) => gate.failed(error),
        }
        answer.map(|(settled, claimed)| (settled, claimed.or(held)))
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let call = self.inner().find(filter, order, after, limit);
        self.answered("find", Asked::ToRead, call).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.answered("get", Asked::ToRead, self.inner().get(ids))
            .await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.answered("now", Asked::ToRead, self.inner().now())
            .await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        let call = self.inner().change(filter, change, after, limit);
        self.answered("change", Asked::ToWrite, call).await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        let call = self.inner().put_document(put);
        self.answered("put_document", Asked::ToWrite, call).await
    }

    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        self.inner().insert(groups, repeat).await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.inner().remove(filter, limit).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.inner().controls().await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        self.inner().set_control(scope, control).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.inner().get_document(key).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        self.inner().list_documents(prefix, after, limit).await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.inner().remove_document(key).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.inner().series(query).await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        match &self.gate {
            None => self.inner().wakes(),
            Some(gate) => Some(gate.wakes(self.client.listen())),
        }
    }

    fn name(&self) -> String {
        self.inner().name()
    }

    fn durability(&self) -> Durability {
        self.inner().durability()
    }
}
