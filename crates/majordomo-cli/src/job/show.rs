//! `majordomo job show`: everything about one job.

use std::fmt::Display;

use comfy_table::Cell;
use majordomo::core::{Attempt, Codec, Failure, time};
use majordomo::{Client, Details, Job, JobId, Progress, Timestamp};

use super::list::view;
use crate::exit::{Exit, Problem};
use crate::output::{Output, short};
use crate::plain;

/// Where values begin: behind their names.
const NAMES: usize = 14;

pub(super) async fn run(client: &Client, id: JobId, output: &Output) -> Result<Exit, Problem> {
    let details = client.job(id).await?.ok_or_else(|| not_found(id))?;
    if !output.is_table() {
        output.json(&details)?;
        return Ok(Exit::Ok);
    }
    let now = client.storage().now().await?;
    facts(&details.job, now, output)?;
    body(&details, output)?;
    attempts(&details.attempts, output)?;
    history(&details, output)?;
    Ok(Exit::Ok)
}

/// There is no such job.
pub(super) fn not_found(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job `{id}`"))
        .hint("it may have been deleted; `majordomo job list` shows what there is")
}

fn facts(job: &Job, now: Timestamp, output: &Output) -> Result<(), Problem> {
    let fact = |name: &str, value: &dyn Display| {
        output.line(format_args!(
            "{name:<NAMES$}{}",
            plain::line(&value.to_string())
        ))
    };
    let maybe =
        |name: &str, value: Option<String>| value.map_or(Ok(()), |value| fact(name, &value));
    let at = |instant: Timestamp| match now.as_microsecond() - instant.as_microsecond() {
        0.. => format!("{instant} ({} ago)", short(time::between(instant, now))),
        _ => format!("{instant} (in {})", short(time::between(now, instant))),
    };
    fact("id", &job.id)?;
    fact("task", &job.task)?;
    maybe(
        "version",
        (job.version > 1).then(|| job.version.to_string()),
    )?;
    fact("queue", &job.queue)?;
    fact("state", &view(job, now))?;
    fact("priority", &job.priority)?;
    fact(
        "attempts",
        &format!(
            "{} of {} charged, claimed {} times",
            job.charged, job.max_attempts, job.token
        ),
    )?;
    maybe(
        "crashes",
        (job.crashes > 0).then(|| job.crashes.to_string()),
    )?;
    fact("created", &at(job.created_at))?;
    fact("due", &at(job.due))?;
    maybe("expires", job.expires.map(at))?;
    maybe("started", job.started_at.map(at))?;
    maybe("ended", job.ended_at.map(at))?;
    maybe(
        "lease",
        job.lease
            .as_ref()
            .map(|lease| format!("of {} until {}", lease.worker, lease.expires)),
    )?;
    maybe("timeout", job.timeout.map(short))?;
    maybe("keys", listed(job.holds.iter().map(|hold| &hold.key)))?;
    maybe("tags", listed(job.tags.iter()))?;
    maybe(
        "metadata",
        listed(
            job.metadata
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        ),
    )?;
    maybe("actor", job.actor.clone())?;
    maybe("tenant", job.tenant.clone())?;
    maybe(
        "schedule",
        job.schedule
            .as_ref()
            .map(|occurrence| occurrence.schedule.clone()),
    )?;
    maybe("progress", job.progress.as_ref().map(progress))
}

fn listed(values: impl Iterator<Item = impl Display>) -> Option<String> {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn body(details: &Details, output: &Output) -> Result<(), Problem> {
    let payload = &details.job.payload;
    let text = match (&payload.codec, std::str::from_utf8(&payload.bytes)) {
        (codec, Ok(text)) if *codec == Codec::JSON => text.to_owned(),
        (codec, _) => format!("{} bytes of {}", payload.bytes.len(), codec.as_str()),
    };
    part("payload", &text, output)?;
    if let Some(value) = &details.output {
        part("output", &value.to_string(), output)?;
    }
    if let Some(value) = &details.checkpoint {
        part("checkpoint", &value.to_string(), output)?;
    }
    details
        .job
        .error
        .as_ref()
        .map_or(Ok(()), |error| failure(error, output))
}

/// It may be that of an earlier attempt, also of a job that has completed since.
fn failure(failure: &Failure, output: &Output) -> Result<(), Problem> {
    let text = format!("{}: {}", failure.kind.as_str(), failure.message);
    part("last error", &text, output)?;
    failure
        .chain
        .iter()
        .try_for_each(|cause| part("", &format!("caused by: {cause}"), output))
}

/// What may have several lines.
fn part(name: &str, text: &str, output: &Output) -> Result<(), Problem> {
    output.line(format_args!("{name:<NAMES$}{}", plain::lines(text, NAMES)))
}

fn attempts(attempts: &[Attempt], output: &Output) -> Result<(), Problem> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut table = output.table(&["claim", "started", "took", "ending", "worker", "error"]);
    for attempt in attempts {
        let took = attempt
            .ended_at
            .map(|ended| short(time::between(attempt.started_at, ended)));
        let ending = match attempt.ending {
            Some(ending) => output.state_cell(ending.state(), ending),
            None => Cell::new("running"),
        };
        table.add_row([
            Cell::new(attempt.token),
            Cell::new(attempt.started_at),
            Cell::new(took.unwrap_or_default()),
            ending,
            Cell::new(plain::line(&attempt.worker)),
            Cell::new(
                attempt
                    .error
                    .as_ref()
                    .map(|error| plain::lines(&error.to_string(), 0))
                    .unwrap_or_default(),
            ),
        ]);
    }
    output.line(format_args!("\n{table}"))
}

fn history(details: &Details, output: &Output) -> Result<(), Problem> {
    if !details.history.is_empty() {
        output.line("\nprogress")?;
        details.history.iter().try_for_each(|report| {
            output.line(format_args!(
                "  {}  {}",
                report.at,
                plain::line(&progress(report))
            ))
        })?;
    }
    if !details.log.is_empty() {
        output.line("\nlog")?;
        details.log.iter().try_for_each(|line| {
            output.line(format_args!(
                "  {}  {:<5} {}",
                line.at,
                line.level,
                plain::lines(&line.message, 4)
            ))
        })?;
    }
    Ok(())
}

fn progress(report: &Progress) -> String {
    let step = report
        .step
        .map(|step| format!(" ({} of {})", step.done, step.total))
        .unwrap_or_default();
    let note = report
        .note
        .as_ref()
        .map(|note| format!(" {note}"))
        .unwrap_or_default();
    format!("{:.0} %{step}{note}", report.percent)
}
