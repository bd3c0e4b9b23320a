//! Insert: ids, holds and their conflicts.

use jiff::Timestamp;

use crate::error::Result;
use crate::hold::OnConflict;
use crate::id::JobId;
use crate::job::{Job, NewJob};
use crate::state::State;
use crate::storage::Inserted;

use super::tables::Tables;

impl Tables {
    /// Stores a group whole, or refuses it whole.
    pub(super) fn insert_group(
        &mut self,
        group: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Vec<Inserted>> {
        group.iter().try_for_each(NewJob::check)?;
        self.forget(now);
        Ok(group
            .into_iter()
            .map(|job| self.insert_one(job, now))
            .collect())
    }

    fn insert_one(&mut self, new: NewJob, now: Timestamp) -> Inserted {
        if self.jobs.contains_key(&new.id) {
            return Inserted::Existing(new.id);
        }
        let conflict = new
            .holds
            .iter()
            .find_map(|hold| Some((hold.on_conflict, self.holder(&hold.key, now)?)));
        if let Some((on_conflict, holder)) = conflict {
            self.resolve_conflict(on_conflict, holder, new, now);
            return Inserted::Existing(holder);
        }
        for hold in &new.holds {
            self.hold(hold, new.id, now);
        }
        self.add(new.into_job(now));
        Inserted::New
    }

    fn resolve_conflict(
        &mut self,
        on_conflict: OnConflict,
        holder: JobId,
        new: NewJob,
        now: Timestamp,
    ) {
        if on_conflict == OnConflict::Keep {
            return;
        }
        self.update(holder, |details| {
            let job = &mut details.job;
            if job.state != State::Pending {
                return;
            }
            match on_conflict {
                OnConflict::Keep => return,
                OnConflict::Postpone => job.due = new.due.resolve(now),
                OnConflict::Replace => *job = replaced(job, new.into_job(now)),
            }
            job.changed_at = now;
            job.revision += 1;
        });
    }
}

/// The holder with the content of the new job and an identity and a history of its own.
fn replaced(holder: &Job, new: Job) -> Job {
    Job {
        id: holder.id,
        holds: holder.holds.clone(),
        token: holder.token,
        charged: holder.charged,
        crashes: holder.crashes,
        revision: holder.revision,
        created_at: holder.created_at,
        started_at: holder.started_at,
        error: holder.error.clone(),
        progress: holder.progress.clone(),
        ..new
    }
}
