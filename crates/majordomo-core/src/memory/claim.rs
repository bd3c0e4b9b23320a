//! Claim: which pending jobs go to a worker, under which controls.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::control::Scope;
use crate::ending::EndingKind;
use crate::id::JobId;
use crate::job::{Attempt, Details, Job, record_attempt};
use crate::lease::Lease;
use crate::state::State;
use crate::storage::{Claim, Claimed};
use crate::time;

use super::tables::{Lane, Tables};

/// What a claim may still take.
struct Budget<'a> {
    tasks: HashSet<&'a str>,
    suspects: usize,
    /// How many more jobs each limited scope allows.
    rooms: Vec<(Scope, u64)>,
}

impl Budget<'_> {
    /// Whether nothing more may start in this queue.
    fn is_closed(&self, queue: &str) -> bool {
        self.rooms
            .iter()
            .any(|(scope, room)| *room == 0 && matches!(scope, Scope::Queue(name) if name == queue))
    }

    /// Takes `job` out of the budget, if it is within.
    fn take(&mut self, job: &Job) -> bool {
        let allowed = (self.suspects > 0 || !job.is_suspect())
            && self
                .rooms
                .iter()
                .all(|(scope, room)| *room > 0 || !scope.covers(job));
        if allowed {
            self.suspects -= usize::from(job.is_suspect());
            for (_, room) in self.rooms.iter_mut().filter(|(scope, _)| scope.covers(job)) {
                *room -= 1;
            }
        }
        allowed
    }
}

impl Tables {
    /// Takes due jobs for a worker.
    pub(super) fn claim(&mut self, claim: &Claim, now: Timestamp) -> Claimed {
        let mut budget = Budget {
            tasks: claim.tasks.iter().map(String::as_str).collect(),
            suspects: claim.suspects,
            rooms: self.rooms(now),
        };
        let (mut taken, mut expired) = (Vec::new(), Vec::new());
        let mut short = false;
        for (queue, wanted) in &claim.queues {
            let before = taken.len();
            // A queue that is paused or full is not walked; what expires in it
            // is found by `past_expiry`.
            let closed = budget.is_closed(queue);
            if let Some(lane) = self.lanes.get(queue).filter(|_| !closed) {
                self.pick(lane, *wanted, now, &mut budget, &mut taken, &mut expired);
            }
            short |= taken.len() - before < *wanted;
        }
        for id in expired {
            self.expire(id, now);
        }
        let jobs = taken
            .into_iter()
            .filter_map(|id| self.start(id, claim, now))
            .collect();
        let next_due = if short {
            self.next_due(claim, &budget.tasks, now)
        } else {
            None
        };
        Claimed {
            now,
            jobs,
            next_due,
        }
    }

    fn pick(
        &self,
        lane: &Lane,
        wanted: usize,
        now: Timestamp,
        budget: &mut Budget<'_>,
        taken: &mut Vec<JobId>,
        expired: &mut Vec<JobId>,
    ) {
        let most = taken.len() + wanted;
        let due = lane
            .values()
            .flat_map(|level| level.iter().take_while(|(due, _)| *due <= now));
        for (_, id) in due {
            if taken.len() == most {
                return;
            }
            let Some(details) = self.jobs.get(id) else {
                continue;
            };
            if !budget.tasks.contains(details.job.task.as_str()) {
                // Left to a worker that knows it, also if it is past its expiry.
            } else if details.job.is_past_expiry(now) {
                expired.push(*id);
            } else if budget.take(&details.job) {
                taken.push(*id);
            }
        }
    }

    /// How many more jobs may start in each scope that has a limit.
    fn rooms(&self, now: Timestamp) -> Vec<(Scope, u64)> {
        let running = |scope: &Scope| {
            let running = self.leases.iter().filter_map(|(_, id)| self.jobs.get(id));
            running.filter(|details| scope.covers(&details.job)).count() as u64
        };
        let room = |(scope, control): (&Scope, &crate::control::Control)| {
            let count = if control.max_running.is_some() {
                running(scope)
            } else {
                0
            };
            control.room(count, now).map(|room| (scope.clone(), room))
        };
        self.controls.iter().filter_map(room).collect()
    }

    /// Ends a pending job whose expiry has passed.
    pub(super) fn expire(&mut self, id: JobId, now: Timestamp) {
        self.update(id, |details| {
            crate::change::Change::Expire.apply(&mut details.job, now);
        });
        self.close(id, Some((EndingKind::Expired, None)), now);
    }

    fn start(&mut self, id: JobId, claim: &Claim, now: Timestamp) -> Option<(Details, Lease)> {
        let started = self.update(id, |details| {
            let job = &mut details.job;
            job.token += 1;
            let expires = time::after(now, claim.lease);
            let lease = Lease {
                job: id,
                token: job.token,
                worker: claim.worker.clone(),
                expires,
            };
            job.state = State::Running;
            job.started_at = Some(now);
            job.changed_at = now;
            job.lease = Some(lease.clone());
            let attempt = Attempt {
                token: lease.token,
                worker: lease.worker.clone(),
                started_at: now,
                ended_at: None,
                ending: None,
                error: None,
            };
            record_attempt(&mut details.attempts, attempt);
            (details.clone(), lease)
        })?;
        self.close(id, None, now);
        Some(started)
    }

    fn next_due(&self, claim: &Claim, tasks: &HashSet<&str>, now: Timestamp) -> Option<Timestamp> {
        let known = |id: &JobId| {
            self.jobs
                .get(id)
                .is_some_and(|details| tasks.contains(details.job.task.as_str()))
        };
        let lanes = claim
            .queues
            .iter()
            .filter_map(|(queue, _)| self.lanes.get(queue));
        let levels = lanes.flat_map(Lane::values);
        let first = |level: &std::collections::BTreeSet<(Timestamp, JobId)>| {
            let later = (
                std::ops::Bound::Excluded((now, JobId::from(uuid::Uuid::max()))),
                std::ops::Bound::Unbounded,
            );
            level
                .range(later)
                .find(|(_, id)| known(id))
                .map(|(due, _)| *due)
        };
        levels.filter_map(first).min()
    }
}
