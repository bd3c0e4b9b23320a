//! `majordomo queue ..` and `majordomo task ..`: listing, pausing, limiting.

use comfy_table::{Cell, Color};
use majordomo::core::time;
use majordomo::{Client, Control, QueueStatus, Scope, TaskStatus, Timestamp};
use serde_json::json;

use crate::args::{Change, Global, QueueCommand, TaskCommand};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::{Output, first_line, short};
use crate::plain;

/// Characters of a note or of a list of names in a table.
const TEXT: usize = 48;

pub(crate) async fn queue(
    command: QueueCommand,
    global: &Global,
    output: &Output,
) -> Result<Exit, Problem> {
    let client = open::client(&open::url(global)?, Missing::Refuse).await?;
    match command {
        QueueCommand::List => queues(&client, output).await,
        QueueCommand::Change(change) => {
            let known = client.queues().await?;
            let known: Vec<String> = known.into_iter().map(|queue| queue.name).collect();
            let scope = Scope::Queue(change.name().to_owned());
            set(&client, scope, change, &known, output).await
        }
    }
}

pub(crate) async fn task(
    command: TaskCommand,
    global: &Global,
    output: &Output,
) -> Result<Exit, Problem> {
    let client = open::client(&open::url(global)?, Missing::Refuse).await?;
    match command {
        TaskCommand::List => tasks(&client, output).await,
        TaskCommand::Change(change) => {
            let known = client.tasks().await?;
            let known: Vec<String> = known.into_iter().map(|task| task.name).collect();
            let scope = Scope::Task(change.name().to_owned());
            set(&client, scope, change, &known, output).await
        }
    }
}

async fn queues(client: &Client, output: &Output) -> Result<Exit, Problem> {
    let queues = client.queues().await?;
    if !output.is_table() {
        output.json_list(&queues)?;
        return Ok(Exit::Ok);
    }
    let now = client.storage().now().await?;
    let header = ["queue", "control", "running", "waiting", "workers"];
    let mut table = output.table(&header);
    for queue in &queues {
        let QueueStatus {
            name,
            control,
            running,
            waiting,
            workers,
        } = queue;
        table.add_row([
            Cell::new(plain::line(name)),
            control_cell(control, now, output),
            Cell::new(running),
            Cell::new(waiting),
            Cell::new(first_line(&workers.join(", "), TEXT)),
        ]);
    }
    output.line(table)?;
    Ok(Exit::Ok)
}

async fn tasks(client: &Client, output: &Output) -> Result<Exit, Problem> {
    let tasks = client.tasks().await?;
    let controls = client.controls().await?;
    let control = |name: &str| {
        let own = controls
            .iter()
            .find(|(scope, _)| matches!(scope, Scope::Task(task) if task == name));
        own.map(|(_, control)| control.clone()).unwrap_or_default()
    };
    if !output.is_table() {
        let values: Vec<_> = tasks
            .iter()
            .map(|task| {
                json!({
                    "name": task.name, "provided": task.is_provided(), "orphaned": task.is_orphaned(),
                    "seen_at": task.seen_at, "workers": task.workers, "waiting": task.waiting,
                    "control": control(&task.name), "record": task.record,
                })
            })
            .collect();
        output.json_list(&values)?;
        return Ok(Exit::Ok);
    }
    if tasks.is_empty() {
        output.line("no tasks")?;
        return Ok(Exit::Ok);
    }
    let now = client.storage().now().await?;
    let header = ["task", "provided", "last seen", "control", "waiting"];
    let mut table = output.table(&header);
    for task in &tasks {
        let seen = task.seen_at.map_or_else(
            || "never".to_owned(),
            |seen| format!("{} ago", short(time::between(seen, now))),
        );
        table.add_row([
            Cell::new(plain::line(&task.name)),
            provided_cell(task, output),
            Cell::new(seen),
            control_cell(&control(&task.name), now, output),
            Cell::new(task.waiting),
        ]);
    }
    output.line(table)?;
    Ok(Exit::Ok)
}

fn provided_cell(task: &TaskStatus, output: &Output) -> Cell {
    if task.is_provided() {
        Cell::new(first_line(&task.workers.join(", "), TEXT))
    } else if task.is_orphaned() {
        output.cell("by nobody, and jobs wait", Color::Red)
    } else {
        output.cell("by nobody now", Color::Yellow)
    }
}

fn control_cell(control: &Control, now: Timestamp, output: &Output) -> Cell {
    let text = first_line(&words(control, now), TEXT);
    match control.is_paused(now) {
        true => output.cell(text, Color::Yellow),
        false => Cell::new(text),
    }
}

/// What is allowed, in words.
fn words(control: &Control, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(pause) = control.paused.as_ref().filter(|_| control.is_paused(now)) {
        let mut text = "paused".to_owned();
        if let Some(until) = pause.until {
            text.push_str(&format!(" for {}", short(time::between(now, until))));
        }
        if !pause.note.is_empty() {
            text.push_str(&format!(" ({})", pause.note));
        }
        parts.push(text);
    }
    parts.extend(
        control
            .max_running
            .map(|most| format!("at most {most} at once")),
    );
    if parts.is_empty() {
        return "open".to_owned();
    }
    parts.join(", ")
}

async fn set(
    client: &Client,
    scope: Scope,
    change: Change,
    known: &[String],
    output: &Output,
) -> Result<Exit, Problem> {
    let controlled = client.control(scope.clone());
    let control = match change {
        Change::Pause(pause) => match pause.until() {
            None => controlled.pause(pause.note).await,
            Some(until) => controlled.pause_until(pause.note, until).await,
        },
        Change::Resume { .. } => controlled.resume().await,
        Change::Limit { jobs, .. } => controlled.max_running(jobs).await,
        Change::Unlimit { .. } => controlled.unlimited().await,
    }?;
    let (kind, name) = (scope.kind(), scope.name());
    if !known.iter().any(|other| other == name) {
        // It may be about to come, so this is no error.
        warn(
            "hint",
            &format!(
                "no {kind} `{name}` is known yet; `majordomo {kind} list` shows those that are"
            ),
        );
    }
    if output.is_table() {
        let now = client.storage().now().await?;
        let text = format!("{kind} {name}: {}", words(&control, now));
        output.line(plain::line(&text))?;
    } else {
        output.json(&json!({ "scope": scope, "control": control }))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use majordomo::Pause;

    use super::*;

    #[test]
    fn a_control_is_told_in_words() {
        let now = time::from_micros(0);
        let pause = |until| {
            Some(Pause {
                note: "by ann".into(),
                until,
            })
        };
        let table = [
            (None, None, "open"),
            (None, Some(3), "at most 3 at once"),
            (pause(None), Some(3), "paused (by ann), at most 3 at once"),
            (
                pause(Some(time::from_micros(60_000_000))),
                None,
                "paused for 1m (by ann)",
            ),
            (pause(Some(now)), None, "open"),
        ];
        for (paused, max_running, expected) in table {
            let control = Control {
                paused,
                max_running,
            };
            assert_eq!(words(&control, now), expected);
        }
    }
}
