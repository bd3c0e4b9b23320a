//! Arguments of a job as typed, from a file or from standard input, and whether
//! they fit the task's schema.

use std::io::Read;

use majordomo::TaskRecord;
use majordomo::core::{Codec, Payload, limits};
use serde_json::Value;

use crate::exit::Problem;

/// How many misfits are told at once.
const TOLD: usize = 3;
/// Bytes of each.
const MISFIT: usize = 200;

/// Looks at what was typed before any storage is opened.
pub(super) fn check(given: Option<&str>) -> Result<(), Problem> {
    match given {
        Some(text) if text != "-" && !text.starts_with('@') => {
            parsed(text, "the payload").map(|_| ())
        }
        _ => Ok(()),
    }
}

/// The text of the payload, and what it says. Its numbers may be too long for
/// the latter, so the former is what is stored.
pub(super) fn read(
    given: Option<&str>,
    task: Option<&TaskRecord>,
) -> Result<(Payload, Value), Problem> {
    let (text, from) = match given {
        None => (absent(task).to_owned(), "the payload".to_owned()),
        Some("-") => (
            standard_input()?,
            "the payload on standard input".to_owned(),
        ),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => (file(path)?, format!("the payload in `{path}`")),
            None => (text.to_owned(), "the payload".to_owned()),
        },
    };
    let text = text.trim();
    limits::check(&from, text.len(), limits::PAYLOAD)?;
    let value = parsed(text, &from)?;
    let payload = Payload {
        codec: Codec::JSON,
        bytes: text.as_bytes().to_vec(),
    };
    payload.check()?;
    Ok((payload, value))
}

/// Refuses a payload that does not fit the task's schema.
pub(super) fn fit(value: &Value, task: &TaskRecord) -> Result<(), Problem> {
    let Some(schema) = &task.schema else {
        return Ok(());
    };
    let name = &task.name;
    let validator = jsonschema::validator_for(schema).map_err(|error| {
        Problem::failed(format!(
            "the schema that is registered for the task `{name}` can't be used: {error}"
        ))
        .hint("`--force` enqueues the job without looking at it")
    })?;
    let misfits: Vec<String> = validator
        .iter_errors(value)
        .take(TOLD)
        .map(|error| {
            let place = match error.instance_path().to_string() {
                place if place.is_empty() => "at its root".to_owned(),
                place => format!("at `{place}`"),
            };
            // The error quotes the value, which may be long.
            format!("{place}: {}", limits::shorten(&error.to_string(), MISFIT))
        })
        .collect();
    if misfits.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the payload does not fit the schema of the task `{name}`, {}",
        misfits.join("; ")
    );
    Err(Problem::usage(message).hint("correct the payload, or enqueue it as it is with `--force`"))
}

/// What no payload means: an empty object for a task that takes nothing else.
fn absent(task: Option<&TaskRecord>) -> &'static str {
    let wanted = task
        .and_then(|task| task.schema.as_ref())
        .and_then(|schema| schema.get("type"));
    if wanted == Some(&Value::from("object")) {
        "{}"
    } else {
        "null"
    }
}

fn parsed(text: &str, from: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::usage(format!("{from} `{}` is not JSON: {error}", limits::shorten(text, 60)))
            .hint("quote it for the shell, for example '{\"seconds\": 2}', or pass @FILE or - for standard input")
    })
}

fn file(path: &str) -> Result<String, Problem> {
    let cannot = |error: std::io::Error| {
        Problem::usage(format!("cannot read the payload from `{path}`: {error}"))
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    limited(file, &format!("the payload in `{path}`"), cannot)
}

fn standard_input() -> Result<String, Problem> {
    let cannot = |error| {
        Problem::usage(format!(
            "cannot read the payload from standard input: {error}"
        ))
    };
    limited(
        std::io::stdin().lock(),
        "the payload on standard input",
        cannot,
    )
}

/// Reads no more than a little over the limit, whatever comes.
fn limited(
    source: impl Read,
    from: &str,
    cannot: impl FnOnce(std::io::Error) -> Problem,
) -> Result<String, Problem> {
    // Twice the limit leaves room for blanks around it, which are not stored.
    let most = 2 * limits::PAYLOAD as u64;
    let mut text = String::new();
    source
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > most {
        return Err(Problem::usage(format!(
            "{from} has over {most} bytes, the limit is {}",
            limits::PAYLOAD
        ))
        .hint("store the data elsewhere and pass a reference to it"));
    }
    Ok(text)
}
