//! Find: matching jobs in order, page by page.

use std::ops::Bound;

use jiff::Timestamp;

use crate::filter::{Cursor, Direction, Filter, Order, OrderBy, Page};
use crate::id::JobId;
use crate::job::Job;

use super::tables::Tables;

impl Tables {
    /// A page of the jobs that match.
    pub(super) fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Page<Job> {
        let by_id = Order {
            by: OrderBy::Id,
            direction: Direction::Ascending,
        };
        let from = after.filter(|_| order == by_id).map(|after| after.id);
        let wanted = self.matching(filter, from, now).filter(|job| {
            let place = order.place(job);
            place.is_some_and(|place| {
                after.is_none_or(|after| order.compare(&place, &after).is_gt())
            })
        });
        let mut found: Vec<&Job> = if order == by_id {
            wanted.take(limit + 1).collect()
        } else {
            wanted.collect()
        };
        if order != by_id {
            found.sort_by(|a, b| match (order.place(a), order.place(b)) {
                (Some(a), Some(b)) => order.compare(&a, &b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            });
            found.truncate(limit + 1);
        }
        let found = found.into_iter().cloned().collect();
        Page::cut(found, limit, |job| Cursor {
            at: order.place(job).map_or(job.created_at, |place| place.at),
            id: job.id,
        })
    }

    /// The jobs that match, by id, from the one after `after` on.
    pub(super) fn matching<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<JobId>,
        now: Timestamp,
    ) -> Box<dyn Iterator<Item = &'a Job> + 'a> {
        let job = |id: JobId| self.jobs.get(&id).map(|details| &details.job);
        let candidates: Box<dyn Iterator<Item = &'a Job> + 'a> = match &filter.ids {
            Some(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                Box::new(ids.into_iter().filter_map(job))
            }
            None if filter.is_of_running() => {
                let expired = |expires: Timestamp| !filter.lease_expired || expires <= now;
                let leases = self.leases.iter();
                let mut ids: Vec<JobId> = leases
                    .take_while(|(expires, _)| expired(*expires))
                    .map(|(_, id)| *id)
                    .collect();
                ids.sort_unstable();
                Box::new(ids.into_iter().filter_map(job))
            }
            None => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let jobs = self.jobs.range((from, Bound::Unbounded));
                Box::new(jobs.map(|(_, details)| &details.job))
            }
        };
        // The ids are looked up already, and long to look through for each job.
        let rest = Filter {
            ids: None,
            ..filter.clone()
        };
        let later = move |job: &&Job| after.is_none_or(|after| job.id > after);
        Box::new(
            candidates
                .filter(later)
                .filter(move |job| rest.matches(job, now)),
        )
    }
}
