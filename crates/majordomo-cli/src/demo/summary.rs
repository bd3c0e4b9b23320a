//! What the demo tells at its start and at its end.

use std::path::Path;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Color};
use majordomo::url::StorageUrl;
use majordomo::{Client, Filter, Order, State};
use serde_json::json;

use super::plan::Plan;
use super::verdict::Row;
use crate::exit::{Exit, Problem};
use crate::open;
use crate::output::Output;
use crate::plain;

/// Tells where the jobs are kept, and who runs them.
pub(super) fn opening(
    client: &Client,
    worker: &str,
    plan: &Plan,
    output: &Output,
) -> Result<(), Problem> {
    if !output.is_table() {
        return Ok(());
    }
    let storage = client.storage();
    output.line(format_args!(
        "storage  {} ({})",
        storage.name(),
        open::durability(&**storage)
    ))?;
    output.line(format_args!(
        "worker   {worker}, {} jobs at once",
        super::CONCURRENCY
    ))?;
    output.line(format_args!(
        "jobs     {} in the queue {}\n",
        plan.jobs.len(),
        plan.queue
    ))
}

/// The end of a run.
pub(super) struct Summary<'a> {
    pub(super) plan: &'a Plan,
    pub(super) url: &'a StorageUrl,
    pub(super) rows: &'a [Row],
    /// From the first enqueue to the last ending.
    pub(super) took: Duration,
}

impl Summary<'_> {
    /// Tells what happened, and how to exit.
    pub(super) async fn show(&self, client: &Client, output: &Output) -> Result<Exit, Problem> {
        let is_fine = self.rows.iter().all(|row| row.differences.is_empty());
        let told = self.tell(is_fine, client, output).await;
        if is_fine {
            return told.map(|()| Exit::Ok);
        }
        // Whoever closed standard output early must not take this for a success.
        if let Err(problem) = told {
            problem.report();
        }
        Ok(Exit::Failed)
    }

    async fn tell(&self, is_fine: bool, client: &Client, output: &Output) -> Result<(), Problem> {
        if output.is_table() {
            self.table(output)?;
            self.words(is_fine, output)?;
            return self.look_closer(client, output).await;
        }
        output.json(&json!({
            "run": self.plan.run, "queue": self.plan.queue, "storage": self.url.to_string(),
            "jobs": self.plan.jobs.len(), "seconds": self.took.as_secs_f64(),
            "as_expected": is_fine, "kinds": self.rows,
        }))
    }

    fn table(&self, output: &Output) -> Result<(), Problem> {
        let header = [
            "kind",
            "jobs",
            "completed",
            "dead",
            "cancelled",
            "expired",
            "attempts",
            "verdict",
        ];
        let mut table = output.table(&header);
        for row in self.rows {
            let number = |number: usize| Cell::new(number).set_alignment(CellAlignment::Right);
            let verdict = match row.differences.len() {
                0 => output.cell("as expected", Color::Green),
                _ => output.cell("not as expected", Color::Red),
            };
            table.add_row([
                Cell::new(row.kind),
                number(row.jobs),
                number(row.completed),
                number(row.dead),
                number(row.cancelled),
                number(row.expired),
                number(row.attempts),
                verdict,
            ]);
        }
        output.line(format_args!("\n{table}"))
    }

    fn words(&self, is_fine: bool, output: &Output) -> Result<(), Problem> {
        for row in self.rows {
            row.differences.iter().try_for_each(|what| {
                output.line(format_args!("{}: {}", row.kind, plain::line(what)))
            })?;
        }
        let attempts: usize = self.rows.iter().map(|row| row.attempts).sum();
        let jobs = self.plan.jobs.len();
        output.line(format_args!(
            "{jobs} jobs and {attempts} attempts in {:.1} s",
            self.took.as_secs_f64()
        ))?;
        output.line(if is_fine {
            "Every job ended as it should."
        } else {
            "Some jobs did not end as they should."
        })
    }

    async fn look_closer(&self, client: &Client, output: &Output) -> Result<(), Problem> {
        if *self.url == StorageUrl::Memory {
            return output.line("Nothing is left to look at: `memory:` is gone with this process.");
        }
        let (program, queue) = (plain::line(&self.program()), &self.plan.queue);
        output.line(format_args!(
            "\nLook closer:\n  {program} job list --queue {queue} --state dead"
        ))?;
        let dead = Filter::all().queue(queue).state(State::Dead);
        let page = client.find(&dead, Order::default(), None, 1).await?;
        page.items.first().map_or(Ok(()), |job| {
            output.line(format_args!("  {program} job show {}", job.id))
        })
    }

    /// How to call this program with the same storage, by the means it was called with.
    fn program(&self) -> String {
        let by_cargo =
            std::env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
        let name = match (by_cargo, cfg!(debug_assertions)) {
            (true, true) => "cargo run --".to_owned(),
            (true, false) => "cargo run --release --".to_owned(),
            (false, _) => called_as(),
        };
        format!("{name} --storage {}", quoted(&self.url.to_string()))
    }
}

/// The program as it was called: by its path, unless the shell found it.
fn called_as() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if Path::new(&called).components().count() > 1 {
        quoted(&called)
    } else {
        "majordomo".to_owned()
    }
}

/// Quoted for a shell, if need be.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("sqlite:/tmp/demo.db"), "sqlite:/tmp/demo.db");
        assert_eq!(quoted("sqlite:a b.db?x"), "'sqlite:a b.db?x'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
