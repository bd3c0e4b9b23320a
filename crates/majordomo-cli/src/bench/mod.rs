//! `majordomo bench`: how fast enqueueing, draining and picking up are, on a
//! fresh storage that is removed afterwards.
//!
//! Nothing is extrapolated. Every rate is a number of jobs that were stored or
//! ended, over the time it took; endings are counted by what the storage says,
//! and each job is looked at once more at the end.
//!
//! - `place`: the fresh file, its size, and its removal;
//! - `tasks`: what the jobs do, which is nothing;
//! - `enqueue`, `drain`, `pickup`: what is timed;
//! - `raw`: the same work by hand on the same file system, to compare with;
//! - `memory`: the most memory that this process has used;
//! - `report`: the results and how they are shown.

mod drain;
mod enqueue;
mod memory;
mod pickup;
mod place;
mod raw;
mod report;
mod tasks;

use majordomo::core::Durability;
use majordomo::{Client, shutdown};

use crate::args::{Bench, Global};
use crate::exit::{Exit, Problem};
use crate::open;
use crate::output::Output;
use place::Place;
use report::Report;

/// How many jobs are stored in one write, where they are stored in bulk.
const BATCH: usize = 500;

pub(crate) async fn run(
    options: &Bench,
    global: &Global,
    output: &Output,
) -> Result<Exit, Problem> {
    let place = Place::new(&open::url(global)?)?;
    let report = tokio::select! {
        report = measure(options, &place) => report?,
        () = shutdown::signal() => return Err(Problem::failed("the bench was interrupted")),
    };
    report.show(output)?;
    Ok(Exit::Ok)
}

async fn measure(options: &Bench, place: &Place) -> Result<Report, Problem> {
    let opened = place.open().await?;
    let size_when_empty = place.size();
    let client = Client::shared(opened.storage.clone());
    let durability = opened.storage.durability();

    // On the runtime's own threads, where a server's handlers enqueue from.
    let (samples, concurrency) = (options.samples, options.concurrency);
    let pickup = {
        let client = client.clone();
        let pickup =
            tokio::spawn(async move { pickup::measure(&client, samples, concurrency).await });
        pickup
            .await
            .map_err(|error| Problem::failed(format!("the pick-up failed: {error}")))??
    };
    enqueue::for_later(&client, options.future).await?;
    let enqueued = enqueue::measure(&client, options.jobs, options.producers).await?;
    let commits_before = opened.commits();
    let drained = drain::measure(&client, options.jobs, concurrency, options.work).await?;
    let commits = opened.commits().zip(commits_before);
    let peak_rss_mib = memory::peak_mib();
    drain::read_back(&client, options.jobs).await?;

    // Closed, the file holds all there is.
    drop((client, opened));
    let stored = options.jobs + options.samples + options.future;
    let storage_bytes_per_job = place
        .size()
        .zip(size_when_empty)
        .map(|(after, before)| after.saturating_sub(before) as f64 / f64::from(stored));
    let raw = match place.raw() {
        Some(raw) if options.raw => Some(raw::measure(raw, options.jobs).await?),
        _ => None,
    };
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        storage: place.url().to_string(),
        durability: said(durability),
        jobs: options.jobs,
        concurrency: options.concurrency,
        producers: options.producers,
        enqueue_single_per_s: enqueued.single,
        enqueue_concurrent_per_s: enqueued.concurrent,
        enqueue_bulk_per_s: enqueued.bulk,
        drain_per_s: drained.rate,
        future: options.future,
        handler_ms: drained.handler.map(|time| time.as_secs_f64() * 1000.0),
        slots_used: drained
            .handler
            .map(|time| drained.rate * time.as_secs_f64() / concurrency as f64),
        pickup_p50_ms: pickup.p50,
        pickup_p99_ms: pickup.p99,
        peak_rss_mib,
        storage_bytes_per_job,
        commits_per_job: commits
            .map(|(after, before)| (after - before) as f64 / f64::from(options.jobs)),
        raw_insert_per_s: raw.as_ref().map(|raw| raw.insert),
        raw_bulk_per_s: raw.as_ref().map(|raw| raw.bulk),
        raw_cycle_per_s: raw.as_ref().map(|raw| raw.cycle),
    })
}

fn said(durability: Durability) -> &'static str {
    match durability {
        Durability::Volatile => "volatile",
        Durability::ProcessCrash => "process_crash",
        Durability::PowerLoss => "power_loss",
        Durability::Replicated => "replicated",
    }
}

/// So many in this time, as a rate.
fn per_second(count: u32, took: std::time::Duration) -> f64 {
    f64::from(count) / took.as_secs_f64().max(1e-9)
}
