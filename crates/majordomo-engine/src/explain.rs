//! Why a job is where it is, and what would move it on.
//!
//! `client/explain.rs` gathers the facts; here they are judged, purely. A job
//! can be held up by several things at once, and then all of them are named.

mod words;

use majordomo_core::job::Failure;
use majordomo_core::{Control, DeadReason, Job, JobId, Scope, State, Timestamp};
use serde::Serialize;

use crate::client::{Count, WorkerRecord};

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The job.
    pub id: JobId,
    /// Where it is.
    pub state: State,
    /// When this was so, by the storage's clock.
    pub at: Timestamp,
    /// Why, the most telling first; never empty. The facts were read one after
    /// the other, so on a busy storage they may not be of the same instant.
    pub reasons: Vec<Reason>,
}

/// One reason: a fact, and in its words also what would change it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is over.
    Finished {
        /// How it ended.
        state: State,
        /// When.
        at: Option<Timestamp>,
        /// Why it is dead, if it is.
        dead_reason: Option<DeadReason>,
        /// The error of its latest attempt that failed, if it did not complete.
        error: Option<Failure>,
    },
    /// A key that it would have to take again is held by another job.
    KeyHeld {
        /// The key.
        key: String,
        /// Its holder.
        by: JobId,
    },
    /// It runs.
    Running {
        /// Who runs it.
        worker: String,
        /// Since when.
        since: Option<Timestamp>,
        /// How long its lease lasts, unless it is renewed.
        lease_until: Timestamp,
        /// Whether it was asked to stop.
        is_asked_to_stop: bool,
    },
    /// It was running when its worker vanished, and nobody has noticed yet.
    LeaseOver {
        /// Who ran it.
        worker: String,
        /// Since when its lease is over.
        since: Timestamp,
    },
    /// Its time has not come.
    NotDue {
        /// When it comes.
        due: Timestamp,
    },
    /// It failed and waits for its next attempt.
    Retry {
        /// When that may start.
        due: Timestamp,
        /// Attempts charged so far.
        charged: u32,
        /// Attempts that it gets.
        of: u32,
        /// The error of the latest one.
        error: Option<Failure>,
    },
    /// Its time to start is over.
    Late {
        /// Since when.
        expires: Timestamp,
    },
    /// Its queue, task or limit key is paused.
    Paused {
        /// What is paused.
        scope: Scope,
        /// Why.
        note: String,
        /// When that ends by itself.
        until: Option<Timestamp>,
    },
    /// As many jobs run as its queue, task or limit key allows.
    Full {
        /// What is limited.
        scope: Scope,
        /// How many run.
        running: usize,
        /// How many may.
        max_running: u32,
    },
    /// No worker is alive.
    NoWorker {
        /// The task that one would have to know.
        task: String,
        /// The queue that it would have to take.
        queue: String,
    },
    /// Workers are alive, but none knows the task.
    TaskUnknown {
        /// The task.
        task: String,
        /// Those that are alive.
        workers: Vec<String>,
    },
    /// Workers know the task, but none of them takes the queue.
    QueueNotTaken {
        /// The queue.
        queue: String,
        /// Those that know the task.
        workers: Vec<String>,
    },
    /// Every worker that could run it has its hands full, or runs as many jobs
    /// of its queue as it may.
    Busy {
        /// The jobs that they run; only those of the queue where that is what is full.
        running: usize,
        /// The jobs that they can run at once, likewise.
        slots: usize,
    },
    /// It was lost with its process before, and such jobs run one at a time on
    /// each worker; every worker that could run it runs another such one.
    Suspect {
        /// How often it was lost with its process.
        crashes: u32,
        /// One of those that it waits for.
        behind: JobId,
    },
    /// Others in its queue go first.
    Behind {
        /// How many.
        ahead: Count,
    },
    /// Nothing stands in its way.
    Ready,
    /// It must start by then.
    Expires {
        /// When it expires.
        at: Timestamp,
    },
}

/// What is known about a job and what it depends on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    pub(crate) job: Job,
    pub(crate) controls: Vec<(Scope, Control)>,
    /// The workers that are alive and take jobs.
    pub(crate) workers: Vec<WorkerRecord>,
    /// All jobs that run.
    pub(crate) running: Vec<Job>,
    /// The due jobs of its queue that are claimed before it.
    pub(crate) ahead: Count,
    /// The key of a finished job that another one holds now.
    pub(crate) key_held: Option<(String, JobId)>,
}

/// The reasons, the most telling first.
pub(crate) fn reasons(facts: &Facts) -> Vec<Reason> {
    let job = &facts.job;
    match job.state {
        State::Pending => pending(facts),
        State::Running => vec![running(facts)],
        State::Completed | State::Dead | State::Cancelled | State::Expired => {
            let finished = Reason::Finished {
                state: job.state,
                at: job.ended_at,
                dead_reason: job.dead_reason,
                error: job.error.clone().filter(|_| job.state != State::Completed),
            };
            let held = facts.key_held.clone();
            let held = held.map(|(key, by)| Reason::KeyHeld { key, by });
            std::iter::once(finished).chain(held).collect()
        }
    }
}

fn running(facts: &Facts) -> Reason {
    let job = &facts.job;
    let (worker, until) = match &job.lease {
        Some(lease) => (lease.worker.clone(), lease.expires),
        None => (String::new(), facts.now),
    };
    if job.is_lease_expired(facts.now) {
        return Reason::LeaseOver {
            worker,
            since: until,
        };
    }
    Reason::Running {
        worker,
        since: job.started_at,
        lease_until: until,
        is_asked_to_stop: job.cancel_requested,
    }
}

fn pending(facts: &Facts) -> Vec<Reason> {
    let job = &facts.job;
    if let Some(expires) = job.expires.filter(|_| job.is_past_expiry(facts.now)) {
        return vec![Reason::Late { expires }];
    }
    let is_due = job.due <= facts.now;
    let mut reasons = Vec::new();
    if !is_due {
        reasons.push(waiting(job));
    }
    // A pause that is over when it is due does not matter.
    let matters = job.due.max(facts.now);
    reasons.extend(facts.controls.iter().filter_map(|(scope, control)| {
        let pause = control.paused.clone();
        pause
            .filter(|_| scope.covers(job) && control.is_paused(matters))
            .map(|pause| Reason::Paused {
                scope: scope.clone(),
                note: pause.note,
                until: pause.until,
            })
    }));
    reasons.extend(nobody(facts));
    if is_due {
        reasons.extend(
            facts
                .controls
                .iter()
                .filter_map(|(scope, control)| full(facts, scope, control.max_running?)),
        );
        reasons.extend(hands_full(facts));
        let ahead = facts.ahead;
        reasons.extend((ahead.jobs > 0).then_some(Reason::Behind { ahead }));
    }
    if reasons.is_empty() {
        reasons.push(Reason::Ready);
    }
    reasons.extend(job.expires.map(|at| Reason::Expires { at }));
    reasons
}

fn waiting(job: &Job) -> Reason {
    if job.charged == 0 {
        return Reason::NotDue { due: job.due };
    }
    Reason::Retry {
        due: job.due,
        charged: job.charged,
        of: job.max_attempts,
        error: job.error.clone(),
    }
}

fn full(facts: &Facts, scope: &Scope, max_running: u32) -> Option<Reason> {
    if !scope.covers(&facts.job) {
        return None;
    }
    let running = facts.running.iter().filter(|job| scope.covers(job)).count();
    (running as u64 >= u64::from(max_running)).then(|| Reason::Full {
        scope: scope.clone(),
        running,
        max_running,
    })
}

/// Whether there is no worker for it at all.
fn nobody(facts: &Facts) -> Option<Reason> {
    let job = &facts.job;
    let (task, queue) = (job.task.clone(), job.queue.clone());
    let names = |workers: &mut dyn Iterator<Item = &WorkerRecord>| {
        workers.map(|worker| worker.name.clone()).collect()
    };
    let mut able = facts.workers.iter().filter(|worker| worker.knows(&task));
    if facts.workers.is_empty() {
        Some(Reason::NoWorker { task, queue })
    } else if able.clone().next().is_none() {
        let workers = names(&mut facts.workers.iter());
        Some(Reason::TaskUnknown { task, workers })
    } else if !able.clone().any(|worker| worker.takes(&queue)) {
        let workers = names(&mut able);
        Some(Reason::QueueNotTaken { queue, workers })
    } else {
        None
    }
}

/// Whether the workers that could run it can take no more, or nothing like it.
fn hands_full(facts: &Facts) -> Option<Reason> {
    let job = &facts.job;
    let able: Vec<&WorkerRecord> = could_run(&facts.workers, job).collect();
    let runs = |worker: &WorkerRecord| {
        let name = worker.name.clone();
        facts.running.iter().filter(move |job| {
            let lease = job.lease.as_ref();
            lease.is_some_and(|lease| lease.worker == name)
        })
    };
    if able.is_empty() {
        return None;
    }
    // What it runs, of how many: of this queue, if that is what it can run no more of.
    let slots = |worker: &WorkerRecord| {
        let of_queue = runs(worker)
            .filter(|other| other.queue == job.queue)
            .count();
        match worker.queue_limits.get(&job.queue) {
            Some(&limit) if of_queue >= limit => (of_queue, limit),
            _ => (runs(worker).count(), worker.concurrency),
        }
    };
    let taken: Vec<(usize, usize)> = able.iter().map(|worker| slots(worker)).collect();
    if taken.iter().all(|(running, slots)| running >= slots) {
        return Some(Reason::Busy {
            running: taken.iter().map(|(running, _)| running).sum(),
            slots: taken.iter().map(|(_, slots)| slots).sum(),
        });
    }
    if !job.is_suspect() {
        return None;
    }
    let suspects: Option<Vec<JobId>> = able
        .iter()
        .map(|worker| runs(worker).find(|job| job.is_suspect()).map(|job| job.id))
        .collect();
    let behind = suspects?.first().copied()?;
    let crashes = job.crashes;
    Some(Reason::Suspect { crashes, behind })
}

/// The workers that know its task and take its queue.
pub(crate) fn could_run<'a>(
    workers: &'a [WorkerRecord],
    job: &'a Job,
) -> impl Iterator<Item = &'a WorkerRecord> {
    let able = |worker: &&WorkerRecord| worker.knows(&job.task) && worker.takes(&job.queue);
    workers.iter().filter(able)
}

/// Whether `other` is claimed before `job` if both are due in one queue.
pub(crate) fn goes_before(other: &Job, job: &Job) -> bool {
    let place = |job: &Job| (std::cmp::Reverse(job.priority), job.due, job.id);
    place(other) < place(job)
}

#[cfg(test)]
mod tests;
