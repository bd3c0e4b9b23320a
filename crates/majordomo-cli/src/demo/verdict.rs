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
        .map(|kind| Row {
            kind: kind.words(),
            task: kind.task(),
            ..Row::default()
        })
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
            row.tell(
                (seen.late_calls > 0)
                    .then(|| format!("its handler was called {} times", seen.late_calls)),
            );
        }
        if row.untold > 0 {
            row.differences.push(format!("and {} more", row.untold));
        }
    }
    Ok(rows)
}

fn twin_difference(plan: &Plan, seen: &Seen, is_stored: bool) -> Option<String> {
    if is_stored {
        return Some(format!(
            "a second job {} is stored under the same key",
            plan.twin
        ));
    }
    let wanted = Inserted::Existing(plan.only(Kind::Once));
    (seen.twin != Some(wanted))
        .then(|| format!("the second enqueue was answered with {:?}", seen.twin))
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
    let endings: Vec<_> = details
        .attempts
        .iter()
        .map(|attempt| attempt.ending)
        .collect();
    let expected = endings_of(planned);
    if endings != expected {
        return Some(format!(
            "its attempts ended {endings:?} instead of {expected:?}"
        ));
    }
    if job.charged != planned.fails {
        return Some(format!(
            "{} attempts were charged instead of {}",
            job.charged, planned.fails
        ));
    }
    let is_early = |attempts: &[majordomo::core::Attempt]| {
        attempts[0]
            .ended_at
            .is_none_or(|ended| attempts[1].started_at < time::after(ended, BACKOFF))
    };
    if details.attempts.windows(2).any(is_early) {
        return Some(format!(
            "an attempt began within {BACKOFF:?} of the one before"
        ));
    }
    let allowed = time::after(job.created_at, planned.delay);
    if details
        .attempts
        .first()
        .is_some_and(|first| first.started_at < allowed)
    {
        return Some(format!("began before {allowed}"));
    }
    of_kind(planned, details).map(str::to_owned)
}

fn endings_of(planned: &Planned) -> Vec<Option<EndingKind>> {
    let retried = |times: u32| (0..times).map(|_| Some(EndingKind::Retried));
    match planned.kind {
        Kind::Late => Vec::new(),
        Kind::Endless => vec![Some(EndingKind::Cancelled)],
        Kind::Doomed => retried(planned.fails - 1)
            .chain([Some(EndingKind::Dead)])
            .collect(),
        _ => retried(planned.fails)
            .chain([Some(EndingKind::Completed)])
            .collect(),
    }
}

fn of_kind(planned: &Planned, details: &Details) -> Option<&'static str> {
    let job = &details.job;
    let failed = &details.attempts[..details.attempts.len().saturating_sub(1)];
    let fine = match planned.kind {
        Kind::Quick => return details.output.is_none().then_some("has no output"),
        Kind::Flaky => failed.iter().all(|attempt| attempt.error.is_some()),
        Kind::Doomed => job.dead_reason == Some(DeadReason::Exhausted) && job.error.is_some(),
        Kind::Report => {
            return (details.history.len() < 2).then_some("left no history of its progress");
        }
        Kind::Late => job.started_at.is_none(),
        Kind::Delayed | Kind::Endless | Kind::Once => true,
    };
    (!fine).then_some("has no record of why")
}

#[cfg(test)]
mod tests {
    use majordomo::core::{Attempt, Failure, FailureKind};
    use majordomo::{Memory, Progress};

    use super::*;

    /// A job of the plan as it looks when all went well.
    fn good(plan: &Plan, client: &Client, planned: &Planned) -> Details {
        let start = time::from_micros(1_000_000_000_000);
        let mut job = plan.build(client, planned).unwrap().into_job(start);
        job.state = planned.kind.ending();
        job.charged = planned.fails;
        let failure = Failure::new(FailureKind::Error, "no connection");
        let failed = |ending| matches!(ending, Some(EndingKind::Retried | EndingKind::Dead));
        let mut at = time::after(start, planned.delay);
        let mut attempts = Vec::new();
        for (token, ending) in (1..).zip(endings_of(planned)) {
            let error = failed(ending).then(|| failure.clone());
            attempts.push(Attempt {
                token,
                worker: "w".into(),
                started_at: at,
                ended_at: Some(at),
                ending,
                error,
            });
            job.started_at = Some(at);
            at = time::after(at, BACKOFF);
        }
        if planned.kind == Kind::Doomed {
            (job.dead_reason, job.error) = (Some(DeadReason::Exhausted), Some(failure));
        }
        let history = vec![Progress::new(1.0, ""), Progress::new(100.0, "")];
        Details {
            attempts,
            history,
            output: Some(1.into()),
            ..Details::of(job)
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_no_difference_and_each_spoiled_thing_is_one() {
        let (client, plan) = (Client::new(Memory::new()), Plan::new(40));
        for planned in &plan.jobs {
            assert_eq!(
                difference(planned, &good(&plan, &client, planned)),
                None,
                "{planned:?}"
            );
        }
        type Spoil = fn(&mut Details);
        let table: [(Kind, Spoil, &str); 10] = [
            (
                Kind::Quick,
                |details| details.job.state = State::Dead,
                "is dead instead of completed",
            ),
            (
                Kind::Quick,
                |details| details.output = None,
                "has no output",
            ),
            (
                Kind::Once,
                |details| details.attempts.push(details.attempts[0].clone()),
                "its attempts ended",
            ),
            (
                Kind::Flaky,
                |details| drop(details.attempts.remove(0)),
                "its attempts ended",
            ),
            (
                Kind::Flaky,
                |details| details.attempts[0].error = None,
                "no record of why",
            ),
            (
                Kind::Flaky,
                |details| details.job.charged += 1,
                "attempts were charged instead of",
            ),
            (
                Kind::Doomed,
                |details| details.job.dead_reason = None,
                "no record of why",
            ),
            (
                Kind::Doomed,
                |details| details.attempts[1].started_at = details.attempts[0].started_at,
                "an attempt began within",
            ),
            (
                Kind::Delayed,
                |details| details.attempts[0].started_at = details.job.created_at,
                "began before",
            ),
            (
                Kind::Report,
                |details| details.history.truncate(1),
                "no history",
            ),
        ];
        for (kind, spoil, expected) in table {
            let planned = plan
                .jobs
                .iter()
                .find(|planned| planned.kind == kind)
                .unwrap();
            let mut details = good(&plan, &client, planned);
            spoil(&mut details);
            let found = difference(planned, &details).unwrap_or_default();
            assert!(
                found.contains(expected),
                "{kind:?}: {found:?} instead of {expected:?}"
            );
        }
    }

    #[tokio::test]
    async fn jobs_that_nobody_ran_and_jobs_that_are_not_there_are_differences() {
        let (client, plan) = (Client::new(Memory::new()), Plan::new(40));
        let stored = plan
            .jobs
            .iter()
            .filter(|planned| planned.kind != Kind::Report);
        let jobs = stored
            .map(|planned| plan.build(&client, planned).unwrap())
            .collect();
        client.insert(jobs).await.unwrap();
        let rows = rows(
            &client,
            &plan,
            &Seen {
                twin: None,
                late_calls: 1,
            },
        )
        .await
        .unwrap();
        assert!(
            rows.iter().all(|row| !row.differences.is_empty()),
            "{rows:?}"
        );
        let told = |kind: Kind| {
            rows.iter()
                .find(|row| row.task == kind.task())
                .unwrap()
                .differences
                .join("\n")
        };
        assert!(told(Kind::Report).contains("is not in the storage"));
        assert!(told(Kind::Quick).contains("is pending instead of completed"));
        assert!(told(Kind::Quick).ends_with("more"), "{}", told(Kind::Quick));
        assert!(told(Kind::Late).contains("its handler was called 1 times"));
        assert!(told(Kind::Once).contains("the second enqueue was answered with None"));
    }

    #[test]
    fn a_second_job_under_the_unique_key_is_a_difference() {
        let plan = Plan::new(20);
        let seen = Seen {
            twin: Some(Inserted::Existing(plan.only(Kind::Once))),
            late_calls: 0,
        };
        assert_eq!(twin_difference(&plan, &seen, false), None);
        let found = twin_difference(&plan, &seen, true).unwrap();
        assert!(found.contains("is stored under the same key"), "{found}");
    }
}
