//! What people do to jobs from outside: one job, a page of them, or all that match.

use majordomo_core::{
    Change, Changed, Edit, Error, ErrorKind, Filter, JobId, Order, Page, Refusal, Result, State,
    Wake, When, limits,
};

use super::patience::{self, Told};
use super::{Client, not_found};

/// What became of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was pending and will not start.
    Done,
    /// It is running and was asked to stop.
    Requested,
    /// It had ended before.
    AlreadyFinished(State),
    /// There is no such job.
    NotFound,
}

/// How many jobs a change was made to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Changed.
    pub changed: u64,
    /// Left as they were, because the change is not legal for them.
    pub refused: u64,
}

impl Client {
    /// Cancels a job: a pending one at once, a running one by asking it to stop.
    ///
    /// # Errors
    /// If the storage can't be reached.
    pub async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        Ok(match self.change_one(id, &Change::Cancel).await? {
            None => Cancelled::NotFound,
            Some(Changed::Done(State::Running)) => Cancelled::Requested,
            Some(Changed::Done(_)) => Cancelled::Done,
            Some(Changed::Refused(Refusal::State(state))) => Cancelled::AlreadyFinished(state),
            Some(Changed::Refused(refusal)) => return Err(refused("cancel", id, &refusal)),
        })
    }

    /// Runs a finished job again, now or later, with all its attempts.
    ///
    /// # Errors
    /// If there is no such job, it is not finished, its key is held by another
    /// one, or the storage can't be reached.
    pub async fn retry(&self, id: JobId, due: impl Into<When> + Send) -> Result<()> {
        let change = Change::Retry { due: due.into() };
        self.make("retry", id, &change).await
    }

    /// Makes a pending job due at another time.
    ///
    /// # Errors
    /// If there is no such job, it is not pending, or the storage can't be reached.
    pub async fn reschedule(&self, id: JobId, due: impl Into<When> + Send) -> Result<()> {
        let change = Change::Reschedule { due: due.into() };
        self.make("reschedule", id, &change).await
    }

    /// Puts a pending job into another queue.
    ///
    /// # Errors
    /// As [`Self::reschedule`], and if the name is refused.
    pub async fn move_to(&self, id: JobId, queue: impl Into<String>) -> Result<()> {
        let queue = queue.into();
        self.make("move", id, &Change::Move { queue }).await
    }

    /// Gives a pending job another priority; higher goes first.
    ///
    /// # Errors
    /// As [`Self::reschedule`].
    pub async fn set_priority(&self, id: JobId, priority: i16) -> Result<()> {
        let change = Change::Priority(priority);
        self.make("change the priority of", id, &change).await
    }

    /// Changes what a job carries, unless it is running. With
    /// [`Edit::if_revision`] only if nobody has changed the job since it was
    /// read. See [`super::Handle::edit`] for the typed way.
    ///
    /// # Errors
    /// If there is no such job, it is running or of another revision, the
    /// content is refused, or the storage can't be reached.
    pub async fn edit(&self, id: JobId, edit: Edit) -> Result<()> {
        self.make("edit", id, &Change::Edit(edit)).await
    }

    /// Ends a pending job as expired.
    ///
    /// # Errors
    /// As [`Self::reschedule`].
    pub async fn expire(&self, id: JobId) -> Result<()> {
        self.make("expire", id, &Change::Expire).await
    }

    /// Removes a finished job with everything known about it.
    ///
    /// # Errors
    /// If there is no such job, it is not finished, or the storage can't be reached.
    pub async fn remove_one(&self, id: JobId) -> Result<()> {
        let filter = Filter::id(id);
        let told = patience::repeat_telling(self, || self.storage.remove(&filter, 1)).await?;
        if told.answer > 0 {
            self.signal.notify(Wake::NEWS);
            return Ok(());
        }
        match self.job(id).await? {
            Some(details) => {
                let refusal = Refusal::State(details.job.state);
                Err(refused("remove", id, &refusal).hint("cancel it first"))
            }
            // Gone, by the try whose reply was lost.
            None if told.is_repeat => Ok(()),
            None => Err(not_found(id)),
        }
    }

    /// Changes every job that matches, page by page, and says how many.
    ///
    /// # Errors
    /// If the change is refused as such or the storage can't be reached; pages
    /// done before stay done, and calling again goes on.
    pub async fn change(&self, filter: &Filter, change: &Change) -> Result<Summary> {
        let mut summary = Summary::default();
        let mut after = None;
        loop {
            let page = self
                .change_page(filter, change, after, limits::PAGE)
                .await?;
            for (_, changed) in &page.items {
                match changed {
                    Changed::Done(_) => summary.changed += 1,
                    Changed::Refused(_) => summary.refused += 1,
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(summary);
            }
        }
    }

    /// Changes the jobs that match, from `after` on in the order of their ids,
    /// at most `limit` (and [`limits::PAGE`]) of them, and tells of each.
    ///
    /// If the reply to a try is lost, the page is made again, and a job that is
    /// then found as the change would have left it counts as changed. A job that
    /// no longer matches the filter by that is not told of; name the jobs by
    /// [`Filter::ids`] alone to be told of each.
    ///
    /// # Errors
    /// If the change is refused as such or the storage can't be reached.
    pub async fn change_page(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        let Told {
            answer: mut page,
            is_repeat,
        } = patience::repeat_telling(self, || self.storage.change(filter, change, after, limit))
            .await?;
        self.signal.notify(Wake::ALL);
        if is_repeat {
            self.recognise(change, &mut page.items).await?;
        }
        Ok(page)
    }

    /// Removes every finished job that matches, and says how many.
    ///
    /// # Errors
    /// If the storage can't be reached; what was removed before stays removed.
    pub async fn remove(&self, filter: &Filter) -> Result<u64> {
        let mut removed = 0;
        loop {
            match patience::repeat(self, || self.storage.remove(filter, limits::PAGE)).await? {
                0 => return Ok(removed),
                some => removed += some,
            }
        }
    }

    async fn make(&self, what: &str, id: JobId, change: &Change) -> Result<()> {
        match self.change_one(id, change).await? {
            None => Err(not_found(id)),
            Some(Changed::Refused(refusal)) => Err(refused(what, id, &refusal)),
            Some(Changed::Done(_)) => Ok(()),
        }
    }

    async fn change_one(&self, id: JobId, change: &Change) -> Result<Option<Changed>> {
        let page = self.change_page(&Filter::id(id), change, None, 1).await?;
        Ok(page.items.into_iter().next().map(|(_, changed)| changed))
    }

    /// A refusal of a repeat may be due to the first try: then it was done.
    async fn recognise(&self, change: &Change, items: &mut [(JobId, Changed)]) -> Result<()> {
        let is_refused = |item: &&(JobId, Changed)| matches!(item.1, Changed::Refused(_));
        let refused: Vec<JobId> = items.iter().filter(is_refused).map(|(id, _)| *id).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let count = refused.len();
        let found = self
            .find(&Filter::ids(refused), Order::default(), None, count)
            .await?;
        for job in found.items.iter().filter(|job| change.is_met_by(job)) {
            if let Some((_, changed)) = items.iter_mut().find(|(id, _)| *id == job.id) {
                *changed = Changed::Done(job.state);
            }
        }
        Ok(())
    }
}

fn refused(what: &str, id: JobId, refusal: &Refusal) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("cannot {what} job `{id}`: {refusal}"),
    )
}
