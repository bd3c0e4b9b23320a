//! How fast waiting jobs that do nothing are claimed, run and ended.
//!
//! The clock runs from the start of the worker until the storage's statistics,
//! which are written in the transaction of the ending, count every job. Each job
//! can be read back afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use majordomo::core::series::{By, Query, Width};
use majordomo::core::{Timestamp, limits, time};
use majordomo::{Client, Filter, Order, State, Task};
use tokio::sync::mpsc::unbounded_channel;

use super::per_second;
use super::tasks::{self, App, LATER, Nothing};
use crate::exit::Problem;

/// Between two looks at how many have ended.
const LOOK: Duration = Duration::from_millis(2);
/// If nothing ends for this long, something is wrong.
const STALL: Duration = Duration::from_secs(60);

/// What was measured.
pub(super) struct Drained {
    /// Jobs a second.
    pub(super) rate: f64,
    /// How long a handler took on average, if it had work to do.
    pub(super) handler: Option<Duration>,
}

/// Drains. There must be so many waiting jobs that do nothing.
pub(super) async fn measure(
    client: &Client,
    jobs: u32,
    concurrency: usize,
    work: Option<Duration>,
) -> Result<Drained, Problem> {
    let from = client.storage().now().await?;
    let before = completed(client, from).await?;
    let (began, _) = unbounded_channel();
    let app = Arc::new(App {
        began,
        work,
        worked: AtomicU64::new(0),
    });
    let clock = Instant::now();
    let mut running = tasks::worker(client, &app, concurrency).start().await?;
    let (mut ended, mut last_news) = (0, Instant::now());
    while ended < u64::from(jobs) {
        tokio::time::sleep(LOOK).await;
        let seen = completed(client, from).await? - before;
        if seen > ended {
            (ended, last_news) = (seen, Instant::now());
        } else if last_news.elapsed() > STALL {
            return Err(Problem::failed(format!(
                "{ended} of {jobs} jobs have ended, and none for {} s",
                STALL.as_secs()
            )));
        }
    }
    let took = clock.elapsed();
    running.stop();
    running.wait().await?;
    let worked = Duration::from_nanos(app.worked.load(Ordering::Relaxed));
    Ok(Drained {
        rate: per_second(jobs, took),
        handler: work.map(|_| worked / jobs.max(1)),
    })
}

/// How many jobs that do nothing have completed since the minute of `from`.
async fn completed(client: &Client, from: Timestamp) -> Result<u64, Problem> {
    let query = Query {
        by: By::Task,
        from,
        to: time::after(from, Duration::from_secs(24 * 3600)),
        width: Width::Day,
    };
    let buckets = client.storage().series(&query).await?;
    let mine = buckets.iter().filter(|bucket| bucket.name == Nothing::NAME);
    Ok(mine.map(|bucket| bucket.tally.completed).sum())
}

/// Reads every job: each must be completed, at its first attempt.
pub(super) async fn read_back(client: &Client, jobs: u32) -> Result<(), Problem> {
    let all = Filter::all().task(Nothing::NAME);
    let (order, mut after, mut good) = (Order::default(), None, 0_u32);
    loop {
        let page = client.find(&all, order, after, limits::PAGE).await?;
        for job in &page.items {
            if job.tags.iter().any(|tag| tag == LATER) {
                continue;
            }
            // A job that was claimed ahead and given back has not been charged.
            if job.state != State::Completed || job.charged > 0 {
                return Err(Problem::failed(format!(
                    "job {} is {} after {} attempts, so nothing was measured",
                    job.id,
                    job.state,
                    job.charged + 1
                )));
            }
            good += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if good == jobs {
        Ok(())
    } else {
        Err(Problem::failed(format!(
            "{good} of {jobs} jobs are there, so nothing was measured"
        )))
    }
}
