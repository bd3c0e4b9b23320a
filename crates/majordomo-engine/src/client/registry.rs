//! The task registry: what workers can do, written when they start, so that
//! programs and people who know no Rust can look tasks up by name. A record
//! stays when no worker provides its task any more; `status.rs` tells.

use std::collections::BTreeMap;

use majordomo_core::{Document, If, Put, Result, Task, TaskSpec};
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
    /// The version of the program that registered it last, if it told: see
    /// [`crate::Worker::version`].
    #[serde(default)]
    pub app_version: Option<String>,
    /// The JSON schema of its payload, if it is known.
    pub schema: Option<Value>,
    /// What is known of it, and the defaults of its jobs.
    pub spec: TaskSpec,
}

impl TaskRecord {
    /// The record of a task, as a program of no known version provides it.
    #[must_use]
    pub fn of<T: Task>() -> Self {
        Self {
            name: T::NAME.to_owned(),
            aliases: T::ALIASES.iter().map(|&alias| alias.to_owned()).collect(),
            version: T::VERSION,
            app_version: None,
            schema: T::schema(),
            spec: T::spec(),
        }
    }

    /// All names that its jobs may be stored under.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.name).chain(&self.aliases)
    }
}

impl Client {
    /// The tasks that workers have registered, by name. [`Self::tasks`] also
    /// tells who provides them now, for more than one read.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn task_records(&self) -> Result<BTreeMap<String, TaskRecord>> {
        let registered = self.registered().await?;
        let by_name = |(record, _): (TaskRecord, Document)| (record.name.clone(), record);
        Ok(registered.into_iter().map(by_name).collect())
    }

    /// The records with their documents.
    pub(super) async fn registered(&self) -> Result<Vec<(TaskRecord, Document)>> {
        let documents = self.documents(PREFIX).await?;
        // A record of another version of Majordomo that does not fit is not ours to break on.
        let read = |document: Document| {
            let record = serde_json::from_value(document.value.clone()).ok()?;
            Some((record, document))
        };
        Ok(documents.into_iter().filter_map(read).collect())
    }

    /// Writes what a worker can do.
    pub(crate) async fn register(&self, record: &TaskRecord) -> Result<()> {
        let value = serde_json::to_value(record).unwrap_or_default();
        let put = Put::new(key(&record.name), value);
        patience::repeat(self, || self.storage.put_document(put.clone()))
            .await?
            .ok();
        Ok(())
    }

    /// Says that a task is still provided, and leaves its record as it is: that
    /// of a newer program is not overwritten by an older one.
    pub(crate) async fn touch(&self, task: &str) -> Result<()> {
        let key = key(task);
        let found = patience::repeat(self, || self.storage.get_document(&key)).await?;
        if let Some(document) = found {
            let put = Put {
                condition: If::Version(document.version),
                ..Put::new(key, document.value)
            };
            // If someone else was faster, it was touched just now.
            patience::repeat(self, || self.storage.put_document(put.clone()))
                .await?
                .ok();
        }
        Ok(())
    }
}

fn key(task: &str) -> String {
    format!("{PREFIX}{task}")
}
