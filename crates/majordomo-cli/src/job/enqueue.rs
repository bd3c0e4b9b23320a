//! `majordomo job enqueue`

use majordomo::core::{Inserted, Payload};
use majordomo::url::StorageUrl;
use majordomo::{Client, Hold, JobId, NewJob, TaskRecord, When};
use serde::Serialize;

use super::{known, payload, wait};
use crate::args::Enqueue;
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::Output;

/// How many jobs are stored in one write, at most.
const BATCH: usize = 500;
/// How many bytes of payload are stored in one write, but for one large job.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

pub(super) async fn run(
    url: &StorageUrl,
    options: Enqueue,
    output: &Output,
) -> Result<Exit, Problem> {
    if *url == StorageUrl::Memory {
        if options.wait.is_some() {
            return Err(Problem::usage(
                "`--wait` would wait for ever: no worker can see a `memory:` storage",
            )
            .hint("use `--storage sqlite:PATH`"));
        }
        warn(
            "hint",
            "what is in a `memory:` storage is gone when this command ends; use `--storage sqlite:PATH`",
        );
    }
    let (client, job) = if open::exists(url) {
        payload::check(options.payload.as_deref())?;
        let client = open::client(url, Missing::Make).await?;
        let registered = client.task_records().await?;
        let job = wanted(&options, registered.into_values(), url)?;
        (client, job)
    } else {
        // No task is registered there yet, so that a mistake is seen before it makes a file.
        let job = wanted(&options, [], url)?;
        (open::client(url, Missing::Make).await?, job)
    };
    let mut stored = Vec::new();
    let inserted = insert(&client, &job, options.count, &mut stored, output).await;
    if !output.is_table() {
        // Also if a later write failed: these are stored all the same.
        output.json_list(&stored)?;
    }
    inserted?;
    let is_held = stored.iter().any(|stored| !stored.new);
    if let (Some(holder), Some(key)) = (stored.iter().find(|stored| !stored.new), &options.unique) {
        let message = format!(
            "the key `{key}` is held by the unfinished job {}",
            holder.id
        );
        warn("error", &message);
        warn(
            "hint",
            "wait until it has ended, cancel it, or choose another key",
        );
    }
    let ids: Vec<JobId> = stored.iter().map(|stored| stored.id).collect();
    let ended = match options.wait {
        Some(limit) => wait::for_all(&client, &ids, limit, output).await?,
        None => Exit::Ok,
    };
    Ok(if is_held { Exit::Refused } else { ended })
}

/// The job that was typed, if nothing is wrong with it.
fn wanted(
    options: &Enqueue,
    registered: impl IntoIterator<Item = TaskRecord>,
    url: &StorageUrl,
) -> Result<NewJob, Problem> {
    let task = match known::task(&options.task, registered, url) {
        Ok(task) => Some(task),
        Err(_) if options.force => None,
        Err(problem) => return Err(problem),
    };
    let (payload, value) = payload::read(options.payload.as_deref(), task.as_ref())?;
    if let Some(task) = task.as_ref().filter(|_| !options.force) {
        payload::fit(&value, task)?;
    }
    let job = with_options(job_of(&options.task, task.as_ref(), payload), options);
    job.check()?;
    Ok(job)
}

/// A job with the defaults that its task names.
fn job_of(name: &str, task: Option<&TaskRecord>, payload: Payload) -> NewJob {
    let Some(task) = task else {
        return NewJob::new(name, payload);
    };
    let spec = task.spec.clone();
    NewJob {
        version: task.version,
        queue: spec.queue,
        priority: spec.priority,
        max_attempts: spec.max_attempts,
        backoff: spec.backoff,
        timeout: spec.timeout,
        expires: spec.expires_in.map(When::In),
        retention: spec.retention,
        tags: spec.tags,
        ..NewJob::new(&task.name, payload)
    }
}

fn with_options(mut job: NewJob, options: &Enqueue) -> NewJob {
    job.id = options.id.unwrap_or(job.id);
    job.due = options
        .after
        .map(When::In)
        .or(options.at.map(When::At))
        .unwrap_or(job.due);
    job.expires = options
        .expires_in
        .map(When::In)
        .or(options.expires_at.map(When::At))
        .or(job.expires);
    job.queue = options.queue.clone().unwrap_or(job.queue);
    job.priority = options.priority.unwrap_or(job.priority);
    job.max_attempts = options.attempts.unwrap_or(job.max_attempts);
    job.backoff = options.backoff().unwrap_or(job.backoff);
    job.timeout = options.timeout.or(job.timeout);
    // The same key that a program's `.unique(key)` takes, so that they exclude each other.
    job.holds.extend(
        options
            .unique
            .as_ref()
            .map(|key| Hold::new(format!("{}/{key}", job.task))),
    );
    job.tags.extend(&options.tags);
    job.metadata.extend(options.metadata.iter().cloned());
    job.actor = options.actor.clone();
    job.tenant = options.tenant.clone();
    job
}

/// What became of an enqueue.
#[derive(Serialize)]
struct Stored {
    id: JobId,
    /// Whether it is this job, and not another one that held its key already.
    new: bool,
}

/// Stores as many such jobs. For people it prints the ids as they are stored.
async fn insert(
    client: &Client,
    job: &NewJob,
    count: u32,
    stored: &mut Vec<Stored>,
    output: &Output,
) -> Result<(), Problem> {
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let most = (BATCH_BYTES / job.payload.bytes.len().max(1)).clamp(1, BATCH);
    let mut next_id = Some(job.id);
    let mut told = Ok(());
    while left > 0 {
        let id = || next_id.take().unwrap_or_else(JobId::new);
        let batch: Vec<NewJob> = std::iter::repeat_with(id)
            .take(left.min(most))
            .map(|id| NewJob { id, ..job.clone() })
            .collect();
        left -= batch.len();
        let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        for (id, inserted) in ids.into_iter().zip(client.insert(batch).await?) {
            let (id, new) = match inserted {
                Inserted::New => (id, true),
                // Its own id: an earlier command stored the same job.
                Inserted::Existing(existing) => (existing, existing == id),
            };
            // A closed pipe must not leave half of the jobs out.
            if output.is_table() && told.is_ok() {
                told = output.line(id);
            }
            stored.push(Stored { id, new });
        }
    }
    told
}
