//! The maps of the memory storage, and the ways by which jobs get into and out
//! of them. Every change of a job goes through [`Tables::update`], which keeps
//! the indexes true.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use crate::control::{Control, Scope};
use crate::document::{Document, Put};
use crate::ending::EndingKind;
use crate::filter::Page;
use crate::hold::{Hold, Until};
use crate::id::JobId;
use crate::job::{Details, Job};
use crate::series::{Bucket, By, Query, Span, Tally, Width};
use crate::state::State;
use crate::time;

/// The pending jobs of a queue: by priority, highest first, then by due time and id.
pub(super) type Lane = BTreeMap<Reverse<i16>, BTreeSet<(Timestamp, JobId)>>;

/// Everything the storage keeps.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) jobs: BTreeMap<JobId, Details>,
    /// Pending jobs by queue.
    pub(super) lanes: HashMap<String, Lane>,
    /// Running jobs by the end of their lease.
    pub(super) leases: BTreeSet<(Timestamp, JobId)>,
    pub(super) holds: HashMap<String, Held>,
    /// Holds that end by time, so that they can be dropped when they have.
    pub(super) hold_ends: BTreeSet<(Timestamp, String)>,
    pub(super) controls: BTreeMap<Scope, Control>,
    pub(super) documents: BTreeMap<String, Document>,
    /// Statistics by minute, task and queue.
    pub(super) tallies: BTreeMap<Timestamp, HashMap<String, HashMap<String, Tally>>>,
}

/// Who holds a key, and how long.
pub(super) struct Held {
    pub(super) by: JobId,
    pub(super) ends: Option<Timestamp>,
}

impl Tables {
    /// Changes a stored job and keeps the indexes true. `None` if there is no such job.
    pub(super) fn update<R>(
        &mut self,
        id: JobId,
        change: impl FnOnce(&mut Details) -> R,
    ) -> Option<R> {
        let details = self.jobs.get_mut(&id)?;
        unindex(&mut self.lanes, &mut self.leases, &details.job);
        let result = change(details);
        index(&mut self.lanes, &mut self.leases, &details.job);
        Some(result)
    }

    /// Stores a new job.
    pub(super) fn add(&mut self, job: Job) {
        index(&mut self.lanes, &mut self.leases, &job);
        self.jobs.insert(job.id, Details::of(job));
    }

    /// Removes a job, but not the holds that outlive it.
    pub(super) fn take(&mut self, id: JobId) {
        if let Some(details) = self.jobs.remove(&id) {
            unindex(&mut self.lanes, &mut self.leases, &details.job);
        }
    }

    /// The job that holds `key` at `now`, if any.
    pub(super) fn holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        let held = self.holds.get(key)?;
        let live = match held.ends {
            Some(ends) => ends > now,
            None => self.jobs.contains_key(&held.by),
        };
        live.then_some(held.by)
    }

    /// Writes a hold of `job`.
    pub(super) fn hold(&mut self, hold: &Hold, by: JobId, now: Timestamp) {
        let ends = hold.ends_at(now);
        if let Some(ends) = ends {
            self.hold_ends.insert((ends, hold.key.clone()));
        }
        self.holds.insert(hold.key.clone(), Held { by, ends });
    }

    /// What an ended or started job leaves: the holds that end now are dropped,
    /// and the ending is counted. `span` is that of the attempt, if there was one.
    pub(super) fn close(
        &mut self,
        id: JobId,
        ended: Option<(EndingKind, Option<Span>)>,
        now: Timestamp,
    ) {
        let Some(Details { job, .. }) = self.jobs.get(&id) else {
            return;
        };
        for hold in &job.holds {
            let over = match hold.until {
                Until::Started => true,
                Until::Finished => job.state.is_finished(),
                Until::For(_) => false,
            };
            let held = self.holds.get(&hold.key);
            if over && held.is_some_and(|held| held.by == job.id && held.ends.is_none()) {
                self.holds.remove(&hold.key);
            }
        }
        if let Some((kind, span)) = ended {
            let minute = self.tallies.entry(Width::Minute.start_of(now)).or_default();
            let tally = Tally::of(kind, span, now);
            // Looked up by parts, so that nothing is copied for a name that is known.
            match minute
                .get_mut(&job.task)
                .and_then(|queues| queues.get_mut(&job.queue))
            {
                Some(sum) => sum.merge(&tally),
                None => {
                    let queues = minute.entry(job.task.clone()).or_default();
                    queues.insert(job.queue.clone(), tally);
                }
            }
        }
    }

    /// Drops holds whose time is over.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while self.hold_ends.first().is_some_and(|(ends, _)| *ends <= now) {
            let Some((ends, key)) = self.hold_ends.pop_first() else {
                break;
            };
            if self
                .holds
                .get(&key)
                .is_some_and(|held| held.ends == Some(ends))
            {
                self.holds.remove(&key);
            }
        }
    }

    /// The statistics asked for.
    pub(super) fn series(&self, query: &Query) -> Vec<Bucket> {
        let span = Width::Minute.start_of(query.from)..Width::Minute.start_of(query.to);
        let mut buckets: BTreeMap<(Timestamp, &str), Tally> = BTreeMap::new();
        if span.is_empty() {
            return Vec::new();
        }
        for (minute, tallies) in self.tallies.range(span) {
            let flat = tallies.iter().flat_map(|(task, queues)| {
                queues
                    .iter()
                    .map(move |(queue, tally)| (task, queue, tally))
            });
            for (task, queue, tally) in flat {
                let name = match query.by {
                    By::All => "",
                    By::Task => task,
                    By::Queue => queue,
                };
                buckets
                    .entry((query.width.start_of(*minute), name))
                    .or_default()
                    .merge(tally);
            }
        }
        let bucket = |((start, name), tally): ((Timestamp, &str), Tally)| Bucket {
            start,
            name: name.to_owned(),
            tally,
        };
        buckets.into_iter().map(bucket).collect()
    }

    /// The document of this key, if its time is not over.
    pub(super) fn document(&self, key: &str, now: Timestamp) -> Option<&Document> {
        self.documents
            .get(key)
            .filter(|document| document.expires.is_none_or(|expires| expires > now))
    }

    /// Writes a document if its condition is met.
    pub(super) fn put_document(
        &mut self,
        put: Put,
        now: Timestamp,
    ) -> Result<Document, Option<u64>> {
        let before = self.document(&put.key, now);
        let version = before.map(|document| document.version);
        if !put.condition.is_met(version) {
            return Err(version);
        }
        let document = Document {
            created_at: before.map_or(now, |document| document.created_at),
            version: version.unwrap_or(0) + 1,
            changed_at: now,
            expires: put.ttl.map(|ttl| time::after(now, ttl)),
            value: put.value,
            key: put.key,
        };
        // Documents are few and written rarely, so this is the time to look.
        self.documents
            .retain(|_, document| document.expires.is_none_or(|expires| expires > now));
        self.documents
            .insert(document.key.clone(), document.clone());
        Ok(document)
    }

    /// A page of documents by prefix.
    pub(super) fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Page<Document, String> {
        let items = self
            .documents
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter(|(key, _)| self.document(key, now).is_some())
            .map(|(_, document)| document.clone())
            .take(limit + 1)
            .collect();
        Page::cut(items, limit, |document: &Document| document.key.clone())
    }
}

fn index(lanes: &mut HashMap<String, Lane>, leases: &mut BTreeSet<(Timestamp, JobId)>, job: &Job) {
    match (job.state, &job.lease) {
        (State::Pending, _) => {
            if !lanes.contains_key(&job.queue) {
                lanes.insert(job.queue.clone(), Lane::new());
            }
            if let Some(lane) = lanes.get_mut(&job.queue) {
                lane.entry(Reverse(job.priority))
                    .or_default()
                    .insert((job.due, job.id));
            }
        }
        (State::Running, Some(lease)) => {
            leases.insert((lease.expires, job.id));
        }
        _ => {}
    }
}

fn unindex(
    lanes: &mut HashMap<String, Lane>,
    leases: &mut BTreeSet<(Timestamp, JobId)>,
    job: &Job,
) {
    match (job.state, &job.lease) {
        (State::Pending, _) => {
            let Some(lane) = lanes.get_mut(&job.queue) else {
                return;
            };
            if let Some(level) = lane.get_mut(&Reverse(job.priority)) {
                level.remove(&(job.due, job.id));
                if level.is_empty() {
                    lane.remove(&Reverse(job.priority));
                }
            }
        }
        (State::Running, Some(lease)) => {
            leases.remove(&(lease.expires, job.id));
        }
        _ => {}
    }
}
