//! `majordomo job list`

use comfy_table::Cell;
use majordomo::core::{limits, time};
use majordomo::{Client, Cursor, Job, State, Timestamp};
use serde::Serialize;

use crate::args::{Format, List};
use crate::exit::{Exit, Problem, warn};
use crate::output::{Output, first_line, short};
use crate::plain;

/// Characters of an error in the table.
const ERROR: usize = 48;

/// The jobs as one JSON document.
#[derive(Serialize)]
struct Listing<'a> {
    jobs: &'a [Job],
    /// What to give as `--after` to go on; null at the end.
    next: Option<String>,
}

pub(super) async fn run(client: &Client, options: &List, output: &Output) -> Result<Exit, Problem> {
    let now = client.storage().now().await?;
    let mut jobs = Vec::new();
    let mut shown = 0;
    let mut next = options.after;
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    let filter = options.which.filter();
    loop {
        let page = client
            .find(
                &filter,
                options.order(),
                next,
                (limit - shown).min(limits::PAGE),
            )
            .await?;
        shown += page.items.len();
        next = page.next;
        if output.format() == Format::Ndjson {
            page.items.iter().try_for_each(|job| output.json(job))?;
        } else {
            jobs.extend(page.items);
        }
        if next.is_none() || shown >= limit {
            break;
        }
    }
    match output.format() {
        Format::Table => table(&jobs, now, next, output)?,
        Format::Json => output.json(&Listing {
            jobs: &jobs,
            next: next.map(|cursor| cursor.to_string()),
        })?,
        Format::Ndjson => {
            if let Some(next) = next {
                warn("next", &next.to_string());
            }
        }
    }
    Ok(Exit::Ok)
}

fn table(
    jobs: &[Job],
    now: Timestamp,
    next: Option<Cursor>,
    output: &Output,
) -> Result<(), Problem> {
    if jobs.is_empty() {
        return output.line("no jobs");
    }
    let mut table = output.table(&["id", "task", "queue", "state", "attempts", "age", "error"]);
    for job in jobs {
        // What a completed job once failed with is of no concern any more.
        let error = job
            .error
            .as_ref()
            .filter(|_| job.state != State::Completed)
            .map(|error| first_line(&error.message, ERROR))
            .unwrap_or_default();
        table.add_row([
            Cell::new(job.id),
            Cell::new(plain::line(&job.task)),
            Cell::new(plain::line(&job.queue)),
            output.state_cell(job.state, view(job, now)),
            Cell::new(format!(
                "{}/{}",
                job.charged + u32::from(job.state == State::Running),
                job.max_attempts
            )),
            Cell::new(short(time::between(job.created_at, now))),
            Cell::new(error),
        ]);
    }
    output.line(table)?;
    match next {
        Some(next) => output.line(format_args!(
            "{} jobs shown, there are more: go on with --after {next}",
            jobs.len()
        )),
        None => Ok(()),
    }
}

/// The state with what matters about it: when, and why.
pub(super) fn view(job: &Job, now: Timestamp) -> String {
    match job.state {
        State::Pending if job.due > now => {
            let what = if job.charged > 0 { "retrying in" } else { "in" };
            format!("{what} {}", short(time::between(now, job.due)))
        }
        State::Running if job.cancel_requested => "running, asked to stop".to_owned(),
        State::Dead => job
            .dead_reason
            .map_or_else(|| "dead".to_owned(), |reason| format!("dead ({reason})")),
        state => state.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use majordomo::NewJob;
    use majordomo::core::{DeadReason, Payload};

    use super::*;

    #[test]
    fn a_state_is_shown_with_when_and_why() {
        let now = time::from_micros(60_000_000);
        let job = NewJob::new("t", Payload::json(&()).unwrap()).into_job(now);
        assert_eq!(view(&job, now), "pending");
        let later = Job {
            due: time::from_micros(360_000_000),
            ..job.clone()
        };
        assert_eq!(view(&later, now), "in 5m");
        assert_eq!(
            view(
                &Job {
                    charged: 1,
                    ..later
                },
                now
            ),
            "retrying in 5m"
        );
        let asked = Job {
            state: State::Running,
            cancel_requested: true,
            ..job.clone()
        };
        assert_eq!(view(&asked, now), "running, asked to stop");
        let dead = Job {
            state: State::Dead,
            dead_reason: Some(DeadReason::Poison),
            ..job
        };
        assert_eq!(view(&dead, now), "dead (poison)");
    }
}
