//! `majordomo job ..`: one file for each thing to do with jobs.

mod change;
mod enqueue;
mod explain;
mod known;
mod list;
mod payload;
mod prune;
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
    let open = || open::client(&url, Missing::Refuse);
    // What was typed is looked at before anything is opened.
    match *command {
        JobCommand::Enqueue(options) => enqueue::run(&url, *options, output).await,
        JobCommand::List(options) => list::run(&open().await?, &options, output).await,
        JobCommand::Show { id } => show::run(&open().await?, id, output).await,
        JobCommand::Explain { id } => explain::run(&open().await?, id, output).await,
        JobCommand::Cancel(options) => {
            change::check_cancel(&options)?;
            change::cancel(&open().await?, &options, output).await
        }
        JobCommand::Retry(options) => {
            change::check(&options.chosen)?;
            change::retry(&open().await?, &options, output).await
        }
        JobCommand::Delete(options) => {
            change::check_delete(&options)?;
            change::delete(&open().await?, &options, output).await
        }
        JobCommand::Prune(options) => {
            prune::check(&options)?;
            prune::run(&open().await?, &options, output).await
        }
    }
}
