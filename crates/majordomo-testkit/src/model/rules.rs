//! The rules of the contract, written a second time.

use majordomo_core::{
    Changed, EndingKind, Inserted, JobId, Renewed, Settled, State, Verdict, When,
};

use super::{
    ClaimStep, Counted, EndingStep, Held, JobStep, Length, Model, ModelAttempt, ModelControl,
    ModelJob, Step, Target, Wait, id_of,
};

pub(super) const SECOND: i64 = 1_000_000;

/// What a storage must answer to a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To an insert.
    Inserted(Vec<Inserted>),
    /// To a claim.
    Claimed(ClaimReply),
    /// To a beat.
    Renewed(Renewed),
    /// To endings.
    Settled(Vec<Settled>, Option<ClaimReply>),
    /// To a change, over all its pages.
    Changed(Vec<(JobId, Changed)>),
    /// To a removal.
    Removed(u64),
    /// To a step that has no answer.
    Done,
}

/// What a storage must answer to a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimReply {
    /// The jobs in order, with their tokens.
    pub jobs: Vec<(JobId, u64)>,
    /// The possible hints for the timer. A job that expires before it is due
    /// may be counted or not.
    pub next_due: Vec<Option<i64>>,
}

impl Model {
    /// Takes a step, and says what a storage must answer to it.
    pub fn take(&mut self, step: &Step) -> Reply {
        match step {
            Step::Insert { jobs, .. } => {
                Reply::Inserted(jobs.iter().map(|job| self.insert(job)).collect())
            }
            Step::Claim(claim) => Reply::Claimed(self.claim(claim)),
            Step::Renew { lease, extend } => Reply::Renewed(self.renew(*lease, *extend)),
            Step::Settle { endings, then } => {
                // Which leases are meant is settled before the claim gives more.
                let settled = endings.iter().map(|ending| self.settle(ending)).collect();
                Reply::Settled(settled, then.as_ref().map(|claim| self.claim(claim)))
            }
            Step::Change { target, change, .. } => Reply::Changed(self.change(*target, *change)),
            Step::Remove { target, limit } => Reply::Removed(self.remove(*target, *limit)),
            Step::Control {
                about,
                paused,
                most,
            } => {
                self.controls.retain(|control| control.about != *about);
                self.controls.push(ModelControl {
                    about: *about,
                    paused: *paused,
                    most: *most,
                });
                Reply::Done
            }
            Step::Advance(seconds) => {
                self.now += seconds * SECOND;
                Reply::Done
            }
        }
    }

    /// Whether a finished job of one of these numbers is kept, so that an insert
    /// of them is no first try.
    #[must_use]
    pub fn knows_finished(&self, jobs: &[JobStep]) -> bool {
        let known = |job: &&ModelJob| jobs.iter().any(|new| new.number == job.number);
        self.jobs
            .iter()
            .filter(known)
            .any(|job| job.state.is_finished())
    }

    /// The lease that is meant: the job's number and the token.
    ///
    /// # Panics
    /// If no lease was ever given.
    #[must_use]
    pub fn lease(&self, from_latest: usize) -> (u8, u64) {
        let count = self.leases.len();
        self.leases[count - 1 - from_latest % count]
    }

    /// Where the job of this number is in the list.
    pub(super) fn find(&self, number: u8) -> Option<usize> {
        self.jobs.iter().position(|job| job.number == number)
    }

    pub(super) fn at(&self, wait: Wait) -> i64 {
        match wait {
            Wait::Now => self.now,
            Wait::In(seconds) => self.now + seconds * SECOND,
            Wait::At(seconds) => seconds * SECOND,
        }
    }

    pub(super) fn holder(&self, key: u8) -> Option<u8> {
        let live = |held: &&Held| match held.length {
            Length::For(seconds) => self.now < held.since + seconds * SECOND,
            Length::Started | Length::Finished => true,
        };
        self.held
            .iter()
            .filter(|held| held.key == key)
            .find(live)
            .map(|held| held.by)
    }

    pub(super) fn hold(&mut self, key: u8, by: u8, length: Length) {
        self.held.retain(|held| held.key != key);
        self.held.push(Held {
            key,
            by,
            length,
            since: self.now,
        });
    }

    fn insert(&mut self, new: &JobStep) -> Inserted {
        if self.find(new.number).is_some() {
            return Inserted::Existing(id_of(new.number));
        }
        for hold in &new.holds {
            if let Some(holder) = self.holder(hold.key) {
                self.conflict(holder, new, hold.conflict);
                return Inserted::Existing(id_of(holder));
            }
        }
        for hold in &new.holds {
            self.hold(hold.key, new.number, hold.length);
        }
        self.jobs.push(ModelJob {
            number: new.number,
            task: new.task,
            queue: new.queue,
            limit_key: new.limit_key,
            priority: new.priority,
            due: self.at(new.due),
            expires: new.expires.map(|seconds| self.now + seconds * SECOND),
            retention: new.retention.map(|seconds| seconds * SECOND),
            holds: new
                .holds
                .iter()
                .map(|hold| (hold.key, hold.length))
                .collect(),
            state: State::Pending,
            token: 0,
            charged: 0,
            crashes: 0,
            revision: 1,
            created_at: self.now,
            changed_at: self.now,
            started_at: None,
            ended_at: None,
            lease_ends: None,
            cancel_requested: false,
            dead_reason: None,
            attempts: Vec::new(),
        });
        self.jobs.sort_by_key(|job| job.number);
        Inserted::New
    }

    fn conflict(&mut self, holder: u8, new: &JobStep, conflict: usize) {
        let (due, expires, now) = (
            self.at(new.due),
            new.expires.map(|seconds| self.now + seconds * SECOND),
            self.now,
        );
        let Some(place) = self.find(holder) else {
            return;
        };
        let job = &mut self.jobs[place];
        if job.state != State::Pending || conflict == 0 {
            return;
        }
        if conflict == 1 {
            (job.task, job.queue, job.limit_key) = (new.task, new.queue, new.limit_key);
            (job.priority, job.expires) = (new.priority, expires);
            job.retention = new.retention.map(|seconds| seconds * SECOND);
        }
        (job.due, job.changed_at, job.revision) = (due, now, job.revision + 1);
    }

    fn covers(about: Target, job: &ModelJob) -> bool {
        match about {
            Target::Queue(queue) => job.queue == queue,
            Target::Task(task) => job.task == task,
            Target::LimitKey(key) => job.limit_key == Some(key),
        }
    }

    /// Whether no control stands in the way of this job.
    fn is_allowed(&self, job: &ModelJob) -> bool {
        self.controls
            .iter()
            .filter(|control| Self::covers(control.about, job))
            .all(|control| {
                let running = |job: &&ModelJob| {
                    job.state == State::Running && Self::covers(control.about, job)
                };
                let running = self.jobs.iter().filter(running).count();
                !control.paused && control.most.is_none_or(|most| running < most as usize)
            })
    }

    fn claim(&mut self, claim: &ClaimStep) -> ClaimReply {
        let now = self.now;
        let wanted = |job: &ModelJob| {
            job.state == State::Pending
                && job.queue == claim.queue
                && claim.tasks.contains(&job.task)
        };
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|place| {
            let job = &self.jobs[*place];
            (-job.priority, job.due, job.number)
        });
        let (mut jobs, mut suspects) = (Vec::new(), claim.suspects);
        for place in order {
            let job = &self.jobs[place];
            let late = job.expires.is_some_and(|expires| expires <= now);
            let suspect = job.crashes >= 2;
            if jobs.len() == claim.count
                || !wanted(job)
                || job.due > now
                || late
                || (suspect && suspects == 0)
                || !self.is_allowed(job)
            {
                continue;
            }
            suspects -= usize::from(suspect);
            jobs.push(self.start(place, claim.lease));
        }
        let waiting = |job: &&ModelJob| wanted(job) && job.due > now;
        let lasting =
            |job: &&ModelJob| waiting(job) && job.expires.is_none_or(|expires| expires > now);
        let next_due = if jobs.len() < claim.count {
            vec![
                self.jobs.iter().filter(waiting).map(|job| job.due).min(),
                self.jobs.iter().filter(lasting).map(|job| job.due).min(),
            ]
        } else {
            vec![None]
        };
        for place in 0..self.jobs.len() {
            let job = &self.jobs[place];
            if job.state == State::Pending && job.expires.is_some_and(|expires| expires <= now) {
                self.finish(place, State::Expired, EndingKind::Expired);
            }
        }
        ClaimReply { jobs, next_due }
    }

    fn start(&mut self, place: usize, seconds: i64) -> (JobId, u64) {
        let now = self.now;
        let job = &mut self.jobs[place];
        job.state = State::Running;
        job.token += 1;
        (job.started_at, job.changed_at, job.lease_ends) =
            (Some(now), now, Some(now + seconds * SECOND));
        job.attempts.push(ModelAttempt {
            token: job.token,
            ending: None,
            swept: false,
        });
        let (number, token) = (job.number, job.token);
        self.leases.push((number, token));
        self.held
            .retain(|held| held.by != number || held.length != Length::Started);
        (id_of(number), token)
    }

    fn renew(&mut self, lease: usize, seconds: i64) -> Renewed {
        let (number, token) = self.lease(lease);
        let now = self.now;
        match self.find(number).map(|place| &mut self.jobs[place]) {
            Some(job) if job.state == State::Running && job.token == token => {
                job.lease_ends = Some(now + seconds * SECOND);
                if job.cancel_requested {
                    Renewed::CancelAsked
                } else {
                    Renewed::Kept
                }
            }
            _ => Renewed::Lost,
        }
    }

    fn settle(&mut self, ending: &EndingStep) -> Settled {
        let (number, token) = self.lease(ending.lease);
        let Some(place) = self.find(number) else {
            return Settled::Stale;
        };
        let (now, job) = (self.now, &self.jobs[place]);
        let in_time = !ending.swept || job.lease_ends.is_some_and(|ends| ends <= now);
        if !(job.state == State::Running && job.token == token && in_time) {
            return Self::repeated(job, token, ending);
        }
        let completed = ending.verdict == Verdict::Completed;
        let verdict = if job.cancel_requested && !completed {
            Verdict::Cancelled
        } else {
            ending.verdict.clone()
        };
        let (state, kind, due, charge, crash) = match &verdict {
            Verdict::Completed => (State::Completed, EndingKind::Completed, None, 0, 0),
            Verdict::Retry { due } => (State::Pending, EndingKind::Retried, Some(*due), 1, 0),
            Verdict::Snooze { due } => (State::Pending, EndingKind::Snoozed, Some(*due), 0, 0),
            Verdict::Release => (State::Pending, EndingKind::Released, Some(When::Now), 0, 0),
            Verdict::Lost { due } => (State::Pending, EndingKind::Lost, Some(*due), 1, 1),
            Verdict::Dead { reason } => {
                use majordomo_core::DeadReason::{DecodeError, UnsupportedPayloadVersion};
                let began = *reason != DecodeError && *reason != UnsupportedPayloadVersion;
                (State::Dead, EndingKind::Dead, None, u32::from(began), 1)
            }
            Verdict::Cancelled => (State::Cancelled, EndingKind::Cancelled, None, 0, 0),
            Verdict::Expired => (State::Expired, EndingKind::Expired, None, 0, 0),
        };
        let took = job
            .started_at
            .map(|started| (now - started, (started - job.due).max(0)));
        self.count(place, kind, took);
        let job = &mut self.jobs[place];
        if let Some(attempt) = job
            .attempts
            .iter_mut()
            .find(|attempt| attempt.token == token)
        {
            (attempt.ending, attempt.swept) = (Some(kind), ending.swept);
        }
        job.due = match due {
            None => job.due,
            Some(When::In(wait)) => {
                now + i64::try_from(wait.as_micros()).expect("waits here are short")
            }
            Some(_) => now,
        };
        job.charged += charge;
        job.crashes += if ending.swept { crash } else { 0 };
        job.dead_reason = if let Verdict::Dead { reason } = verdict {
            Some(reason)
        } else {
            None
        };
        self.leave(place, state);
        Settled::Applied(state)
    }

    /// The answer to an ending that may not be written: perhaps it was before.
    fn repeated(job: &ModelJob, token: u64, ending: &EndingStep) -> Settled {
        let Some(attempt) = job.attempts.iter().find(|attempt| attempt.token == token) else {
            return Settled::Stale;
        };
        let Some(kind) = attempt.ending else {
            return Settled::Stale;
        };
        let cancelled = kind == EndingKind::Cancelled && ending.verdict != Verdict::Completed;
        let same = cancelled
            || match ending.verdict {
                Verdict::Completed => kind == EndingKind::Completed,
                Verdict::Retry { .. } => kind == EndingKind::Retried,
                Verdict::Snooze { .. } => kind == EndingKind::Snoozed,
                Verdict::Release => kind == EndingKind::Released,
                Verdict::Lost { .. } => kind == EndingKind::Lost,
                Verdict::Dead { .. } => kind == EndingKind::Dead,
                Verdict::Cancelled => kind == EndingKind::Cancelled,
                Verdict::Expired => kind == EndingKind::Expired,
            };
        if !same || attempt.swept != ending.swept {
            return Settled::Stale;
        }
        Settled::Applied(match kind {
            EndingKind::Completed => State::Completed,
            EndingKind::Dead => State::Dead,
            EndingKind::Cancelled => State::Cancelled,
            EndingKind::Expired => State::Expired,
            EndingKind::Retried | EndingKind::Snoozed | EndingKind::Released | EndingKind::Lost => {
                State::Pending
            }
        })
    }

    /// Ends a job that has no attempt running.
    pub(super) fn finish(&mut self, place: usize, state: State, kind: EndingKind) {
        self.count(place, kind, None);
        self.leave(place, state);
    }

    /// Brings a job into a state that is not running.
    pub(super) fn leave(&mut self, place: usize, state: State) {
        let now = self.now;
        let job = &mut self.jobs[place];
        (job.state, job.lease_ends, job.cancel_requested) = (state, None, false);
        (job.changed_at, job.revision) = (now, job.revision + 1);
        if state != State::Pending {
            job.ended_at = Some(now);
            let number = job.number;
            self.held
                .retain(|held| held.by != number || matches!(held.length, Length::For(_)));
        }
    }

    fn count(&mut self, place: usize, kind: EndingKind, took: Option<(i64, i64)>) {
        let job = &self.jobs[place];
        self.counted.push(Counted {
            at: self.now,
            task: job.task,
            queue: job.queue,
            kind,
            took,
        });
    }
}
