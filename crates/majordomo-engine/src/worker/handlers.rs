//! Which task is run by what: typed at the door, erased inside.

use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::job::Failure;
use majordomo_core::payload::check_value;
use majordomo_core::{DeadReason, Error, Job, Result, Task, job::DEFAULT_QUEUE, limits};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::client::TaskRecord;
use crate::context::Context;
use crate::run::{Run, RunBlocking};
use crate::task_error::TaskError;

use super::app::{Close, Source};
use super::queue::Queue;

/// An attempt in the making: its future, whether dropping that stops it, and
/// what is to be done afterwards.
pub(super) struct Work {
    pub(super) future: Pin<Box<dyn Future<Output = Result<Value, TaskError>> + Send>>,
    pub(super) droppable: bool,
    pub(super) close: Option<Close>,
}

/// Why an attempt can't even begin.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) reason: DeadReason,
    pub(super) message: String,
}

/// What runs the jobs of a task.
pub(super) trait Handler<App>: Send + Sync {
    fn start(&self, app: &Source<App>, cx: Context) -> Result<Work, Unfit>;
    fn retry_delay(&self, attempt: u32, failure: &Failure) -> Option<Duration>;
}

/// The tasks that a worker knows.
pub(super) struct Handlers<App> {
    known: HashMap<&'static str, Arc<dyn Handler<App>>>,
    /// Each name with the Rust type that took it, in order, doubles included.
    names: Vec<(&'static str, &'static str)>,
    records: Vec<TaskRecord>,
}

impl<App: Send + Sync + 'static> Handlers<App> {
    pub(super) fn new() -> Self {
        Self {
            known: HashMap::new(),
            names: Vec::new(),
            records: Vec::new(),
        }
    }

    pub(super) fn add<T: Run<App>>(&mut self) {
        self.insert::<T>(Arc::new(Async::<T>(PhantomData)));
    }

    pub(super) fn add_blocking<T: RunBlocking<App>>(&mut self) {
        self.insert::<T>(Arc::new(Blocking::<T>(PhantomData)));
    }

    fn insert<T: Task>(&mut self, handler: Arc<dyn Handler<App>>) {
        for name in std::iter::once(T::NAME).chain(T::ALIASES.iter().copied()) {
            self.names.push((name, std::any::type_name::<T>()));
            self.known.insert(name, Arc::clone(&handler));
        }
        self.records.push(TaskRecord::of::<T>());
    }

    /// Refuses names that two tasks share.
    pub(super) fn check(&self) -> Result<()> {
        if self.names.is_empty() {
            return Err(Error::invalid("the worker handles no task")
                .hint("add one with `.handle::<MyTask>()`"));
        }
        for (index, (name, second)) in self.names.iter().enumerate() {
            limits::check_name("task", name)?;
            if let Some((_, first)) = self.names[..index]
                .iter()
                .find(|(earlier, _)| earlier == name)
            {
                return Err(Error::invalid(format!(
                    "the task name `{name}` is taken twice: by `{first}` and by `{second}`"
                ))
                .hint("give one of them another `NAME`, or remove an alias"));
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, task: &str) -> Option<&Arc<dyn Handler<App>>> {
        self.known.get(task)
    }

    /// The names to claim by.
    pub(super) fn tasks(&self) -> Vec<String> {
        self.names
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect()
    }

    /// The queues that the tasks name, and the default one.
    pub(super) fn queues(&self) -> Vec<Queue> {
        let mut queues = vec![Queue::new(DEFAULT_QUEUE)];
        for record in &self.records {
            if !queues.iter().any(|queue| queue.name == record.spec.queue) {
                queues.push(Queue::new(&record.spec.queue));
            }
        }
        queues
    }

    pub(super) fn records(&self) -> Vec<TaskRecord> {
        self.records.clone()
    }
}

struct Async<T>(PhantomData<fn() -> T>);
struct Blocking<T>(PhantomData<fn() -> T>);

impl<App: Send + Sync + 'static, T: Run<App>> Handler<App> for Async<T> {
    fn start(&self, app: &Source<App>, cx: Context) -> Result<Work, Unfit> {
        let task = decode::<T>(cx.job())?;
        let app = app.hold();
        let close = app.closing();
        let future = Box::pin(async move {
            app.ready(&cx).await?;
            output(&task.run(app.app(), &cx).await?)
        });
        Ok(Work {
            future,
            droppable: true,
            close,
        })
    }

    fn retry_delay(&self, attempt: u32, failure: &Failure) -> Option<Duration> {
        T::retry_delay(attempt, failure)
    }
}

impl<App: Send + Sync + 'static, T: RunBlocking<App>> Handler<App> for Blocking<T> {
    fn start(&self, app: &Source<App>, cx: Context) -> Result<Work, Unfit> {
        let task = decode::<T>(cx.job())?;
        let app = app.hold();
        let close = app.closing();
        let future = Box::pin(async move {
            tokio::select! {
                biased;
                ready = app.ready(&cx) => ready?,
                // There is no thread yet to wait for.
                reason = cx.cancelled() => return Err(TaskError::told_to_stop(reason)),
            }
            on_a_thread(move || output(&task.run(app.app(), &cx)?)).await
        });
        Ok(Work {
            future,
            droppable: false,
            close,
        })
    }

    fn retry_delay(&self, attempt: u32, failure: &Failure) -> Option<Duration> {
        T::retry_delay(attempt, failure)
    }
}

/// Runs blocking work on a thread of its own: not one of the runtime's, whose
/// end would wait for it, so that a program can always end.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Value, TaskError> + Send + 'static,
) -> Result<Value, TaskError> {
    let (report, ended) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let span = tracing::Span::current();
    let body = move || {
        let _guard = runtime.enter();
        let _span = span.enter();
        // Nobody listens any more if the worker has given the job back.
        let _ = report.send(catch_unwind(AssertUnwindSafe(work)));
    };
    std::thread::Builder::new()
        .name("majordomo-blocking".to_owned())
        .spawn(body)
        .map_err(|error| TaskError::from(error).context("cannot start a thread"))?;
    match ended.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(TaskError::new("the thread ended without a result")),
    }
}

fn output<T: serde::Serialize>(output: &T) -> Result<Value, TaskError> {
    let value = serde_json::to_value(output)
        .map_err(|error| TaskError::permanent(error).context("cannot write the output as JSON"))?;
    // What most tasks return is within any limit, and writing it out to see costs as much.
    if !matches!(value, Value::Null | Value::Bool(_)) {
        check_value("the output", &value, limits::OUTPUT).map_err(TaskError::permanent)?;
    }
    Ok(value)
}

fn decode<T: Task>(job: &Job) -> Result<T, Unfit> {
    if job.version > T::VERSION {
        let message = format!(
            "the payload of task `{}` is of version {}, this worker knows versions up to {}",
            job.task,
            job.version,
            T::VERSION
        );
        return Err(Unfit {
            reason: DeadReason::UnsupportedPayloadVersion,
            message,
        });
    }
    job.payload.decode().map_err(|problem| Unfit {
        reason: DeadReason::DecodeError,
        message: format!(
            "the payload of task `{}` does not decode: {problem}",
            job.task
        ),
    })
}
