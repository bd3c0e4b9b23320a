//! `job enqueue --wait`: until all have ended, or the time is over.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use majordomo::core::job::DEFAULT_QUEUE;
use majordomo::core::{limits, time};
use majordomo::{Client, Filter, Job, JobId, Order, State, Timestamp};

use crate::exit::{Exit, Problem, warn};
use crate::output::{Output, short};

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long jobs may be due without any being claimed, before a missing worker is suspected.
const SUSPECT: Duration = Duration::from_secs(2);

/// Waits until all these jobs have ended, and tells about those that did not complete.
/// With a limit it fails once that is over; the jobs stay as they are.
pub(super) async fn for_all(
    client: &Client,
    ids: &[JobId],
    limit: Option<Duration>,
    output: &Output,
) -> Result<Exit, Problem> {
    let mut waiting: BTreeSet<JobId> = ids.iter().copied().collect();
    let (mut exit, mut suspicion) = (Exit::Ok, Suspicion::default());
    let (wanted, began) = (waiting.len(), Instant::now());
    loop {
        suspicion.first = None;
        let all: Vec<JobId> = waiting.iter().copied().collect();
        for chunk in all.chunks(limits::PAGE) {
            for job in read(client, chunk).await? {
                suspicion.look(&job);
                if job.state.is_finished() {
                    waiting.remove(&job.id);
                    if job.state != State::Completed {
                        exit = Exit::Failed;
                        warn("error", &ending(&job));
                    }
                }
            }
        }
        if waiting.is_empty() {
            break;
        }
        if began.elapsed() >= SUSPECT {
            suspicion.tell(client).await?;
        }
        let left = limit.map_or(LOOK, |limit| limit.saturating_sub(began.elapsed()));
        if left.is_zero() {
            return Err(over(waiting.len(), wanted, began.elapsed()));
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
    if output.is_table() && exit == Exit::Ok {
        output.line(format_args!("{wanted} completed"))?;
    }
    Ok(exit)
}

/// All of these jobs.
async fn read(client: &Client, ids: &[JobId]) -> Result<Vec<Job>, Problem> {
    let filter = Filter::ids(ids.iter().copied());
    let page = client
        .find(&filter, Order::default(), None, ids.len())
        .await?;
    let found: BTreeSet<JobId> = page.items.iter().map(|job| job.id).collect();
    match ids.iter().find(|id| !found.contains(id)) {
        Some(gone) => Err(Problem::not_found(format!(
            "the job `{gone}` was deleted before it was seen to end"
        ))),
        None => Ok(page.items),
    }
}

/// That no worker is there: jobs are due, and none of them was ever claimed.
#[derive(Default)]
struct Suspicion {
    /// Of the jobs that wait for their first claim, when the first is due, and its queue.
    first: Option<(Timestamp, String)>,
    /// Nothing is left to suspect: a job was claimed or has ended, or it was told.
    is_over: bool,
}

impl Suspicion {
    fn look(&mut self, job: &Job) {
        self.is_over |= job.token > 0 || job.state != State::Pending;
        if self.first.as_ref().is_none_or(|(due, _)| job.due < *due) {
            self.first = Some((job.due, job.queue.clone()));
        }
    }

    /// Tells once, if it has lasted. A job that is not due yet is nobody's fault.
    async fn tell(&mut self, client: &Client) -> Result<(), Problem> {
        let Some((due, queue)) = self.first.take().filter(|_| !self.is_over) else {
            return Ok(());
        };
        let now = client.storage().now().await?;
        if time::between(due, now) >= SUSPECT {
            warn("hint", &question(&queue));
            self.is_over = true;
        }
        Ok(())
    }
}

fn question(queue: &str) -> String {
    let option = match queue {
        DEFAULT_QUEUE => String::new(),
        queue => format!(" --queue {queue}"),
    };
    format!("still pending; is a worker running for queue `{queue}`? (`majordomo worker{option}`)")
}

fn over(left: usize, wanted: usize, waited: Duration) -> Problem {
    let waited = short(waited);
    Problem::failed(format!(
        "{left} of {wanted} jobs had not ended after {waited}"
    ))
    .hint(
        "they stay as they are; look at them with `majordomo job list` or `majordomo job show ID`",
    )
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
