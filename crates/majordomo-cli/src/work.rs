//! `majordomo worker`: a worker with the built-in tasks.

use std::time::{Duration, Instant};

use majordomo::{Client, Running, Worker, shutdown};
use serde_json::json;

use crate::args::{Global, Worker as Options};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::{Output, short};
use crate::plain;
use crate::tasks;

pub(crate) async fn run(
    options: Box<Options>,
    global: &Global,
    output: &Output,
) -> Result<Exit, Problem> {
    let client = open::client(&open::url(global)?, Missing::Make).await?;
    let queues = match &options.queues[..] {
        [] => vec![majordomo::core::job::DEFAULT_QUEUE.to_owned()],
        queues => queues.to_vec(),
    };
    let mut running = worker(&client, coherent(*options)).start().await?;
    let began = Instant::now();
    told(&client, &running, &queues, output)?;
    until_told_to_stop(&mut running).await?;
    let name = running.name();
    if output.is_table() {
        let took = short(began.elapsed());
        output.line(plain::line(&format!("worker {name} stopped after {took}")))?;
    } else {
        output.json(&json!({ "event": "stopped", "worker": name, "seconds": began.elapsed().as_secs_f64() }))?;
    }
    Ok(Exit::Ok)
}

fn worker(client: &Client, options: Options) -> Worker<()> {
    let mut worker = tasks::handle(Worker::new(client, ()));
    for queue in options.queues {
        worker = worker.queue(queue);
    }
    worker = with(worker, options.name, Worker::name);
    worker = with(worker, options.concurrency, Worker::concurrency);
    worker = with(worker, options.lease, Worker::lease);
    worker = with(worker, options.heartbeat, Worker::heartbeat);
    worker = with(worker, options.sweep, Worker::sweep);
    worker = with(worker, options.poll, Worker::poll);
    worker = with(worker, options.drain, Worker::drain);
    with(worker, options.timeout, Worker::timeout)
}

/// The longest that may be said.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Fits the times that hang together to the one that was given: a lease is renewed three times
/// before it runs out, and one that is lost is found about as soon as it has run out. With
/// nothing given these are the worker's own defaults.
fn coherent(mut options: Options) -> Options {
    const LEASE: Duration = Duration::from_secs(30);
    const HEARTBEAT: Duration = Duration::from_secs(10);
    const SWEEP: Duration = Duration::from_secs(5);
    let lease = options.lease.unwrap_or_else(|| {
        let needed = options.heartbeat.unwrap_or_default().saturating_mul(3);
        needed.clamp(LEASE, LONGEST)
    });
    options.lease = Some(lease);
    options.heartbeat = options.heartbeat.or(Some(HEARTBEAT.min(lease / 3)));
    options.sweep = options.sweep.or(Some(SWEEP.min(lease)));
    options
}

/// Sets what was given, and leaves the rest to the worker.
fn with<T>(
    worker: Worker<()>,
    value: Option<T>,
    set: fn(Worker<()>, T) -> Worker<()>,
) -> Worker<()> {
    match value {
        Some(value) => set(worker, value),
        None => worker,
    }
}

fn told(
    client: &Client,
    running: &Running,
    queues: &[String],
    output: &Output,
) -> Result<(), Problem> {
    let storage = client.storage();
    let name = running.name();
    let (kept, promise) = (
        open::durability_word(&**storage),
        open::durability(&**storage),
    );
    let names = tasks::records().map(|record| record.name);
    if output.is_table() {
        let (queues, names) = (queues.join(", "), names.join(", "));
        let option = match kept {
            "full" | "relaxed" => format!("durability={kept}"),
            other => other.to_owned(),
        };
        output.line(plain::line(&format!(
            "worker {name} runs {names} from {queues} in {} ({option}: {promise}); stop it with Ctrl-C",
            storage.name()
        )))?;
    } else {
        output.json(&json!({
            "event": "started", "worker": name, "storage": storage.name(), "durability": kept,
            "promise": promise, "queues": queues, "tasks": names,
        }))?;
    }
    if storage.name() == "memory" {
        warn(
            "hint",
            "no other process can see a `memory:` storage, so nothing will come; use `sqlite:PATH`",
        );
    }
    Ok(())
}

/// The first signal drains, the second one ends it at once.
async fn until_told_to_stop(running: &mut Running) -> Result<(), Problem> {
    tokio::select! {
        () = shutdown::signal() => running.stop(),
        ended = running.wait() => return Ok(ended?),
    }
    tokio::select! {
        () = shutdown::signal() => running.stop_now(),
        ended = running.wait() => return Ok(ended?),
    }
    Ok(running.wait().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_fits_to_what_was() {
        let of = |lease: u64, heartbeat: u64, sweep: u64| {
            let given = |seconds| (seconds > 0).then_some(Duration::from_secs(seconds));
            let fitted = coherent(Options {
                queues: Vec::new(),
                concurrency: None,
                name: None,
                lease: given(lease),
                heartbeat: given(heartbeat),
                sweep: given(sweep),
                poll: None,
                drain: None,
                timeout: None,
            });
            [fitted.lease, fitted.heartbeat, fitted.sweep]
                .map(|time| time.map_or(0, |time| time.as_secs()))
        };
        // Lease, heartbeat and sweep in seconds; 0 is not said.
        assert_eq!(of(0, 0, 0), [30, 10, 5]);
        assert_eq!(of(3, 0, 0), [3, 1, 3]);
        assert_eq!(of(600, 0, 0), [600, 10, 5]);
        assert_eq!(of(0, 4, 0), [30, 4, 5]);
        assert_eq!(of(0, 20, 0), [60, 20, 5]);
        assert_eq!(
            of(5, 9, 7),
            [5, 9, 7],
            "what was said stays, right or wrong"
        );
    }
}
