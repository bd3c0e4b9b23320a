//! How fast jobs are stored: by one caller, by many at once, and in bulk. All
//! of them together are the jobs that are drained afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use majordomo::Client;
use tokio::task::JoinSet;

use super::tasks::{LATER, Nothing};
use super::{BATCH, per_second};
use crate::exit::Problem;

/// One caller stores at most this many, one after the other.
const SINGLE: u32 = 1000;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Many callers store at most this many.
const CONCURRENT: u32 = 20_000;

/// Jobs a second.
pub(super) struct Enqueued {
    pub(super) single: f64,
    pub(super) concurrent: f64,
    pub(super) bulk: f64,
}

/// Stores so many jobs in all.
pub(super) async fn measure(
    client: &Client,
    jobs: u32,
    producers: usize,
) -> Result<Enqueued, Problem> {
    let single = (jobs / 10).clamp(1, SINGLE);
    let concurrent = (jobs / 4).clamp(1, CONCURRENT);
    let bulk = jobs - single - concurrent;
    Ok(Enqueued {
        single: one_caller(client, single).await?,
        concurrent: many_callers(client, concurrent, producers).await?,
        bulk: in_bulk(client, bulk).await?,
    })
}

/// Stores so many jobs that are due in a year, so that claims have them beside them.
pub(super) async fn for_later(client: &Client, jobs: u32) -> Result<(), Problem> {
    let mut numbers = 0..jobs;
    while !numbers.is_empty() {
        let batch = numbers.by_ref().take(BATCH).map(|number| {
            let job = client.enqueue(Nothing { number }).after(YEAR);
            job.tags([LATER]).build()
        });
        client.insert(batch.collect::<Result<_, _>>()?).await?;
    }
    Ok(())
}

async fn one_caller(client: &Client, jobs: u32) -> Result<f64, Problem> {
    let began = Instant::now();
    for number in 0..jobs {
        client.enqueue(Nothing { number }).await?;
    }
    Ok(per_second(jobs, began.elapsed()))
}

/// Each caller waits for its job to be stored before it comes with the next.
async fn many_callers(client: &Client, jobs: u32, producers: usize) -> Result<f64, Problem> {
    let next = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    let began = Instant::now();
    for _ in 0..producers {
        let (client, next) = (client.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return Ok::<(), Problem>(());
                }
                client.enqueue(Nothing { number }).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.map_err(|error| Problem::failed(format!("a caller failed: {error}")))??;
    }
    Ok(per_second(jobs, began.elapsed()))
}

/// One caller, many jobs in each call.
async fn in_bulk(client: &Client, jobs: u32) -> Result<f64, Problem> {
    let mut numbers = 0..jobs;
    let began = Instant::now();
    while !numbers.is_empty() {
        let batch = numbers.by_ref().take(BATCH);
        client
            .enqueue_many(batch.map(|number| Nothing { number }))
            .await?;
    }
    Ok(per_second(jobs, began.elapsed()))
}
