//! `majordomo workers`: those that run.

use comfy_table::{Cell, Color};
use majordomo::core::time;

use crate::args::Global;
use crate::exit::{Exit, Problem};
use crate::open::{self, Missing};
use crate::output::{Output, first_line, short};
use crate::plain;

/// Characters of a list of names in the table.
const TEXT: usize = 48;

pub(crate) async fn run(global: &Global, output: &Output) -> Result<Exit, Problem> {
    let client = open::client(&open::url(global)?, Missing::Refuse).await?;
    let workers = client.workers().await?;
    if !output.is_table() {
        output.json_list(&workers)?;
        return Ok(Exit::Ok);
    }
    if workers.is_empty() {
        output.line("no workers")?;
        return Ok(Exit::Ok);
    }
    let now = client.storage().now().await?;
    let header = [
        "worker", "up", "seen", "version", "slots", "queues", "tasks",
    ];
    let mut table = output.table(&header);
    for worker in &workers {
        let version = worker.app_version.as_deref().unwrap_or_default();
        table.add_row([
            Cell::new(plain::line(&worker.name)),
            match worker.is_stopping {
                true => output.cell("stopping", Color::Yellow),
                false => Cell::new(short(time::between(worker.started_at, now))),
            },
            Cell::new(format!("{} ago", short(time::between(worker.seen_at, now)))),
            Cell::new(plain::line(version)),
            Cell::new(worker.concurrency),
            Cell::new(first_line(&worker.queues.join(", "), TEXT)),
            Cell::new(first_line(&worker.tasks.join(", "), TEXT)),
        ]);
    }
    output.line(table)?;
    Ok(Exit::Ok)
}
