//! Which jobs, in which order, from where on. A filter is a closed
//! conjunction: every field that is set must match. SQL storages translate it;
//! [`Filter::matches`] is its meaning.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::id::JobId;
use crate::job::Job;
use crate::state::State;
use crate::tags::Tags;
use crate::time;

/// Which jobs. An empty filter means all of them; an empty list means "any".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<State>,
    /// Of one of these tasks.
    pub tasks: Vec<String>,
    /// Of none of these tasks.
    pub except_tasks: Vec<String>,
    /// In one of these queues.
    pub queues: Vec<String>,
    /// With all of these tags.
    pub tags: Tags,
    /// With one of these ids. `Some` of an empty list matches nothing.
    pub ids: Option<Vec<JobId>>,
    /// Made by this schedule.
    pub schedule: Option<String>,
    /// For this tenant.
    pub tenant: Option<String>,
    /// Asked for by this actor.
    pub actor: Option<String>,
    /// With this priority or a higher one.
    pub priority_from: Option<i16>,
    /// With these values in the metadata.
    pub metadata: BTreeMap<String, Value>,
    /// Due within this span.
    pub due: Between,
    /// Created within this span.
    pub created: Between,
    /// Ended within this span.
    pub ended: Between,
    /// Pending and due now.
    pub due_now: bool,
    /// Running under a lease that has run out.
    pub lease_expired: bool,
    /// Pending although its expiry has passed.
    pub past_expiry: bool,
    /// Finished, and its own retention has passed.
    pub past_retention: bool,
    /// Without a retention of its own.
    pub without_retention: bool,
    /// Running, and asked to stop.
    pub cancel_requested: bool,
    /// Running under a lease of this worker.
    pub worker: Option<String>,
    /// With this text in the latest error, ASCII case aside.
    pub error_contains: Option<String>,
}

/// A span of time, `from` included and `to` not; open where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Between {
    /// The first instant within.
    pub from: Option<Timestamp>,
    /// The first instant after.
    pub to: Option<Timestamp>,
}

impl Between {
    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Whether `instant` lies within. No instant lies only within an open span.
    #[must_use]
    pub fn contains(&self, instant: Option<Timestamp>) -> bool {
        match instant {
            None => self.is_open(),
            Some(instant) => {
                self.from.is_none_or(|from| from <= instant)
                    && self.to.is_none_or(|to| instant < to)
            }
        }
    }
}

impl Filter {
    /// All jobs.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The job with this id.
    #[must_use]
    pub fn id(id: JobId) -> Self {
        Self::ids([id])
    }

    /// The jobs with these ids.
    pub fn ids(ids: impl IntoIterator<Item = JobId>) -> Self {
        Self {
            ids: Some(ids.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Only jobs in this state; call again to allow another.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.states.push(state);
        self
    }

    /// Only finished jobs.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.states
            .extend(State::ALL.into_iter().filter(|state| state.is_finished()));
        self
    }

    /// Only jobs of this task; call again to allow another.
    #[must_use]
    pub fn task(mut self, task: impl Into<String>) -> Self {
        self.tasks.push(task.into());
        self
    }

    /// Only jobs in this queue; call again to allow another.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queues.push(queue.into());
        self
    }

    /// Only jobs with this tag, and those asked for before.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags = self.tags.with(tag);
        self
    }

    /// Whether only running jobs can match.
    #[must_use]
    pub fn is_of_running(&self) -> bool {
        let asked = self.lease_expired || self.cancel_requested || self.worker.is_some();
        asked || self.states == [State::Running]
    }

    /// Whether `job` is meant, at `now` by the storage's clock.
    #[must_use]
    pub fn matches(&self, job: &Job, now: Timestamp) -> bool {
        fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        fn same(wanted: &Option<String>, value: Option<&String>) -> bool {
            wanted.is_none() || wanted.as_ref() == value
        }
        any(&self.states, &job.state)
            && any(&self.tasks, &job.task)
            && !self.except_tasks.contains(&job.task)
            && any(&self.queues, &job.queue)
            && job.tags.contain_all(&self.tags)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&job.id))
            && same(
                &self.schedule,
                job.schedule.as_ref().map(|occurrence| &occurrence.schedule),
            )
            && same(&self.tenant, job.tenant.as_ref())
            && same(&self.actor, job.actor.as_ref())
            && self.priority_from.is_none_or(|from| from <= job.priority)
            && self
                .metadata
                .iter()
                .all(|(key, value)| job.metadata.get(key) == Some(value))
            && self.due.contains(Some(job.due))
            && self.created.contains(Some(job.created_at))
            && self.ended.contains(job.ended_at)
            && (!self.due_now || job.is_due(now))
            && (!self.lease_expired || job.is_lease_expired(now))
            && (!self.past_expiry || job.is_past_expiry(now))
            && (!self.past_retention || job.is_past_retention(now))
            && (!self.without_retention || job.retention.is_none())
            && (!self.cancel_requested || job.cancel_requested)
            && (self.worker.is_none()
                || same(&self.worker, job.lease.as_ref().map(|lease| &lease.worker)))
            && self
                .error_contains
                .as_ref()
                .is_none_or(|text| job.error.as_ref().is_some_and(|error| error.contains(text)))
    }
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// By what; ties go by id, in the same direction.
    pub by: OrderBy,
    /// Which way.
    pub direction: Direction,
}

/// What a listing is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderBy {
    /// The id, which is about the time the client made the job.
    #[default]
    Id,
    /// The due time.
    Due,
    /// The time it was inserted.
    Created,
    /// The time it ended. Lists only jobs that have.
    Ended,
}

/// Which way a listing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smallest or oldest first.
    #[default]
    Ascending,
    /// Largest or newest first.
    Descending,
}

impl Order {
    /// Smallest or oldest first.
    #[must_use]
    pub fn ascending(by: OrderBy) -> Self {
        Self {
            by,
            direction: Direction::Ascending,
        }
    }

    /// Largest or newest first.
    #[must_use]
    pub fn descending(by: OrderBy) -> Self {
        Self {
            by,
            direction: Direction::Descending,
        }
    }

    /// The place of `job` in this order, or `None` if it is not listed.
    #[must_use]
    pub fn place(&self, job: &Job) -> Option<Cursor> {
        let at = match self.by {
            OrderBy::Id => Timestamp::UNIX_EPOCH,
            OrderBy::Due => job.due,
            OrderBy::Created => job.created_at,
            OrderBy::Ended => job.ended_at?,
        };
        Some(Cursor { at, id: job.id })
    }

    /// Compares two places in this order.
    #[must_use]
    pub fn compare(&self, a: &Cursor, b: &Cursor) -> Ordering {
        let ascending = (a.at, a.id).cmp(&(b.at, b.id));
        match self.direction {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }
}

/// A place in a listing: pages go by key, never by offset (law 5). Only good
/// for the order it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The order's key; the epoch where the order is by id.
    pub at: Timestamp,
    /// The id.
    pub id: JobId,
}

impl Cursor {
    /// The place right behind this id, in an order by id.
    #[must_use]
    pub fn behind(id: JobId) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            id,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_microsecond(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text
            .split_once('.')
            .and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id.parse().ok()?)));
        let (at, id) = parsed.ok_or_else(|| {
            Error::invalid(format!("`{text}` is not a cursor"))
                .hint("pass the cursor of the page before as it came")
        })?;
        Ok(Self {
            at: time::from_micros(at),
            id,
        })
    }
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T, C = Cursor> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page starts; `None` if this is the last one.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts a page from up to `limit + 1` items: one more than fits says that
    /// there is a next page. `place` tells where an item lies.
    pub fn cut(mut items: Vec<T>, limit: usize, place: impl FnOnce(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(place) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Failure, FailureKind, NewJob};
    use crate::payload::Payload;

    #[test]
    fn every_field_of_a_filter_narrows_it() {
        let now = Timestamp::UNIX_EPOCH;
        let mut new = NewJob::new("send", Payload::json(&1).unwrap());
        new.tags = Tags::from_iter(["a", "b"]);
        new.metadata.insert("n".into(), 5.into());
        let mut job = new.into_job(now);
        job.error = Some(Failure::new(FailureKind::Error, "Connection refused"));
        let matching = Filter::id(job.id)
            .state(State::Pending)
            .task("send")
            .queue("default")
            .tag("A");
        let matching = Filter {
            metadata: BTreeMap::from([("n".into(), 5.into())]),
            due: Between {
                from: Some(now),
                to: Some(time::from_micros(1)),
            },
            due_now: true,
            error_contains: Some("REFUSED".into()),
            ..matching
        };
        assert!(matching.matches(&job, now) && Filter::all().matches(&job, now));
        let others: [fn(&mut Filter); 15] = [
            |filter| filter.states = vec![State::Dead],
            |filter| filter.tasks = vec!["other".into()],
            |filter| filter.except_tasks = vec!["other".into(), "send".into()],
            |filter| filter.past_retention = true,
            |filter| filter.queues = vec!["other".into()],
            |filter| filter.tags = Tags::none().with("c"),
            |filter| filter.ids = Some(vec![]),
            |filter| filter.schedule = Some("s".into()),
            |filter| filter.tenant = Some("t".into()),
            |filter| filter.actor = Some("t".into()),
            |filter| filter.priority_from = Some(1),
            |filter| filter.metadata = BTreeMap::from([("n".into(), 6.into())]),
            |filter| filter.due.to = filter.due.from,
            |filter| filter.ended.from = Some(Timestamp::UNIX_EPOCH),
            |filter| filter.error_contains = Some("timeout".into()),
        ];
        for (index, spoil) in others.into_iter().enumerate() {
            let mut filter = matching.clone();
            spoil(&mut filter);
            assert!(!filter.matches(&job, now), "change {index} still matches");
        }
    }

    #[test]
    fn a_jobs_own_retention_counts_from_its_end_and_only_once_it_has_ended() {
        let (end, hour) = (Timestamp::UNIX_EPOCH, std::time::Duration::from_secs(3600));
        let past = Filter {
            past_retention: true,
            ..Filter::all()
        };
        let without = Filter {
            without_retention: true,
            ..Filter::all()
        };
        let mut job = NewJob::new("send", Payload::json(&1).unwrap()).into_job(end);
        (job.state, job.ended_at) = (State::Completed, Some(end));
        assert!(without.matches(&job, end) && !past.matches(&job, time::after(end, 9999 * hour)));
        job.retention = Some(hour);
        assert!(!without.matches(&job, end));
        assert!(!past.matches(
            &job,
            time::after(end, hour - std::time::Duration::from_micros(1))
        ));
        assert!(past.matches(&job, time::after(end, hour)));
        (job.state, job.ended_at) = (State::Pending, None);
        assert!(!past.matches(&job, time::after(end, hour)));
    }

    #[test]
    fn a_cursor_is_read_back() {
        let cursor = Cursor {
            at: time::from_micros(-17),
            id: JobId::new(),
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        assert!("7".parse::<Cursor>().is_err());
    }

    #[test]
    fn a_page_knows_whether_there_is_a_next_one() {
        assert_eq!(
            Page::cut(vec![1, 2, 3], 2, |item| *item),
            Page {
                items: vec![1, 2],
                next: Some(2)
            }
        );
        assert_eq!(
            Page::cut(vec![1, 2], 2, |item| *item),
            Page {
                items: vec![1, 2],
                next: None
            }
        );
    }
}
