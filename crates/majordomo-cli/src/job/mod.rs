//! `majordomo job ..`: one file for each thing to do with jobs.

mod change;
mod enqueue;
mod known;
mod list;
mod payload;
mod show;
mod wait;

use crate::args::{Global, JobCommand};
use crate::exit::{Exit, Problem};
use crate::open::{self, Missing};
use crate::output::Output;

pub(crate) async fn run(
    command: Box<JobCommand>,
    global: &Global,
    output: &Output,
) -> Result<Exit, Problem> {
    let url = open::url(global)?;
    let missing = match *command {
        JobCommand::Enqueue(_) => Missing::Make,
        _ => Missing::Refuse,
    };
    // What was typed is looked at first, so that a mistake leaves no file behind.
    match &*command {
        JobCommand::Cancel(options) => change::check(&options.chosen)?,
        JobCommand::Retry(options) => change::check(&options.chosen)?,
        JobCommand::Delete(options) => change::check_delete(options)?,
        JobCommand::Enqueue(options) => payload::check(options.payload.as_deref())?,
        JobCommand::List(_) | JobCommand::Show { .. } => {}
    }
    let client = open::client(&url, missing).await?;
    match *command {
        JobCommand::Enqueue(options) => enqueue::run(&client, *options, output).await,
        JobCommand::List(options) => list::run(&client, &options, output).await,
        JobCommand::Show { id } => show::run(&client, id, output).await,
        JobCommand::Cancel(options) => change::cancel(&client, &options, output).await,
        JobCommand::Retry(options) => change::retry(&client, &options, output).await,
        JobCommand::Delete(options) => change::delete(&client, &options, output).await,
    }
}
