//! A handle of a job: ask how it is, wait for it, read what it returned.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use majordomo_core::job::Failure;
use majordomo_core::{
    DeadReason, Details, Edit, Error, Inserted, JobId, Payload, Progress, Result, State, Task,
    Wake, When,
};

use crate::explain::Explanation;

use super::{Cancelled, Client, Ears, not_found};

/// How often a watched job is read again if nothing says sooner.
const LOOK: Duration = Duration::from_millis(250);

/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A job, typed by its task.
pub struct Handle<T> {
    client: Client,
    id: JobId,
    new: bool,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> Handle<T> {
    pub(super) fn of(client: &Client, id: JobId, inserted: Inserted) -> Self {
        let (id, new) = match inserted {
            Inserted::New => (id, true),
            // Its own id means that an earlier try of the same insert stored it.
            Inserted::Existing(existing) => (existing, existing == id),
        };
        Self {
            client: client.clone(),
            id,
            new,
            task: PhantomData,
        }
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Whether this is the job that was enqueued, and not another one that held
    /// its key already.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Where the job is in its life.
    ///
    /// # Errors
    /// If it was removed, or the storage can't be read.
    pub async fn state(&self) -> Result<State> {
        Ok(self.details().await?.job.state)
    }

    /// Everything known about the job.
    ///
    /// # Errors
    /// If it was removed, or the storage can't be read.
    pub async fn details(&self) -> Result<Details> {
        self.client
            .job(self.id)
            .await?
            .ok_or_else(|| not_found(self.id))
    }

    /// The latest report of progress, if there is one.
    ///
    /// # Errors
    /// If the job was removed, or the storage can't be read.
    pub async fn progress(&self) -> Result<Option<Progress>> {
        Ok(self.details().await?.job.progress)
    }

    /// Watches the job: each change of its state or progress, until it has ended.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            client: self.client.clone(),
            id: self.id,
            ears: self.client.listen(),
            seen: None,
        }
    }

    /// Waits until the job has ended, in whatever way, and tells all about it.
    ///
    /// # Errors
    /// If it was removed, or the storage can't be read.
    pub async fn wait(&self) -> Result<Details> {
        let mut watch = self.watch();
        while let Some(details) = watch.next().await? {
            if details.job.state.is_finished() {
                return Ok(details);
            }
        }
        Err(not_found(self.id))
    }

    /// Waits until the job has ended, and returns what its task returned.
    ///
    /// # Errors
    /// [`NotCompleted`] says how else it ended.
    pub async fn result(&self) -> Result<T::Output, NotCompleted> {
        let details = self.wait().await.map_err(NotCompleted::Storage)?;
        let job = details.job;
        match job.state {
            State::Completed => {
                serde_json::from_value(details.output.unwrap_or_default()).map_err(|source| {
                    let message = format!("the output of job `{}` does not fit its type", self.id);
                    NotCompleted::Storage(Error::invalid(message).source(source))
                })
            }
            State::Cancelled => Err(NotCompleted::Cancelled),
            State::Expired => Err(NotCompleted::Expired),
            State::Dead | State::Pending | State::Running => {
                Err(NotCompleted::Dead(job.dead_reason, job.error))
            }
        }
    }

    /// Cancels the job.
    ///
    /// # Errors
    /// If the storage can't be reached.
    pub async fn cancel(&self) -> Result<Cancelled> {
        self.client.cancel(self.id).await
    }

    /// Runs the job again once it is finished; see [`Client::retry`].
    ///
    /// # Errors
    /// As [`Client::retry`].
    pub async fn retry(&self, due: impl Into<When> + Send) -> Result<()> {
        self.client.retry(self.id, due).await
    }

    /// Makes the pending job due at another time.
    ///
    /// # Errors
    /// As [`Client::reschedule`].
    pub async fn reschedule(&self, due: impl Into<When> + Send) -> Result<()> {
        self.client.reschedule(self.id, due).await
    }

    /// Puts the pending job into another queue.
    ///
    /// # Errors
    /// As [`Client::move_to`].
    pub async fn move_to(&self, queue: impl Into<String>) -> Result<()> {
        self.client.move_to(self.id, queue).await
    }

    /// Gives the pending job another priority; higher goes first.
    ///
    /// # Errors
    /// As [`Client::set_priority`].
    pub async fn set_priority(&self, priority: i16) -> Result<()> {
        self.client.set_priority(self.id, priority).await
    }

    /// Gives the job other arguments, unless it is running.
    ///
    /// # Errors
    /// As [`Client::edit`].
    pub async fn edit(&self, task: &T) -> Result<()> {
        self.edit_with(task, None).await
    }

    /// Gives the job other arguments, if it is still at this revision and not
    /// running; [`majordomo_core::Job::revision`] has it.
    ///
    /// # Errors
    /// As [`Client::edit`].
    pub async fn edit_at(&self, revision: u64, task: &T) -> Result<()> {
        self.edit_with(task, Some(revision)).await
    }

    /// Why the job is where it is, and what would move it on.
    ///
    /// # Errors
    /// If it was removed, or the storage can't be read.
    pub async fn explain(&self) -> Result<Explanation> {
        self.client.explain(self.id).await
    }

    async fn edit_with(&self, task: &T, if_revision: Option<u64>) -> Result<()> {
        let edit = Edit {
            payload: Some(Payload::json(task)?),
            if_revision,
            ..Edit::default()
        };
        self.client.edit(self.id, edit).await
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id,
            new: self.new,
            task: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id)
            .field("new", &self.new)
            .finish_non_exhaustive()
    }
}

/// The changes of one job as they are seen. Several changes within a moment
/// may be seen as one.
pub struct Watch {
    client: Client,
    id: JobId,
    ears: Ears,
    seen: Option<Seen>,
}

#[derive(PartialEq)]
struct Seen {
    revision: u64,
    token: u64,
    state: State,
    progress: Option<Progress>,
}

impl Watch {
    /// The job as it is now, and then each time that it has changed; `None` once
    /// it has ended and that was told.
    ///
    /// # Errors
    /// If the job was removed, or the storage can't be read.
    pub async fn next(&mut self) -> Result<Option<Details>> {
        if self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.state.is_finished())
        {
            return Ok(None);
        }
        loop {
            let details = self
                .client
                .job(self.id)
                .await?
                .ok_or_else(|| not_found(self.id))?;
            let job = &details.job;
            let now = Seen {
                revision: job.revision,
                token: job.token,
                state: job.state,
                progress: job.progress.clone(),
            };
            if self.seen.as_ref() != Some(&now) {
                self.seen = Some(now);
                return Ok(Some(details));
            }
            // Not more often than anyone can look, however many jobs end meanwhile.
            tokio::time::sleep(PAUSE).await;
            let news = async { while self.ears.next().await == Wake::WORK {} };
            // Looking again does no harm, so a wait that ends early is as good.
            let _ = tokio::time::timeout(LOOK, news).await;
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why there is no output.
#[derive(Debug)]
pub enum NotCompleted {
    /// The job was given up, for this reason and with this last error.
    Dead(Option<DeadReason>, Option<Failure>),
    /// The job was cancelled.
    Cancelled,
    /// The job expired before it started.
    Expired,
    /// The job or its output could not be read.
    Storage(Error),
}

impl fmt::Display for NotCompleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(reason, failure) => {
                f.write_str("the job is dead")?;
                reason
                    .iter()
                    .try_for_each(|reason| write!(f, " ({reason})"))?;
                failure
                    .iter()
                    .try_for_each(|failure| write!(f, ": {failure}"))
            }
            Self::Cancelled => f.write_str("the job was cancelled"),
            Self::Expired => f.write_str("the job expired before it started"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl StdError for NotCompleted {}
