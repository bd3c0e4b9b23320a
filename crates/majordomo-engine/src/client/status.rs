//! How tasks and queues are doing: who provides them now, and what waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use majordomo_core::job::DEFAULT_QUEUE;
use majordomo_core::{
    Control, Filter, Job, Order, OrderBy, Result, Scope, State, Timestamp, limits,
};
use serde::Serialize;

use super::registry::TaskRecord;
use super::workers::WorkerRecord;
use super::{Client, patience};

/// How many pending jobs are looked at for tasks that were never registered.
const SAMPLE: usize = 100;

/// How many there are, as far as was counted: up to [`limits::PAGE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Counted.
    pub jobs: usize,
    /// Whether there are more.
    pub or_more: bool,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.or_more { "+" } else { "" };
        f.pad(&format!("{}{more}", self.jobs))
    }
}

/// A task, and who provides it now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskStatus {
    /// Its stable name, or the name that jobs are stored under if no worker
    /// ever registered it.
    pub name: String,
    /// What is known of it, if a worker ever registered it.
    pub record: Option<TaskRecord>,
    /// When a worker last said that it provides it: exact to an hour.
    pub seen_at: Option<Timestamp>,
    /// The names of the live workers that provide it.
    pub workers: Vec<String>,
    /// The pending jobs of it, whatever they wait for.
    pub waiting: Count,
}

impl TaskStatus {
    /// Whether a live worker provides it.
    #[must_use]
    pub fn is_provided(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Whether jobs wait for it although nobody provides it.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        !self.is_provided() && self.waiting.jobs > 0
    }
}

/// A queue, and what happens in it now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// What is allowed in it.
    pub control: Control,
    /// The jobs that run.
    pub running: Count,
    /// The pending jobs, whatever they wait for.
    pub waiting: Count,
    /// The names of the live workers that take jobs from it.
    pub workers: Vec<String>,
}

impl Client {
    /// The tasks that workers have registered, by name, and those that pending
    /// jobs name although no worker ever did, as far as the first such jobs go.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn tasks(&self) -> Result<Vec<TaskStatus>> {
        let workers = self.takers().await?;
        let mut tasks = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (record, document) in self.registered().await? {
            let providers: Vec<&WorkerRecord> = workers
                .iter()
                .filter(|worker| worker.knows(&record.name))
                .collect();
            let seen = providers.iter().map(|worker| worker.seen_at);
            let names: Vec<String> = record.names().cloned().collect();
            let status = TaskStatus {
                name: record.name.clone(),
                seen_at: seen.chain([document.changed_at]).max(),
                workers: names_of(providers),
                waiting: self.waiting_for(&names).await?,
                record: Some(record),
            };
            known.extend(names);
            tasks.insert(status.name.clone(), status);
        }
        let strange = Filter {
            except_tasks: known.iter().cloned().collect(),
            ..Filter::all().state(State::Pending)
        };
        for job in self.sample(&strange).await? {
            if !known.insert(job.task.clone()) {
                continue;
            }
            let providers = workers.iter().filter(|worker| worker.knows(&job.task));
            let status = TaskStatus {
                record: None,
                seen_at: None,
                workers: names_of(providers),
                waiting: self.waiting_for(std::slice::from_ref(&job.task)).await?,
                name: job.task,
            };
            tasks.insert(status.name.clone(), status);
        }
        Ok(tasks.into_values().collect())
    }

    /// The queues that a control, a live worker or a registered task names, and
    /// those of the first pending jobs, by name.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn queues(&self) -> Result<Vec<QueueStatus>> {
        let workers = self.takers().await?;
        let mut controls: BTreeMap<String, Control> = BTreeMap::new();
        for (scope, control) in self.controls().await? {
            if let Scope::Queue(name) = scope {
                controls.insert(name, control);
            }
        }
        let mut names: BTreeSet<String> = controls.keys().cloned().collect();
        names.insert(DEFAULT_QUEUE.to_owned());
        names.extend(workers.iter().flat_map(|worker| worker.queues.clone()));
        let records = self.task_records().await?;
        names.extend(records.into_values().map(|record| record.spec.queue));
        let pending = self.sample(&Filter::all().state(State::Pending)).await?;
        names.extend(pending.into_iter().map(|job| job.queue));
        let mut queues = Vec::with_capacity(names.len());
        for name in names {
            let within = |state| Filter::all().state(state).queue(name.clone());
            queues.push(QueueStatus {
                control: controls.remove(&name).unwrap_or_default(),
                running: self.count(&within(State::Running)).await?,
                waiting: self.count(&within(State::Pending)).await?,
                workers: names_of(workers.iter().filter(|worker| worker.takes(&name))),
                name,
            });
        }
        Ok(queues)
    }

    /// Pending jobs in these queues of tasks that no live worker provides: each
    /// task with how many there are among the first [`SAMPLE`].
    pub(crate) async fn orphans(&self, queues: &[String]) -> Result<BTreeMap<String, Count>> {
        let workers = self.takers().await?;
        let orphaned = Filter {
            queues: queues.to_vec(),
            except_tasks: workers
                .into_iter()
                .flat_map(|worker| worker.tasks)
                .collect(),
            ..Filter::all().state(State::Pending)
        };
        let seen = self.sample(&orphaned).await?;
        let or_more = seen.len() >= SAMPLE;
        let mut orphans: BTreeMap<String, Count> = BTreeMap::new();
        for job in seen {
            let count = orphans.entry(job.task).or_default();
            count.jobs += 1;
            count.or_more = or_more;
        }
        Ok(orphans)
    }

    /// Counts what matches, up to a page.
    pub(super) async fn count(&self, filter: &Filter) -> Result<Count> {
        let page = patience::repeat(self, || {
            self.storage
                .find(filter, Order::default(), None, limits::PAGE)
        })
        .await?;
        Ok(Count {
            jobs: page.items.len(),
            or_more: page.next.is_some(),
        })
    }

    async fn waiting_for(&self, names: &[String]) -> Result<Count> {
        let filter = Filter {
            tasks: names.to_vec(),
            ..Filter::all().state(State::Pending)
        };
        self.count(&filter).await
    }

    /// The first that are due.
    async fn sample(&self, filter: &Filter) -> Result<Vec<Job>> {
        let order = Order::ascending(OrderBy::Due);
        Ok(self.find(filter, order, None, SAMPLE).await?.items)
    }
}

fn names_of<'a>(workers: impl IntoIterator<Item = &'a WorkerRecord>) -> Vec<String> {
    workers
        .into_iter()
        .map(|worker| worker.name.clone())
        .collect()
}
