//! The client: enqueue jobs, look at them, and change them. It has no type
//! parameter and is cheap to clone.

mod batch;
mod change;
mod control;
mod enqueue;
mod explain;
mod handle;
mod patience;
pub(crate) mod registry;
mod status;
mod workers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::wake::Listener;
use majordomo_core::{
    Cursor, Details, Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Result,
    Signal, Storage, Task, Timestamp, Wake, Wakes,
};

pub use change::{Cancelled, Summary};
pub use control::Controlled;
pub use enqueue::Enqueue;
pub use handle::{Handle, NotCompleted, Watch};
pub use registry::TaskRecord;
pub use status::{Count, QueueStatus, TaskStatus};
pub use workers::WorkerRecord;

/// How long a call goes on trying while its storage is out of reach.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// A client of a storage. Clones are the same client.
#[derive(Clone)]
pub struct Client {
    storage: Arc<dyn Storage>,
    /// Wakes the workers of this process if the storage itself can't.
    signal: Signal,
    patience: Duration,
    batches: batch::Batches,
}

impl Client {
    /// A client of this storage.
    pub fn new(storage: impl Storage) -> Self {
        Self::shared(Arc::new(storage))
    }

    /// A client of a storage that others use too.
    #[must_use]
    pub fn shared(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            signal: Signal::new(),
            patience: DEFAULT_PATIENCE,
            batches: batch::Batches::default(),
        }
    }

    /// How long a call goes on trying while the storage is out of reach; 5 s by
    /// default. With zero, each call is tried once.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends each insert by itself. Otherwise those that arrive while one is
    /// under way are sent together, in one call; a storage whose inserts wait
    /// for further inserts needs this.
    #[must_use]
    pub fn one_by_one(mut self) -> Self {
        self.batches = batch::Batches::none();
        self
    }

    /// The storage, for anything that the client has no method for. What only one
    /// kind of storage can do is done with a clone of it that was kept; clones
    /// of a storage share its jobs.
    ///
    /// ```
    /// # use majordomo_engine::Client;
    /// # use majordomo_core::{Memory, Storage};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> majordomo_core::Result<()> {
    /// let storage = Memory::new();
    /// let jobs = Client::new(storage.clone());
    /// let now = jobs.storage().now().await?;
    /// assert!(now <= storage.now().await?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Enqueues a job: set options on what this returns, then await it.
    ///
    /// ```
    /// # use majordomo_engine::Client;
    /// # use majordomo_core::{Memory, Task};
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Greet { name: String }
    /// # impl Task for Greet { type Output = (); const NAME: &'static str = "greet"; }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> majordomo_core::Result<()> {
    /// let jobs = Client::new(Memory::new());
    /// let handle = jobs.enqueue(Greet { name: "ann".into() }).after(Duration::from_secs(60)).priority(5).await?;
    /// assert_eq!(handle.state().await?, majordomo_core::State::Pending);
    /// # Ok(()) }
    /// ```
    pub fn enqueue<T: Task>(&self, task: T) -> Enqueue<'_, T> {
        Enqueue::new(self, &task)
    }

    /// Enqueues many jobs of one task, all or none, in one write.
    ///
    /// # Errors
    /// If one of them is refused, or the storage can't be reached in time.
    pub async fn enqueue_many<T: Task>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Handle<T>>> {
        let jobs = tasks
            .into_iter()
            .map(|task| self.enqueue(task).unchecked())
            .collect::<Result<Vec<_>>>()?;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let inserted = self.insert(jobs).await?;
        Ok(ids
            .into_iter()
            .zip(inserted)
            .map(|(id, inserted)| Handle::of(self, id, inserted))
            .collect())
    }

    /// Stores jobs built before, all or none, in one write. Repeating it is safe.
    ///
    /// # Errors
    /// If one of them is refused, or the storage can't be reached in time. After
    /// an error of kind [`ErrorKind::Unknown`] the jobs may or may not be there:
    /// insert the same jobs again.
    pub async fn insert(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>> {
        let inserted = patience::insert(self, jobs).await?;
        self.signal.notify(Wake::WORK);
        Ok(inserted)
    }

    /// A handle of a stored job, typed by its task.
    #[must_use]
    pub fn handle<T: Task>(&self, id: JobId) -> Handle<T> {
        Handle::of(self, id, Inserted::Existing(id))
    }

    /// Everything known about a job, if there is one of this id.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn job(&self, id: JobId) -> Result<Option<Details>> {
        let ids = [id];
        let mut found = patience::repeat(self, || self.storage.get(&ids)).await?;
        Ok(found.pop().flatten())
    }

    /// A page of the jobs that match.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        patience::repeat(self, || self.storage.find(filter, order, after, limit)).await
    }

    /// The time, by the storage's clock.
    pub(crate) async fn now(&self) -> Result<Timestamp> {
        patience::repeat(self, || self.storage.now()).await
    }

    pub(crate) fn notify(&self, wake: Wake) {
        self.signal.notify(wake);
    }

    /// The same client, with another way to its storage.
    pub(crate) fn over(self, storage: Arc<dyn Storage>) -> Self {
        Self { storage, ..self }
    }

    /// Hears the storage's wakes, or this process's own where it has none.
    pub(crate) fn listen(&self) -> Ears {
        match self.storage.wakes() {
            Some(wakes) => Ears::Storage(wakes),
            None => Ears::Process(self.signal.listen()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("storage", &self.storage.name())
            .finish_non_exhaustive()
    }
}

/// Where wakes come from.
pub(crate) enum Ears {
    Storage(Box<dyn Wakes>),
    Process(Listener),
}

impl Ears {
    pub(crate) async fn next(&mut self) -> Wake {
        match self {
            Self::Storage(wakes) => wakes.next().await,
            Self::Process(listener) => listener.next().await,
        }
    }
}

pub(crate) fn not_found(id: JobId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no job `{id}`"))
        .hint("it may have been removed; `majordomo job list` shows what there is")
}
