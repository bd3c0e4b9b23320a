//! `majordomo worker`: a worker with the built-in tasks.

use std::time::Instant;

use majordomo::{Client, Running, Worker, shutdown};
use serde_json::json;

use crate::args::{Global, Worker as Options};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::{Output, short};
use crate::tasks;

pub(crate) async fn run(options: Box<Options>, global: &Global, output: &mut Output) -> Result<Exit, Problem> {
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
        output.line(format_args!("worker {name} stopped after {}", short(began.elapsed())))?;
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
    if let Some(jobs) = options.concurrency {
        worker = worker.concurrency(jobs);
    }
    if let Some(name) = options.name {
        worker = worker.name(name);
    }
    let durations: [(_, fn(Worker<()>, _) -> Worker<()>); 6] = [
        (options.lease, Worker::lease),
        (options.heartbeat, Worker::heartbeat),
        (options.sweep, Worker::sweep),
        (options.poll, Worker::poll),
        (options.drain, Worker::drain),
        (options.timeout, Worker::timeout),
    ];
    for (duration, set) in durations {
        if let Some(duration) = duration {
            worker = set(worker, duration);
        }
    }
    worker
}

fn told(client: &Client, running: &Running, queues: &[String], output: &Output) -> Result<(), Problem> {
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
        warn("hint", "no other process can see a `memory:` storage, so nothing will come; use `sqlite:PATH`");
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
