//! `majordomo job enqueue`

use majordomo::core::{Inserted, Payload};
use majordomo::{Client, Hold, JobId, NewJob, TaskRecord, When};
use serde_json::json;

use super::{known, payload, wait};
use crate::args::Enqueue;
use crate::exit::{Exit, Problem, warn};
use crate::output::Output;

/// How many jobs are stored in one write.
const BATCH: usize = 500;

pub(super) async fn run(client: &Client, options: Enqueue, output: &Output) -> Result<Exit, Problem> {
    if client.storage().name() == "memory" {
        if options.wait {
            return Err(Problem::usage("`--wait` would wait for ever: no worker can see a `memory:` storage")
                .hint("use `--storage sqlite:PATH`"));
        }
        warn("hint", "what is in a `memory:` storage is gone when this command ends; use `--storage sqlite:PATH`");
    }
    let task = if options.force { None } else { Some(known::task(client, &options.task).await?) };
    let (payload, value) = payload::read(options.payload.as_deref(), task.as_ref())?;
    if let Some(task) = &task {
        payload::fit(&value, task)?;
    }
    let job = with_options(job_of(&options.task, task.as_ref(), payload), &options);
    job.check()?;
    let stored = insert(client, &job, options.count, output).await?;
    let exit = if stored.iter().any(|(_, is_new)| !is_new) {
        warn("error", "the key is held by an unfinished job, which is named instead");
        Exit::Refused
    } else {
        Exit::Ok
    };
    if options.wait {
        let ids: Vec<JobId> = stored.iter().map(|&(id, _)| id).collect();
        let ended = wait::for_all(client, &ids, output).await?;
        return Ok(if exit == Exit::Ok { ended } else { exit });
    }
    Ok(exit)
}

/// A job with the defaults that its task names.
fn job_of(name: &str, task: Option<&TaskRecord>, payload: Payload) -> NewJob {
    let Some(task) = task else { return NewJob::new(name, payload) };
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
    job.due = options.after.map(When::In).or(options.at.map(When::At)).unwrap_or(job.due);
    job.expires = options.expires_in.map(When::In).or(job.expires);
    job.queue = options.queue.clone().unwrap_or(job.queue);
    job.priority = options.priority.unwrap_or(job.priority);
    job.max_attempts = options.attempts.unwrap_or(job.max_attempts);
    job.backoff = options.backoff().unwrap_or(job.backoff);
    job.timeout = options.timeout.or(job.timeout);
    // The same key that a program's `.unique(key)` takes, so that they exclude each other.
    job.holds.extend(options.unique.as_ref().map(|key| Hold::new(format!("{}/{key}", job.task))));
    job.tags.extend(&options.tags);
    job.metadata.extend(options.metadata.iter().cloned());
    job.actor = options.actor.clone();
    job.tenant = options.tenant.clone();
    job
}

/// Stores as many such jobs, and prints the ids as they are stored. Answers
/// with each id, and whether it is that of a new job.
async fn insert(client: &Client, job: &NewJob, count: u32, output: &Output) -> Result<Vec<(JobId, bool)>, Problem> {
    let mut stored = Vec::new();
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let mut next_id = Some(job.id);
    while left > 0 {
        let id = || next_id.take().unwrap_or_else(JobId::new);
        let batch: Vec<NewJob> =
            std::iter::repeat_with(id).take(left.min(BATCH)).map(|id| NewJob { id, ..job.clone() }).collect();
        left -= batch.len();
        let ids: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        let answers = client.insert(batch).await?;
        let start = stored.len();
        stored.extend(ids.into_iter().zip(answers).map(|(id, inserted)| match inserted {
            Inserted::New => (id, true),
            // Its own id: an earlier command stored the same job.
            Inserted::Existing(existing) => (existing, existing == id),
        }));
        if output.is_table() {
            stored[start..].iter().try_for_each(|(id, _)| output.line(id))?;
        }
    }
    if !output.is_table() {
        let entries: Vec<_> = stored.iter().map(|(id, is_new)| json!({ "id": id, "new": is_new })).collect();
        output.json_list(&entries)?;
    }
    Ok(stored)
}
