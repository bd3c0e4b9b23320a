//! What is compared after each step of a sequence.

use super::*;
use crate::model::{Counted, ModelJob};
use majordomo_core::series::Tally;
use majordomo_core::{By, Query, Width};

/// Compares what was answered with what the model says must be.
pub(super) fn replies(expected: &Reply, actual: &Reply) -> Compared {
    let agree = match (expected, actual) {
        (Reply::Claimed(expected), Reply::Claimed(actual)) => claims_agree(expected, actual),
        (
            Reply::Settled(expected, Some(expected_claim)),
            Reply::Settled(actual, Some(actual_claim)),
        ) => expected == actual && claims_agree(expected_claim, actual_claim),
        _ => expected == actual,
    };
    if agree {
        Ok(())
    } else {
        Err(format!(
            "the model answers {expected:?}, the storage {actual:?}"
        ))
    }
}

fn claims_agree(expected: &ClaimReply, actual: &ClaimReply) -> bool {
    expected.jobs == actual.jobs
        && actual
            .next_due
            .iter()
            .all(|due| expected.next_due.contains(due))
}

/// Whatever the model says: nothing starts before its time or after its expiry.
///
/// # Panics
/// If something does.
pub(super) fn starts(claimed: &Claimed) {
    for (Details { job, .. }, lease) in &claimed.jobs {
        assert_eq!(job.lease.as_ref(), Some(lease));
        assert!(job.due <= claimed.now, "{} starts before it is due", job.id);
        assert!(
            job.expires.is_none_or(|expires| expires > claimed.now),
            "{} starts after its expiry",
            job.id
        );
    }
}

impl Run {
    /// Compares all jobs, and checks what must hold of them whatever the model says.
    pub(super) async fn compare_jobs(&mut self) -> Compared {
        let storage = &self.subject.storage;
        let told = |error: majordomo_core::Error| format!("the jobs can't be read: {error:?}");
        let found = storage
            .find(&Filter::all(), Order::default(), None, 1000)
            .await
            .map_err(told)?
            .items;
        let ids: Vec<JobId> = self
            .model
            .jobs
            .iter()
            .map(|job| id_of(job.number))
            .collect();
        let listed: Vec<JobId> = found.iter().map(|job| job.id).collect();
        if ids != listed {
            return Err(format!("the model keeps {ids:?}, the storage {listed:?}"));
        }
        let details = storage.get(&ids).await.map_err(told)?;
        for ((expected, found), details) in self.model.jobs.iter().zip(&found).zip(details) {
            let details = details
                .ok_or_else(|| format!("job {} is found and can't be got", expected.number))?;
            if details.job != *found {
                return Err(format!(
                    "`find` and `get` do not agree: {found:?} and {:?}",
                    details.job
                ));
            }
            self.compare_job(expected, &details)?;
        }
        keys_have_one_live_holder(&found)?;
        self.watch(&found)
    }

    fn compare_job(&self, expected: &ModelJob, stored: &Details) -> Compared {
        let at = |instant: Timestamp| self.offset(instant);
        let job = &stored.job;
        let actual = ModelJob {
            attempts: stored
                .attempts
                .iter()
                .map(|attempt| crate::model::ModelAttempt {
                    token: attempt.token,
                    ending: attempt.ending,
                    swept: attempt.error.is_some(),
                })
                .collect(),
            task: expected.task,
            queue: expected.queue,
            limit_key: expected.limit_key,
            number: expected.number,
            holds: expected.holds.clone(),
            priority: job.priority,
            due: at(job.due),
            expires: job.expires.map(at),
            retention: job.retention.map(time::micros_of),
            state: job.state,
            token: job.token,
            charged: job.charged,
            crashes: job.crashes,
            revision: job.revision,
            created_at: at(job.created_at),
            changed_at: at(job.changed_at),
            started_at: job.started_at.map(at),
            ended_at: job.ended_at.map(at),
            lease_ends: job.lease.as_ref().map(|lease| at(lease.expires)),
            cancel_requested: job.cancel_requested,
            dead_reason: job.dead_reason,
        };
        let names = (
            task_of(expected.task),
            queue_of(expected.queue),
            expected.limit_key.map(limit_key_of),
        );
        let stored = (job.task.clone(), job.queue.clone(), job.limit_key.clone());
        if actual != *expected || names != stored {
            return Err(format!(
                "the model has {expected:?}, the storage {actual:?} under {stored:?}"
            ));
        }
        Ok(())
    }

    /// Tokens never go back, and only legal transitions happen.
    fn watch(&mut self, found: &[Job]) -> Compared {
        let seen: BTreeMap<_, _> = found
            .iter()
            .map(|job| (job.id, (job.state, job.token)))
            .collect();
        for (id, (state, token)) in &seen {
            // A step can claim what it has just settled, and end what it has just let go.
            let Some((before, earlier)) = self.seen.get(id) else {
                continue;
            };
            if token < earlier {
                return Err(format!(
                    "the token of {id} went back from {earlier} to {token}"
                ));
            }
            if !is_reachable(*before, *state) {
                return Err(format!("{id} went from {before} to {state}"));
            }
        }
        self.seen = seen;
        Ok(())
    }

    /// Compares the statistics with a recount of all that the model counted.
    pub(super) async fn compare_series(&self) -> Compared {
        let to = time::after(self.began, std::time::Duration::from_secs(1_000_000));
        for by in [By::All, By::Task, By::Queue] {
            let query = Query {
                by,
                from: self.began,
                to,
                width: Width::Minute,
            };
            let buckets = self.subject.storage.series(&query).await;
            let buckets =
                buckets.map_err(|error| format!("the statistics can't be read: {error:?}"))?;
            let mut recount = BTreeMap::<(Timestamp, String), Tally>::new();
            for counted in &self.model.counted {
                let at = time::from_micros(self.began.as_microsecond() + counted.at);
                let name = match by {
                    By::All => String::new(),
                    By::Task => task_of(counted.task),
                    By::Queue => queue_of(counted.queue),
                };
                add(
                    recount
                        .entry((Width::Minute.start_of(at), name))
                        .or_default(),
                    counted,
                );
            }
            let stored: BTreeMap<_, _> = buckets
                .into_iter()
                .map(|bucket| ((bucket.start, bucket.name), bucket.tally))
                .collect();
            if stored != recount {
                return Err(format!(
                    "the statistics are {stored:?}, a recount gives {recount:?}"
                ));
            }
        }
        Ok(())
    }
}

fn add(tally: &mut Tally, counted: &Counted) {
    *tally.count_mut(counted.kind) += 1;
    if let Some((run, wait)) = counted.took {
        tally
            .run
            .add(std::time::Duration::from_micros(run.unsigned_abs()));
        tally
            .wait
            .add(std::time::Duration::from_micros(wait.unsigned_abs()));
    }
}

/// Whether legal transitions lead from one state to another within one step.
fn is_reachable(from: State, to: State) -> bool {
    let next = |from: State| {
        TRANSITIONS
            .iter()
            .filter(move |(a, _, _)| *a == from)
            .map(|(_, b, _)| *b)
    };
    from == to || next(from).any(|middle| middle == to || next(middle).any(|end| end == to))
}

fn keys_have_one_live_holder(found: &[Job]) -> Compared {
    let mut holders = BTreeMap::<&str, JobId>::new();
    for job in found.iter().filter(|job| !job.state.is_finished()) {
        for hold in job
            .holds
            .iter()
            .filter(|hold| hold.until == Until::Finished)
        {
            if let Some(other) = holders.insert(&hold.key, job.id) {
                return Err(format!(
                    "the key `{}` is held by {other} and {}",
                    hold.key, job.id
                ));
            }
        }
    }
    Ok(())
}
