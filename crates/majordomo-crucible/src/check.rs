//! The checker: reads every job with its history and says what is wrong with it.
//!
//! A stale write that was accepted can't hide. Tokens count the claims, so if an
//! attempt other than the last one ended a job, or two attempts overlap by the
//! storage's clock, or a token is missing, a fence was passed.

use std::collections::BTreeSet;
use std::fmt;

use majordomo::core::{DeadReason, EndingKind, limits};
use majordomo::{Client, Details, Filter, JobId, Order, State};

/// What a run left behind.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Everything that should not be, in words.
    pub(crate) wrong: Vec<String>,
    pub(crate) completed: usize,
    pub(crate) poisoned: usize,
    pub(crate) lost_attempts: usize,
    pub(crate) released_attempts: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            completed,
            poisoned,
            lost_attempts,
            released_attempts,
            wrong,
        } = self;
        let wrong = wrong.len();
        write!(
            f,
            "{completed} completed, {poisoned} dead as poison, {wrong} wrong; "
        )?;
        write!(
            f,
            "{lost_attempts} attempts lost with their worker, {released_attempts} given back"
        )
    }
}

/// Checks every job there is against those that were enqueued.
pub(crate) async fn check(jobs: &Client, enqueued: &BTreeSet<JobId>) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page = jobs
            .find(&Filter::all(), Order::default(), after, limits::PAGE)
            .await?;
        let ids: Vec<JobId> = page.items.iter().map(|job| job.id).collect();
        for details in jobs.storage().get(&ids).await?.into_iter().flatten() {
            found.insert(details.job.id);
            verdict.take(&details);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    verdict.wrong.extend(
        enqueued
            .difference(&found)
            .map(|id| format!("job {id} is lost")),
    );
    verdict.wrong.extend(
        found
            .difference(enqueued)
            .map(|id| format!("job {id} was enqueued by nobody")),
    );
    Ok(verdict)
}

impl Verdict {
    pub(crate) fn take(&mut self, details: &Details) {
        self.wrong.extend(
            faults(details)
                .into_iter()
                .map(|fault| format!("job {}: {fault}", details.job.id)),
        );
        match details.job.state {
            State::Completed => self.completed += 1,
            State::Dead => self.poisoned += 1,
            _ => {}
        }
        let count = |kind| {
            details
                .attempts
                .iter()
                .filter(|attempt| attempt.ending == Some(kind))
                .count()
        };
        self.lost_attempts += count(EndingKind::Lost);
        self.released_attempts += count(EndingKind::Released);
    }
}

/// Everything wrong with one job.
fn faults(details: &Details) -> Vec<String> {
    let (job, attempts) = (&details.job, &details.attempts);
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    let tokens: Vec<u64> = attempts.iter().map(|attempt| attempt.token).collect();
    expect(
        tokens.iter().copied().eq(1..=job.token),
        format!("its token is {}, its attempts are {tokens:?}", job.token),
    );
    for pair in attempts.windows(2) {
        let (ended, next) = (pair[0].ended_at, pair[1].started_at);
        let apart = ended.is_some_and(|ended| ended <= next);
        expect(
            apart,
            format!(
                "attempt {} ended at {ended:?}, the next began at {next}",
                pair[0].token
            ),
        );
        let ending = pair[0].ending;
        let again = ending.is_some_and(|ending| ending.state() == State::Pending);
        expect(
            again,
            format!(
                "attempt {} ended as {ending:?}, and yet there was another",
                pair[0].token
            ),
        );
    }
    let last = attempts.last().and_then(|attempt| attempt.ending);
    match job.state {
        State::Completed => expect(
            last == Some(EndingKind::Completed),
            format!("completed, but its last attempt is {last:?}"),
        ),
        State::Dead => {
            let poison = job.dead_reason == Some(DeadReason::Poison) && job.crashes == 3;
            expect(
                poison,
                format!(
                    "dead because of {:?} after {} crashes",
                    job.dead_reason, job.crashes
                ),
            );
            expect(
                last == Some(EndingKind::Dead),
                format!("dead, but its last attempt is {last:?}"),
            );
        }
        state => expect(false, format!("not in a final state but {state}")),
    }
    faults
}

#[cfg(test)]
mod tests {
    use majordomo::core::{Attempt, Payload};
    use majordomo::{NewJob, Timestamp};

    use super::*;

    fn good() -> Details {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut job = NewJob::new("t", Payload::json(&()).unwrap()).into_job(at(0));
        (job.state, job.token) = (State::Completed, 2);
        let attempt = |token, from, to, ending| Attempt {
            token,
            worker: "w".into(),
            started_at: at(from),
            ended_at: Some(at(to)),
            ending: Some(ending),
            error: None,
        };
        let mut details = Details::of(job);
        details.attempts = vec![
            attempt(1, 1, 3, EndingKind::Lost),
            attempt(2, 3, 4, EndingKind::Completed),
        ];
        details
    }

    #[test]
    fn every_seeded_fault_is_caught() {
        assert_eq!(faults(&good()), Vec::<String>::new());
        type Spoil = fn(&mut Details);
        let table: [(Spoil, &str); 6] = [
            (
                |d| d.attempts[0].ending = Some(EndingKind::Completed),
                "and yet there was another",
            ),
            (
                |d| d.attempts[0].ended_at = d.attempts[1].ended_at,
                "the next began at",
            ),
            (|d| drop(d.attempts.remove(0)), "its attempts are [2]"),
            (
                |d| d.attempts[1].ending = Some(EndingKind::Lost),
                "its last attempt is",
            ),
            (
                |d| d.job.state = State::Running,
                "not in a final state but running",
            ),
            (|d| d.job.state = State::Dead, "dead because of None"),
        ];
        for (spoil, expected) in table {
            let mut details = good();
            spoil(&mut details);
            let found = faults(&details).join("; ");
            assert!(found.contains(expected), "{found}");
        }
    }

    #[tokio::test]
    async fn jobs_that_are_lost_or_that_nobody_enqueued_are_caught() {
        let jobs = Client::new(majordomo::Memory::new());
        let unknown = NewJob::new("t", Payload::json(&()).unwrap());
        jobs.insert(vec![unknown]).await.unwrap();
        let verdict = check(&jobs, &BTreeSet::from([JobId::new()])).await.unwrap();
        let wrong = verdict.wrong.join("; ");
        assert!(
            wrong.contains("is lost") && wrong.contains("was enqueued by nobody"),
            "{wrong}"
        );
    }
}
