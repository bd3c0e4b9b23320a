//! The sweeper: finds leases that ran out and ends those attempts, and expires
//! jobs that no worker asked for in time. Every worker runs one; all of them at
//! once do no harm, because each ending is fenced.
//!
//! # Who is to blame
//!
//! When a process vanishes, everything it ran is lost, but at most one of those
//! jobs took it down. Blame means a charged attempt and a crash to the job's
//! name; three crashes make it dead as `poison`. So the blame goes to the jobs
//! with the most crashes among those that were lost together: a job that was
//! there at an earlier crash is more likely the cause than one that was not.
//! Where all are alike nobody can tell, and all are charged. From two crashes
//! on a job is a suspect and runs one at a time per process, so the third crash
//! hits the right one: its neighbours are given back without charge.
//!
//! The leases of one process run out at different times, up to a heartbeat
//! apart. They are judged together, once the last of them has run out; one that
//! ran out long ago under a worker that still lives is judged alone.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::ending::{Ending, Outcome, Proof, decide};
use majordomo_core::job::{Failure, FailureKind, Job};
use majordomo_core::{
    Change, Changed, Filter, Order, Result, Settled, State, Storage, Timestamp, limits, time,
};

/// How long after its end a lease is swept although its worker holds others.
const LINGER: Duration = Duration::from_secs(60);

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Attempts ended because their lease had run out.
    pub lost: u64,
    /// Jobs expired before they started.
    pub expired: u64,
}

/// Sweeps once.
///
/// # Errors
/// If the storage can't be reached. The next sweep goes on.
pub async fn sweep(storage: &dyn Storage) -> Result<Swept> {
    let lost = find_lost(storage).await?;
    Ok(Swept {
        lost: end_lost(storage, lost).await?,
        expired: end_expired(storage).await?,
    })
}

/// The jobs to be judged: those whose lease has run out, together with all the
/// others of their worker.
pub(crate) async fn find_lost(storage: &dyn Storage) -> Result<Vec<Job>> {
    let filter = Filter {
        lease_expired: true,
        ..Filter::all()
    };
    let found = all(storage, &filter).await?;
    if found.is_empty() {
        return Ok(found);
    }
    let now = storage.now().await?;
    let mut lost: Vec<Job> = Vec::new();
    for (worker, mut together) in by_worker(found) {
        let running = Filter {
            worker: Some(worker),
            ..Filter::all().state(State::Running)
        };
        let holds_more = all(storage, &running)
            .await?
            .iter()
            .any(|job| !job.is_lease_expired(now));
        if holds_more {
            together.retain(|job| has_lingered(job, now));
        }
        lost.extend(together);
    }
    Ok(lost)
}

/// Ends the attempts of lost jobs, and says how many.
pub(crate) async fn end_lost(storage: &dyn Storage, lost: Vec<Job>) -> Result<u64> {
    let now = storage.now().await?;
    let endings = endings_of(lost, now, fastrand::f64);
    let mut applied = 0;
    for chunk in endings.chunks(limits::PAGE) {
        let (settled, _) = storage.settle(chunk.to_vec(), None).await?;
        let ended = |settled: &&Settled| matches!(settled, Settled::Applied(_));
        applied += settled.iter().filter(ended).count() as u64;
    }
    Ok(applied)
}

/// Expires jobs that never started in time, and says how many.
pub(crate) async fn end_expired(storage: &dyn Storage) -> Result<u64> {
    let filter = Filter {
        past_expiry: true,
        ..Filter::all()
    };
    let (mut expired, mut after) = (0, None);
    loop {
        let page = storage
            .change(&filter, &Change::Expire, after, limits::PAGE)
            .await?;
        let done = |(_, changed): &&(_, Changed)| matches!(changed, Changed::Done(_));
        expired += page.items.iter().filter(done).count() as u64;
        after = page.next;
        if after.is_none() {
            return Ok(expired);
        }
    }
}

async fn all(storage: &dyn Storage, filter: &Filter) -> Result<Vec<Job>> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = storage
            .find(filter, Order::default(), after, limits::PAGE)
            .await?;
        jobs.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(jobs);
        }
    }
}

fn has_lingered(job: &Job, now: Timestamp) -> bool {
    let ended = job.lease.as_ref().map(|lease| lease.expires);
    ended.is_some_and(|ended| time::after(ended, LINGER) <= now)
}

fn by_worker(jobs: Vec<Job>) -> BTreeMap<String, Vec<Job>> {
    let mut by_worker: BTreeMap<String, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        if let Some(lease) = &job.lease {
            by_worker.entry(lease.worker.clone()).or_default().push(job);
        }
    }
    by_worker
}

/// The endings of attempts that were lost, decided purely.
fn endings_of(lost: Vec<Job>, now: Timestamp, random: impl Fn() -> f64) -> Vec<Ending> {
    by_worker(lost)
        .into_values()
        .flat_map(|together| endings_together(together, now, &random))
        .collect()
}

fn endings_together(together: Vec<Job>, now: Timestamp, random: &impl Fn() -> f64) -> Vec<Ending> {
    let most = together.iter().map(|job| job.crashes).max().unwrap_or(0);
    let ending = |job: Job| {
        let outcome = if job.crashes == most {
            Outcome::Lost
        } else {
            Outcome::Released
        };
        let verdict = decide(&job, &outcome, None, now, random());
        let lease = job.lease?;
        let message = format!(
            "the lease of worker `{}` ran out: it vanished, or could not reach the storage",
            lease.worker
        );
        let error = Some(Failure::new(FailureKind::LeaseLost, &message));
        Some(Ending {
            proof: Proof::Expired,
            error,
            ..Ending::new(lease, verdict)
        })
    };
    together.into_iter().filter_map(ending).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use majordomo_core::{
        Claim, DeadReason, ManualClock, Memory, NewJob, Payload, Repeat, State, Verdict,
    };

    use super::*;

    fn running(worker: &str, crashes: u32) -> Job {
        let mut job = NewJob::new("t", Payload::json(&()).unwrap()).into_job(Timestamp::UNIX_EPOCH);
        job.state = State::Running;
        job.crashes = crashes;
        job.lease = Some(majordomo_core::Lease {
            job: job.id,
            token: 1,
            worker: worker.into(),
            expires: job.created_at,
        });
        job
    }

    fn verdicts(jobs: Vec<Job>) -> Vec<Verdict> {
        endings_of(jobs, Timestamp::UNIX_EPOCH, || 0.5)
            .into_iter()
            .map(|ending| ending.verdict)
            .collect()
    }

    #[test]
    fn the_blame_goes_to_those_with_the_most_crashes() {
        let together = verdicts(vec![running("a", 0), running("a", 2), running("a", 1)]);
        assert_eq!(
            together,
            [
                Verdict::Release,
                Verdict::Dead {
                    reason: DeadReason::Poison
                },
                Verdict::Release
            ]
        );
        let alike = verdicts(vec![running("a", 0), running("a", 0)]);
        assert!(
            alike
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Lost { .. }))
        );
    }

    #[test]
    fn one_process_is_not_blamed_for_another() {
        let two = verdicts(vec![running("a", 0), running("b", 1)]);
        assert!(
            two.iter()
                .all(|verdict| matches!(verdict, Verdict::Lost { .. }))
        );
    }

    #[tokio::test]
    async fn a_sweep_ends_what_ran_out_and_nothing_else() {
        let clock = ManualClock::default();
        let storage = Memory::with_clock(std::sync::Arc::new(clock.clone()));
        let job = || NewJob::new("t", Payload::json(&()).unwrap());
        let expiring = NewJob {
            expires: Some(Duration::from_secs(5).into()),
            queue: "other".into(),
            ..job()
        };
        storage
            .insert(vec![vec![job(), expiring]], Repeat::First)
            .await
            .unwrap();
        let claim = Claim {
            worker: "w".into(),
            queues: vec![("default".into(), 10)],
            tasks: vec!["t".into()],
            lease: Duration::from_secs(30),
            suspects: 1,
        };
        assert_eq!(storage.claim(claim).await.unwrap().jobs.len(), 1);
        assert_eq!(sweep(&storage).await.unwrap(), Swept::default());
        clock.advance(Duration::from_secs(30));
        assert_eq!(
            sweep(&storage).await.unwrap(),
            Swept {
                lost: 1,
                expired: 1
            }
        );
        assert_eq!(sweep(&storage).await.unwrap(), Swept::default());
    }
}
