//! The presence of workers: each one that runs keeps a document that says who it
//! is and what it can do, and that disappears by itself once it is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::{Document, Put, Result, Timestamp, limits};
use serde::{Deserialize, Serialize};

use super::{Client, patience};

/// The prefix of the documents of workers.
const PREFIX: &str = "worker/";

/// A worker that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// What it is called in leases and histories. Two workers of one name are seen as one.
    pub name: String,
    /// When it started, by the storage's clock.
    pub started_at: Timestamp,
    /// When it last said that it is alive.
    #[serde(default)]
    pub seen_at: Timestamp,
    /// Whether it was told to stop: it takes no more jobs, and ends those it has.
    #[serde(default)]
    pub is_stopping: bool,
    /// The version of Majordomo.
    pub majordomo: String,
    /// The version of its program, if it told: see [`crate::Worker::version`].
    #[serde(default)]
    pub app_version: Option<String>,
    /// The tasks that it knows, earlier names included.
    pub tasks: Vec<String>,
    /// The queues that it takes jobs from.
    pub queues: Vec<String>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// How many jobs of a queue it runs at once, where that was said.
    #[serde(default)]
    pub queue_limits: BTreeMap<String, usize>,
    /// The machine, if it is known.
    #[serde(default)]
    pub host: Option<String>,
    /// The process.
    #[serde(default)]
    pub process: u32,
}

impl WorkerRecord {
    /// Whether it runs jobs that are stored under this name.
    #[must_use]
    pub fn knows(&self, task: &str) -> bool {
        self.tasks.iter().any(|known| known == task)
    }

    /// Whether it takes jobs from this queue.
    #[must_use]
    pub fn takes(&self, queue: &str) -> bool {
        self.queues.iter().any(|taken| taken == queue)
    }
}

impl Client {
    /// The workers that run, by name. One that vanished is listed for up to
    /// half a minute more. Steppers, which move only when told to, are not.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>> {
        let documents = self.documents(PREFIX).await?;
        // A record of another version of Majordomo that does not fit is not ours to break on.
        let read = |document: Document| {
            let mut record: WorkerRecord = serde_json::from_value(document.value).ok()?;
            record.seen_at = document.changed_at;
            Some(record)
        };
        Ok(documents.into_iter().filter_map(read).collect())
    }

    /// Those of them that take jobs.
    pub(crate) async fn takers(&self) -> Result<Vec<WorkerRecord>> {
        let mut workers = self.workers().await?;
        workers.retain(|worker| !worker.is_stopping);
        Ok(workers)
    }

    /// Says that a worker runs, for so long.
    pub(crate) async fn put_worker(&self, record: &WorkerRecord, ttl: Duration) -> Result<()> {
        let value = serde_json::to_value(record).unwrap_or_default();
        let put = Put {
            ttl: Some(ttl),
            ..Put::new(format!("{PREFIX}{}", record.name), value)
        };
        patience::repeat(self, || self.storage.put_document(put.clone()))
            .await?
            .ok();
        Ok(())
    }

    /// Says that a worker has stopped.
    pub(crate) async fn remove_worker(&self, name: &str) -> Result<()> {
        let key = format!("{PREFIX}{name}");
        patience::repeat(self, || self.storage.remove_document(&key)).await?;
        Ok(())
    }

    /// All documents whose key starts with `prefix`, by key.
    pub(crate) async fn documents(&self, prefix: &str) -> Result<Vec<Document>> {
        let (mut documents, mut after) = (Vec::new(), None::<String>);
        loop {
            let key = after.as_deref();
            let page = patience::repeat(self, || {
                self.storage.list_documents(prefix, key, limits::PAGE)
            })
            .await?;
            documents.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(documents);
            }
        }
    }
}
