//! Jobs that run while they are enqueued, for tests of code that enqueues and
//! does not care how.
//!
//! Nothing is faked: the job is stored, claimed, decoded, run and settled as by
//! any worker, before the call that enqueued it returns.
//!
//! A handler may enqueue, too. Its job runs nested, before that enqueue returns,
//! up to a depth of eight; beyond that it runs as soon as the handlers around it
//! have returned, and still before the outermost enqueue does. So a chain of
//! jobs of any length needs no stack of any size.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use majordomo_core::series::{Bucket, Query};
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Renewed, Repeat,
    Result, Scope, Settled, State, Storage, Task, Timestamp, Wakes,
};
use majordomo_engine::{Client, Worker};

use super::Kit;
use super::stuck::Stuck;
use super::worker::{PATIENCE, TestWorker};

/// How deep jobs run within the enqueue of a handler.
const NESTED: usize = 8;

tokio::task_local! {
    /// How many enqueues are under way in this task, each within the other.
    static DEPTH: usize;
}

/// Runs jobs while they are enqueued. Made by [`Kit::inline`]; once it is
/// dropped, what its client enqueues only waits.
pub struct Inline<App> {
    /// The client for the code under test.
    pub jobs: Client,
    /// The worker, for what became due later: move the clock, then drain it.
    pub worker: Arc<TestWorker<App>>,
}

/// A job that ran inline.
pub struct Ran<T: Task> {
    /// Everything known about it. A job that failed is pending, with the error
    /// and the time of its next attempt, or dead; one that is due later has not
    /// run at all.
    pub details: Details,
    /// What its task returned, if it is completed.
    pub output: Option<T::Output>,
}

impl Kit {
    /// A client that runs each job while it is enqueued, with the worker that
    /// `worker` makes on that client. An application that enqueues from its
    /// handlers is given the same client.
    ///
    /// ```
    /// # use majordomo_core::{State, Task};
    /// # use majordomo_engine::{Client, Context, Result, Run, TaskError, Worker};
    /// # use majordomo_testkit::Kit;
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Double(u32);
    /// # impl Task for Double { type Output = u32; const NAME: &'static str = "double"; }
    /// # impl Run<()> for Double {
    /// #     async fn run(self, _: &(), _: &Context) -> Result<u32> {
    /// #         self.0.checked_mul(2).ok_or_else(|| TaskError::new("too much"))
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
    /// let kit = Kit::new();
    /// let inline = kit.inline(|jobs| Worker::new(jobs, ()).handle::<Double>())?;
    /// let handle = inline.jobs.enqueue(Double(4)).await?;
    /// assert_eq!(handle.state().await?, State::Completed);
    /// assert_eq!(inline.run(Double(21)).await?.output, Some(42));
    /// let failed = inline.run(Double(u32::MAX)).await?.details;
    /// assert_eq!(failed.job.error.unwrap().message, "too much");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the worker is refused, as by [`Worker::stepper`].
    pub fn inline<App: Send + Sync + 'static>(
        &self,
        worker: impl FnOnce(&Client) -> Worker<App>,
    ) -> Result<Inline<App>> {
        let storage = Arc::new(Storing {
            inner: Arc::clone(self.jobs.storage()),
            worker: OnceLock::new(),
        });
        let jobs = Client::shared(Arc::clone(&storage) as Arc<dyn Storage>).one_by_one();
        let worker = Arc::new(self.test(worker(&jobs))?);
        let runs: Arc<dyn Runs> = Arc::clone(&worker) as _;
        // Set once, here.
        let _ = storage.worker.set(Arc::downgrade(&runs));
        Ok(Inline { jobs, worker })
    }
}

impl<App: Send + Sync + 'static> Inline<App> {
    /// Enqueues a task, and gives back what became of its job.
    ///
    /// # Errors
    /// If it is refused, or could not be run to the end of an attempt. An
    /// attempt that fails is no error here, but told in what comes back.
    pub async fn run<T: Task>(&self, task: T) -> Result<Ran<T>> {
        let handle = self.jobs.enqueue(task).await?;
        let details = handle.details().await?;
        let output = match (details.job.state, details.output.clone()) {
            (State::Completed, Some(output)) => Some(output),
            _ => None,
        };
        let output = output.map(serde_json::from_value).transpose();
        let output = output.map_err(|source| {
            let message = format!("the output of job `{}` does not fit its type", handle.id());
            Error::invalid(message).source(source)
        })?;
        Ok(Ran { details, output })
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A worker of whatever application.
trait Runs: Send + Sync {
    fn run(&self) -> Boxed<'_, Result<(), Stuck>>;
}

impl<App: Send + Sync + 'static> Runs for TestWorker<App> {
    fn run(&self) -> Boxed<'_, Result<(), Stuck>> {
        Box::pin(async { self.drain().await.map(drop) })
    }
}

/// A storage whose inserts run what they insert.
struct Storing {
    inner: Arc<dyn Storage>,
    /// Weak, because the worker holds the client that holds this.
    worker: OnceLock<Weak<dyn Runs>>,
}

impl Storing {
    /// Runs what is due, until none of these jobs is running any more.
    async fn run(&self, new: &[JobId]) -> Result<()> {
        let Some(worker) = self.worker.get().and_then(Weak::upgrade) else {
            return Ok(());
        };
        let depth = DEPTH.try_with(|depth| *depth).unwrap_or(0);
        if depth >= NESTED || new.is_empty() {
            return Ok(());
        }
        DEPTH
            .scope(depth + 1, worker.run())
            .await
            .map_err(refused)?;
        // Another enqueue of this kit, at the same time, may have claimed them.
        let elsewhere = async {
            while self.is_one_running(new).await? {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(PATIENCE, elsewhere).await;
        ended.unwrap_or_else(|_| {
            let message = format!("a job enqueued inline was still running after {PATIENCE:?}");
            Err(Error::new(ErrorKind::Conflict, message))
        })
    }

    async fn is_one_running(&self, ids: &[JobId]) -> Result<bool> {
        let found = self.inner.get(ids).await?;
        let mut found = found.into_iter().flatten();
        Ok(found.any(|details| details.job.state == State::Running))
    }
}

/// Of a kind that no client tries again: the job is stored, and ran as it did.
fn refused(stuck: Stuck) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("a job enqueued inline did not run to its end: {stuck}"),
    )
}

impl fmt::Debug for Storing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

#[async_trait]
impl Storage for Storing {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        let ids = |group: &Vec<NewJob>| group.iter().map(|job| job.id).collect();
        let ids: Vec<Vec<JobId>> = groups.iter().map(ids).collect();
        let answers = self.inner.insert(groups, repeat).await?;
        let mut new = Vec::new();
        for (ids, answer) in ids.into_iter().zip(&answers) {
            let inserted = answer.iter().flatten();
            let stored = ids.into_iter().zip(inserted);
            new.extend(
                stored.filter_map(|(id, inserted)| (*inserted == Inserted::New).then_some(id)),
            );
        }
        self.run(&new).await?;
        Ok(answers)
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.inner.claim(claim).await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        self.inner.renew(beats).await
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        self.inner.settle(endings, then).await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        self.inner.find(filter, order, after, limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.inner.get(ids).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        self.inner.change(filter, change, after, limit).await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.inner.remove(filter, limit).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.inner.controls().await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        self.inner.set_control(scope, control).await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        self.inner.put_document(put).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.inner.get_document(key).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        self.inner.list_documents(prefix, after, limit).await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.inner.remove_document(key).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.inner.series(query).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.inner.now().await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.inner.wakes()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

impl<App> fmt::Debug for Inline<App> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inline")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

impl<T: Task> fmt::Debug for Ran<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}
