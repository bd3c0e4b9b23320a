//! `majordomo migrate`: the schema of a database file.

use std::path::PathBuf;

use majordomo::sqlite::schema::{self, Status};
use majordomo::url::StorageUrl;
use serde_json::json;

use crate::args::{Global, Migrate};
use crate::exit::{Exit, Problem};
use crate::open;
use crate::output::Output;
use crate::plain;

pub(crate) fn run(command: Migrate, global: &Global, output: &Output) -> Result<Exit, Problem> {
    let path = path(global)?;
    let status = match command {
        Migrate::Up => schema::migrate(&path)?,
        Migrate::Status => schema::status(&path)?,
    };
    let shown = path.display();
    let (words, exit) = in_words(&status);
    if output.is_table() {
        output.line(plain::line(&format!("`{shown}` {words}")))?;
    } else {
        output.json(&json!({
            "path": path, "exists": status.exists, "ours": status.ours, "current": status.current,
            "wanted": status.wanted, "is_current": status.is_current(),
        }))?;
    }
    Ok(exit)
}

fn path(global: &Global) -> Result<PathBuf, Problem> {
    match open::url(global)? {
        StorageUrl::Sqlite { path, .. } => Ok(path),
        url => Err(Problem::usage(format!("`{url}` has no schema to migrate"))
            .hint("name a file: `--storage sqlite:PATH`")),
    }
}

fn in_words(status: &Status) -> (String, Exit) {
    let (current, wanted) = (status.current, status.wanted);
    if !status.exists {
        (
            "does not exist; `majordomo migrate up` makes it".to_owned(),
            Exit::NotFound,
        )
    } else if !status.ours {
        (
            "is not a database of Majordomo; it is left as it is".to_owned(),
            Exit::Failed,
        )
    } else if current == wanted {
        (
            format!("is at schema version {current}, up to date"),
            Exit::Ok,
        )
    } else if current > wanted {
        (
            format!(
                "is at schema version {current}, newer than this program's {wanted}: update the program"
            ),
            Exit::Failed,
        )
    } else {
        (
            format!("is at schema version {current} of {wanted}; run `majordomo migrate up`"),
            Exit::Failed,
        )
    }
}
