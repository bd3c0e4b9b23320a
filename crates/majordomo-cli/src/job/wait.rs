//! `job enqueue --wait`: until all have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use majordomo::core::limits;
use majordomo::{Client, Filter, Job, JobId, Order, State};

use crate::exit::{Exit, Problem, warn};
use crate::output::Output;

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until all these jobs have ended, and tells about those that did not complete.
pub(super) async fn for_all(
    client: &Client,
    ids: &[JobId],
    output: &Output,
) -> Result<Exit, Problem> {
    let mut waiting: BTreeSet<JobId> = ids.iter().copied().collect();
    let mut exit = Exit::Ok;
    let wanted = waiting.len();
    loop {
        let chunks: Vec<Vec<JobId>> = waiting
            .iter()
            .copied()
            .collect::<Vec<_>>()
            .chunks(limits::PAGE)
            .map(<[_]>::to_vec)
            .collect();
        for chunk in chunks {
            let filter = Filter::ids(chunk.iter().copied());
            let page = client
                .find(&filter, Order::default(), None, chunk.len())
                .await?;
            let found: BTreeSet<JobId> = page.items.iter().map(|job| job.id).collect();
            if let Some(gone) = chunk.iter().find(|id| !found.contains(id)) {
                return Err(Problem::not_found(format!(
                    "the job `{gone}` was deleted before it was seen to end"
                )));
            }
            for job in page.items.iter().filter(|job| job.state.is_finished()) {
                waiting.remove(&job.id);
                if job.state != State::Completed {
                    exit = Exit::Failed;
                    warn("error", &ending(job));
                }
            }
        }
        if waiting.is_empty() {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    if output.is_table() && exit == Exit::Ok {
        output.line(format_args!("{wanted} completed"))?;
    }
    Ok(exit)
}

fn ending(job: &Job) -> String {
    let mut text = format!("job {} is {}", job.id, job.state);
    if let Some(reason) = job.dead_reason {
        text.push_str(&format!(" ({reason})"));
    }
    if let Some(failure) = &job.error {
        text.push_str(&format!(": {failure}"));
    }
    text
}
