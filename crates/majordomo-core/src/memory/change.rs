//! Change and remove: what people do to jobs from outside.

use jiff::Timestamp;

use crate::change::{Change, Changed, Refusal};
use crate::ending::EndingKind;
use crate::filter::{Filter, Page};
use crate::hold::{Hold, Until};
use crate::id::JobId;
use crate::job::Job;
use crate::state::State;

use super::tables::Tables;

impl Tables {
    /// Changes a page of the jobs that match.
    pub(super) fn change(
        &mut self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
        now: Timestamp,
    ) -> Page<(JobId, Changed), JobId> {
        self.forget(now);
        let ids = self.matching(filter, after, now).map(|job| job.id);
        let ids: Vec<JobId> = ids.take(limit + 1).collect();
        let page = Page::cut(ids, limit, |id| *id);
        let items = page
            .items
            .into_iter()
            .filter_map(|id| Some((id, self.change_one(id, change, now)?)))
            .collect();
        Page {
            items,
            next: page.next,
        }
    }

    /// Removes finished jobs that match.
    pub(super) fn remove(&mut self, filter: &Filter, limit: usize, now: Timestamp) -> u64 {
        let finished = self
            .matching(filter, None, now)
            .filter(|job| job.state.is_finished());
        let ids: Vec<JobId> = finished.map(|job| job.id).take(limit).collect();
        for id in &ids {
            self.take(*id);
        }
        ids.len() as u64
    }

    fn change_one(&mut self, id: JobId, change: &Change, now: Timestamp) -> Option<Changed> {
        let job = &self.jobs.get(&id)?.job;
        if let Err(refusal) = change.admit(job) {
            return Some(Changed::Refused(refusal));
        }
        let retaken = match change {
            Change::Retry { .. } => match self.retaken(job, now) {
                Ok(holds) => holds,
                Err(refusal) => return Some(Changed::Refused(refusal)),
            },
            _ => Vec::new(),
        };
        for hold in &retaken {
            self.hold(hold, id, now);
        }
        let state = self.update(id, |details| {
            change.apply(&mut details.job, now);
            if matches!(change, Change::Retry { .. }) {
                details.output = None;
            }
            details.job.state
        })?;
        let counted = match (change, state) {
            (Change::Cancel, State::Cancelled) => Some(EndingKind::Cancelled),
            (Change::Expire, _) => Some(EndingKind::Expired),
            _ => None,
        };
        if let Some(kind) = counted {
            self.close(id, Some((kind, None)), now);
        }
        Some(Changed::Done(state))
    }

    /// The keys that a finished job takes again when it is retried.
    fn retaken(&self, job: &Job, now: Timestamp) -> Result<Vec<Hold>, Refusal> {
        let holds = job
            .holds
            .iter()
            .filter(|hold| hold.until == Until::Finished);
        holds
            .map(|hold| match self.holder(&hold.key, now) {
                Some(by) if by != job.id => Err(Refusal::KeyHeld {
                    key: hold.key.clone(),
                    by,
                }),
                _ => Ok(hold.clone()),
            })
            .collect()
    }
}
