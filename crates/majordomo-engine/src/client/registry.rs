//! The task registry: what workers can do, written when they start, so that
//! programs and people who know no Rust can look tasks up by name.

use std::collections::BTreeMap;

use majordomo_core::{Put, Result, TaskSpec, Timestamp, limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Client, patience};

/// The prefix of the documents that tasks are registered in.
const PREFIX: &str = "task/";

/// A task that some worker provides or once provided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its stable name.
    pub name: String,
    /// Earlier names.
    pub aliases: Vec<String>,
    /// The version of its payload.
    pub version: u32,
    /// The JSON schema of its payload, if it is known.
    pub schema: Option<Value>,
    /// What is known of it, and the defaults of its jobs.
    pub spec: TaskSpec,
}

impl Client {
    /// The tasks that workers have registered, by name, with the time each was last seen.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn tasks(&self) -> Result<BTreeMap<String, (TaskRecord, Timestamp)>> {
        let mut tasks = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let key = after.as_deref();
            let page = patience::repeat(self, || {
                self.storage.list_documents(PREFIX, key, limits::PAGE)
            })
            .await?;
            for document in page.items {
                // A record of another version of Majordomo that does not fit is not ours to break on.
                if let Ok(record) = serde_json::from_value::<TaskRecord>(document.value) {
                    tasks.insert(record.name.clone(), (record, document.changed_at));
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(tasks);
            }
        }
    }

    /// Writes what a worker can do.
    pub(crate) async fn register(&self, record: &TaskRecord) -> Result<()> {
        let value = serde_json::to_value(record).unwrap_or_default();
        let key = format!("{PREFIX}{}", record.name);
        patience::repeat(self, || {
            self.storage
                .put_document(Put::new(key.clone(), value.clone()))
        })
        .await?
        .ok();
        Ok(())
    }
}
