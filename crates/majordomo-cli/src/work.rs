//! `majordomo worker`: a worker with the built-in tasks.

use std::time::Instant;

use majordomo::{Client, Running, Worker, shutdown};
use serde_json::json;

use crate::args::{Global, Worker as Options};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::{Output, short};
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
    let mut running = worker(&client, *options).start().await?;
    let began = Instant::now();
    told(&client, &running, &queues, output)?;
    until_told_to_stop(&mut running).await?;
    let name = running.name();
    if output.is_table() {
        output.line(format_args!(
            "worker {name} stopped after {}",
            short(began.elapsed())
        ))?;
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
    let (name, kept) = (running.name(), open::durability(&**storage));
    let names = tasks::records().map(|record| record.name);
    if output.is_table() {
        let (queues, names) = (queues.join(", "), names.join(", "));
        output.line(format_args!(
            "worker {name} runs {names} from {queues} in {} ({kept}); stop it with Ctrl-C",
            storage.name()
        ))?;
    } else {
        output.json(&json!({
            "event": "started", "worker": name, "storage": storage.name(), "durability": kept,
            "queues": queues, "tasks": names,
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
