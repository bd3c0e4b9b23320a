//! A job that is run by the very program that enqueues it.

use std::sync::Arc;

use majordomo_core::{Error, ErrorKind, JobId, Task};

use crate::client::{Client, NotCompleted};
use crate::run::Run;

use super::Worker;

impl Client {
    /// Runs a task here and now, and returns what it returned. It is a job like
    /// any other, with its lease, progress and history, but no other worker
    /// takes it, and it gets one attempt: if that fails, the job is dead, and
    /// whoever called decides.
    ///
    /// The job is enqueued into a queue of its own, `inline/<id>`, and a worker
    /// of its own runs it with `app`. If this future is dropped, the attempt may
    /// still end in the background. Pauses and limits of the task count here too.
    ///
    /// # Errors
    /// [`NotCompleted`] says how else it ended; also with the storage's error
    /// if it could not be enqueued.
    pub async fn run_inline<App, T>(
        &self,
        task: T,
        app: Arc<App>,
    ) -> Result<T::Output, NotCompleted>
    where
        App: Send + Sync + 'static,
        T: Run<App> + Task,
    {
        let id = JobId::new();
        let queue = format!("inline/{id}");
        let job = self.enqueue(task).id(id).queue(queue.clone()).attempts(1);
        let worker = Worker::shared(self, app)
            .handle::<T>()
            .queue(queue)
            .name(format!("inline/{id}"))
            .concurrency(1);
        let handle = job.await.map_err(NotCompleted::Storage)?;
        if !handle.is_new() {
            let message = format!("nothing was run: job `{}` holds its key", handle.id());
            let error = Error::new(ErrorKind::Conflict, message).hint("wait for that job");
            return Err(NotCompleted::Storage(error));
        }
        let mut running = worker.start().await.map_err(NotCompleted::Storage)?;
        let result = handle.result().await;
        running.stop();
        running.wait().await.map_err(NotCompleted::Storage)?;
        result
    }
}
