//! What became of the demo's jobs, read from the storage, and whether that is
//! what should have become of them.

use majordomo::core::{DeadReason, EndingKind, Inserted, time};
use majordomo::{Client, Details, JobId, State};
use serde::Serialize;

use super::plan::{Kind, Plan, Planned};
use super::tasks::BACKOFF;
use crate::exit::Problem;

/// How many jobs are read at once.
const READ: usize = 500;
/// How many differences of a kind are told.
const TOLD: usize = 3;

/// What became of the jobs of one kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) task: &'static str,
    pub(super) jobs: usize,
    pub(super) completed: usize,
    pub(super) dead: usize,
    pub(super) cancelled: usize,
    pub(super) expired: usize,
    pub(super) unfinished: usize,
    pub(super) attempts: usize,
    /// What is not as it should be; the first few, then how many more.
    pub(super) differences: Vec<String>,
    #[serde(skip)]
    untold: usize,
}

/// What the demo saw that the jobs themselves can't tell.
#[derive(Debug)]
pub(super) struct Seen {
    /// The answer to the second insert under the unique key.
    pub(super) twin: Option<Inserted>,
    /// How often the handler of the job that expires was called.
    pub(super) late_calls: u32,
}

/// Reads every job, and compares.
pub(super) async fn rows(client: &Client, plan: &Plan, seen: &Seen) -> Result<Vec<Row>, Problem> {
    let mut rows: Vec<Row> = Kind::ALL
        .into_iter()
        .map(|kind| Row { kind: kind.words(), task: kind.task(), ..Row::default() })
        .collect();
    for chunk in plan.jobs.chunks(READ) {
        let ids: Vec<JobId> = chunk.iter().map(|planned| planned.id).collect();
        let found = client.storage().get(&ids).await?;
        for (planned, details) in chunk.iter().zip(found) {
            let row = rows.iter_mut().find(|row| row.task == planned.kind.task());
            if let Some(row) = row {
                row.count(planned, details.as_ref());
            }
        }
    }
    let twin_is_stored = client.job(plan.twin).await?.is_some();
    for row in &mut rows {
        if row.task == Kind::Once.task() {
            row.tell(twin_difference(plan, seen, twin_is_stored));
        }
        if row.task == Kind::Late.task() {
            row.tell((seen.late_calls > 0).then(|| format!("its handler was called {} times", seen.late_calls)));
        }
        if row.untold > 0 {
            row.differences.push(format!("and {} more", row.untold));
        }
    }
    Ok(rows)
}

fn twin_difference(plan: &Plan, seen: &Seen, is_stored: bool) -> Option<String> {
    if is_stored {
        return Some(format!("a second job {} is stored under the same key", plan.twin));
    }
    let wanted = Inserted::Existing(plan.only(Kind::Once));
    (seen.twin != Some(wanted)).then(|| format!("the second enqueue was answered with {:?}", seen.twin))
}

impl Row {
    fn count(&mut self, planned: &Planned, details: Option<&Details>) {
        self.jobs += 1;
        let Some(details) = details else {
            return self.tell(Some(format!("job {} is not in the storage", planned.id)));
        };
        self.attempts += details.attempts.len();
        match details.job.state {
            State::Completed => self.completed += 1,
            State::Dead => self.dead += 1,
            State::Cancelled => self.cancelled += 1,
            State::Expired => self.expired += 1,
            State::Pending | State::Running => self.unfinished += 1,
        }
        self.tell(difference(planned, details).map(|what| format!("job {}: {what}", planned.id)));
    }

    fn tell(&mut self, difference: Option<String>) {
        match difference {
            Some(difference) if self.differences.len() < TOLD => self.differences.push(difference),
            Some(_) => self.untold += 1,
            None => {}
        }
    }
}

/// What is not as it should be about a job, if anything.
fn difference(planned: &Planned, details: &Details) -> Option<String> {
    let job = &details.job;
    let wanted = planned.kind.ending();
    if job.state != wanted {
        return Some(format!("is {} instead of {wanted}", job.state));
    }
    let endings: Vec<_> = details.attempts.iter().map(|attempt| attempt.ending).collect();
    let expected = endings_of(planned);
    if endings != expected {
        return Some(format!("its attempts ended {endings:?} instead of {expected:?}"));
    }
    if job.charged != planned.fails {
        return Some(format!("{} attempts were charged instead of {}", job.charged, planned.fails));
    }
    let is_early = |attempts: &[majordomo::core::Attempt]| {
        attempts[0].ended_at.is_none_or(|ended| attempts[1].started_at < time::after(ended, BACKOFF))
    };
    if details.attempts.windows(2).any(is_early) {
        return Some(format!("an attempt began within {BACKOFF:?} of the one before"));
    }
    let allowed = time::after(job.created_at, planned.delay);
    if details.attempts.first().is_some_and(|first| first.started_at < allowed) {
        return Some(format!("began before {allowed}"));
    }
    of_kind(planned, details).map(str::to_owned)
}

fn endings_of(planned: &Planned) -> Vec<Option<EndingKind>> {
    let retried = |times: u32| (0..times).map(|_| Some(EndingKind::Retried));
    match planned.kind {
        Kind::Late => Vec::new(),
        Kind::Endless => vec![Some(EndingKind::Cancelled)],
        Kind::Doomed => retried(planned.fails - 1).chain([Some(EndingKind::Dead)]).collect(),
        _ => retried(planned.fails).chain([Some(EndingKind::Completed)]).collect(),
    }
}

fn of_kind(planned: &Planned, details: &Details) -> Option<&'static str> {
    let job = &details.job;
    let failed = &details.attempts[..details.attempts.len().saturating_sub(1)];
    let fine = match planned.kind {
        Kind::Quick => return details.output.is_none().then_some("has no output"),
        Kind::Flaky => failed.iter().all(|attempt| attempt.error.is_some()),
        Kind::Doomed => job.dead_reason == Some(DeadReason::Exhausted) && job.error.is_some(),
        Kind::Report => return (details.history.len() < 2).then_some("left no history of its progress"),
        Kind::Late => job.started_at.is_none(),
        Kind::Delayed | Kind::Endless | Kind::Once => true,
    };
    (!fine).then_some("has no record of why")
}
