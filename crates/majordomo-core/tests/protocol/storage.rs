//! The storage of the model. It reads, asks the rules of this crate, and writes,
//! as every storage does; the rules are the real ones. Only the claim's own few
//! lines are written out here. A [`Guard`] other than the fence can take its place.

use std::time::Duration;

use majordomo_core::ending::{self, Again, Ending, Outcome, Proof, decide};
use majordomo_core::state::{Cause, TRANSITIONS};
use majordomo_core::{
    Attempt, Backoff, Change, DeadReason, EndingKind, Failure, FailureKind, Job, Lease, NewJob,
    Payload, State, Timestamp, When, time,
};

use crate::world::{About, Accepted, BACKOFF, Claim, End, Kept, LEASE, MAX_ATTEMPTS, World};

/// What stands between a call and the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The fence: the rules of this crate.
    Token,
    /// Tempting: the job is running.
    State,
    /// Tempting: the job is running on this worker.
    Worker,
    /// Tempting: the job is running, and this is its so-manieth attempt.
    AttemptNumber,
    /// Tempting: the fence, and the sweeper's word for it that the lease has run out.
    OldLook,
}

impl Guard {
    fn is_current(self, about: About, lease: &Lease, job: &Job) -> bool {
        let running = job.state == State::Running;
        match self {
            Self::Token | Self::OldLook => lease.is_current(job),
            Self::State => running,
            Self::Worker => {
                running
                    && job
                        .lease
                        .as_ref()
                        .is_some_and(|now| now.worker == lease.worker)
            }
            Self::AttemptNumber => running && job.charged == u32::from(about.charged),
        }
    }

    fn admits(self, about: About, ending: &Ending, job: &Job) -> bool {
        match self {
            Self::Token => ending.is_admitted(job, now()),
            Self::OldLook => self.is_current(about, &ending.lease, job),
            Self::State | Self::Worker | Self::AttemptNumber => {
                self.is_current(about, &ending.lease, job)
                    && (ending.proof == Proof::Lease || job.is_lease_expired(now()))
            }
        }
    }
}

/// The storage with the jobs as they are to be built.
#[derive(Debug)]
pub(crate) struct Storage {
    guard: Guard,
    template: Job,
}

const TICK: Duration = Duration::from_secs(1);

/// It is always this time: what is kept is the time that is left.
fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn in_ticks(count: u8) -> Timestamp {
    time::after(now(), TICK * u32::from(count))
}

fn ticks_until(instant: Timestamp) -> u8 {
    u8::try_from(time::between(now(), instant).as_secs()).expect("times here are a few ticks")
}

fn name(worker: u8) -> String {
    format!("worker-{worker}")
}

impl Storage {
    pub(crate) fn new(guard: Guard) -> Self {
        let mut new = NewJob::new("t", Payload::json(&()).expect("a unit is JSON"));
        new.max_attempts = MAX_ATTEMPTS.into();
        new.backoff = Backoff::fixed(TICK * u32::from(BACKOFF));
        let template = new.into_job(now());
        Self { guard, template }
    }

    pub(crate) fn is_due(&self, kept: &Kept) -> bool {
        self.job(kept).is_due(now())
    }

    pub(crate) fn is_lease_expired(&self, kept: &Kept) -> bool {
        self.job(kept).is_lease_expired(now())
    }

    /// Starts an attempt of a job that is due.
    pub(crate) fn claim(&self, world: &mut World, index: u8, worker: u8) -> About {
        let kept = &mut world.jobs[usize::from(index)];
        world.seen.illegal |= !is_legal(kept.state, State::Running, Cause::Claim);
        kept.token += 1;
        kept.state = State::Running;
        kept.lease = Some((worker, LEASE));
        kept.claims.push(Claim {
            worker,
            endings: Vec::new(),
        });
        About {
            job: index,
            token: kept.token,
            worker,
            charged: kept.charged,
            crashes: kept.crashes,
        }
    }

    /// Extends a lease, and says whether there was one to extend.
    pub(crate) fn renew(&self, world: &mut World, about: About) -> bool {
        let kept = &mut world.jobs[usize::from(about.job)];
        let job = self.job(kept);
        if !self.guard.is_current(about, &self.lease(about), &job) {
            return false;
        }
        world.seen.stale_write |= is_over(kept, about);
        if let Some((_, left)) = &mut kept.lease {
            *left = LEASE;
        }
        true
    }

    /// Ends an attempt, and says whether it counts: written now, or before.
    pub(crate) fn settle(&self, world: &mut World, about: About, end: End) -> bool {
        let ending = self.ending(about, end);
        let kept = &mut world.jobs[usize::from(about.job)];
        let mut job = self.job(kept);
        let told = if self.guard.admits(about, &ending, &job) {
            world.seen.stale_write |= is_over(kept, about);
            let ran_out = kept.lease.is_none_or(|(_, left)| left == 0);
            world.seen.live_swept |= end.is_swept() && !ran_out;
            let before = job.state;
            let kind = ending::apply(&mut job, &ending, now());
            world.seen.illegal |= !is_legal(before, job.state, Cause::End(kind));
            kept.take(&job);
            let claim = &mut kept.claims[usize::from(about.token) - 1];
            claim.endings.push(Accepted {
                kind,
                swept: end.is_swept(),
            });
            true
        } else {
            attempt(kept, about.token).is_some_and(|attempt| ending.is_repeat_of(&attempt))
        };
        if told {
            let claim = &kept.claims[usize::from(about.token) - 1];
            let true_answer = claim.endings.last().is_some_and(|written| {
                written.swept == end.is_swept() && may_be_written_as(end, written.kind)
            });
            world.seen.false_answer |= !true_answer;
        }
        told
    }

    /// Makes an operator's change, if it is admitted.
    pub(crate) fn change(&self, world: &mut World, index: u8, change: &Change) -> bool {
        let kept = &mut world.jobs[usize::from(index)];
        let mut job = self.job(kept);
        if change.admit(&job).is_err() {
            return false;
        }
        let before = job.state;
        if !change.apply(&mut job, now()) {
            return false;
        }
        let cause = match change {
            Change::Retry { .. } => Cause::Retry,
            _ => Cause::Cancel,
        };
        let asked_to_stop = before == State::Running && job.state == State::Running;
        world.seen.illegal |= !asked_to_stop && !is_legal(before, job.state, cause);
        if cause == Cause::Retry {
            kept.over = false;
        }
        kept.take(&job);
        true
    }

    /// The ending as its sender decides it: by what it knows of the job.
    fn ending(&self, about: About, end: End) -> Ending {
        let mut known = self.template.clone();
        known.state = State::Running;
        known.token = about.token.into();
        known.charged = about.charged.into();
        known.crashes = about.crashes.into();
        known.lease = Some(self.lease(about));
        let outcome = match end {
            End::Completed => Outcome::Completed,
            End::Failed => Outcome::Failed(Again::ByPolicy),
            End::Released | End::Spared => Outcome::Released,
            End::Cancelled => Outcome::Cancelled,
            End::Lost => Outcome::Lost,
        };
        let mut ending = Ending::new(
            self.lease(about),
            decide(&known, &outcome, None, now(), 0.5),
        );
        if end.is_swept() {
            ending.proof = Proof::Expired;
            ending.error = Some(Failure::new(FailureKind::LeaseLost, "lost"));
        }
        ending
    }

    fn lease(&self, about: About) -> Lease {
        Lease {
            job: self.template.id,
            token: about.token.into(),
            worker: name(about.worker),
            // Only the sweeper's wait counts from here. Long ago is the freest
            // choice: what is due sooner can still be claimed later.
            expires: time::from_micros(-time::micros_of(TICK * u32::from(BACKOFF))),
        }
    }

    fn job(&self, kept: &Kept) -> Job {
        let mut job = self.template.clone();
        job.state = kept.state;
        job.token = kept.token.into();
        job.charged = kept.charged.into();
        job.crashes = kept.crashes.into();
        job.due = in_ticks(kept.due_in);
        job.lease = kept.lease.map(|(worker, left)| Lease {
            job: job.id,
            token: job.token,
            worker: name(worker),
            expires: in_ticks(left),
        });
        job.cancel_requested = kept.cancel_requested;
        job.dead_reason = kept.poison.then_some(DeadReason::Poison);
        job
    }
}

impl Kept {
    /// Takes over what a rule has written into the job.
    fn take(&mut self, job: &Job) {
        let small = |count: u32| u8::try_from(count).expect("counts here are small");
        self.state = job.state;
        self.charged = small(job.charged);
        self.crashes = small(job.crashes);
        // Once it is over, when it was due is of no interest.
        self.due_in = match job.state {
            State::Pending => ticks_until(job.due),
            _ => 0,
        };
        self.cancel_requested = job.cancel_requested;
        self.poison = job.dead_reason == Some(DeadReason::Poison);
        if job.lease.is_none() {
            self.lease = None;
        }
        self.over |= job.state.is_finished();
    }
}

/// What an operator asks for when a job is to run again.
pub(crate) const RETRY: Change = Change::Retry { due: When::Now };

fn attempt(kept: &Kept, token: u8) -> Option<Attempt> {
    let claim = kept.claims.get(usize::from(token) - 1)?;
    let ended = claim.endings.last();
    Some(Attempt {
        token: token.into(),
        worker: name(claim.worker),
        started_at: now(),
        ended_at: ended.map(|_| now()),
        ending: ended.map(|ended| ended.kind),
        error: ended
            .filter(|ended| ended.swept)
            .map(|_| Failure::new(FailureKind::LeaseLost, "lost")),
    })
}

/// Whether the attempt is over, or not the latest: nothing may be written about it.
fn is_over(kept: &Kept, about: About) -> bool {
    let ended = kept
        .claims
        .get(usize::from(about.token) - 1)
        .is_none_or(|claim| !claim.endings.is_empty());
    ended || !is_last(kept, about)
}

fn is_last(kept: &Kept, about: About) -> bool {
    kept.claims.len() == usize::from(about.token)
}

/// What a sender may be told that its ending became.
fn may_be_written_as(end: End, kind: EndingKind) -> bool {
    let kinds: &[EndingKind] = match end {
        End::Completed => &[EndingKind::Completed],
        End::Failed => &[EndingKind::Retried, EndingKind::Dead, EndingKind::Cancelled],
        End::Released | End::Spared => &[EndingKind::Released, EndingKind::Cancelled],
        End::Cancelled => &[EndingKind::Cancelled],
        End::Lost => &[EndingKind::Lost, EndingKind::Dead, EndingKind::Cancelled],
    };
    kinds.contains(&kind)
}

fn is_legal(from: State, to: State, cause: Cause) -> bool {
    TRANSITIONS.contains(&(from, to, cause))
}
