//! What the storage must know, worked out from its answers, and what each of
//! them breaks.

use std::collections::BTreeMap;

use majordomo_core::{
    Change, Changed, Control, EndingKind, Inserted, JobId, NewJob, Proof, Renewed, Scope, Settled,
    State, Timestamp, Verdict, time,
};

use super::Findings;
use super::known::{Known, Start};
use crate::simulation::history::{Entry, Event, Given, short};

/// All that the storage must know.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) jobs: BTreeMap<JobId, Known>,
    /// How many endings of each kind there were.
    pub(super) counts: BTreeMap<EndingKind, u64>,
    pub(super) controls: BTreeMap<Scope, Control>,
    pub(super) now: Timestamp,
}

impl Book {
    pub(super) fn read(&mut self, entry: &Entry, findings: &mut Findings) {
        findings.expect(entry.at >= self.now, "law 3", || {
            "the storage's clock went back".to_owned()
        });
        self.now = entry.at;
        match &entry.event {
            Event::Inserted(job, answer) => self.insert(job, *answer, findings),
            Event::Claimed {
                wanted,
                suspects,
                given,
            } => {
                for (queue, wanted) in wanted {
                    self.order(queue, *wanted, *suspects, given, findings);
                }
                for given in given {
                    self.claim(given, entry, findings);
                }
            }
            Event::Renewed {
                job,
                token,
                until,
                answer,
            } => {
                let good_until = entry.passed + time::between(self.now, *until);
                if *answer != Renewed::Lost
                    && let Some(job) = self.jobs.get_mut(job)
                    && let Some(given) = job.given.get_mut(token)
                {
                    given.good_until = good_until;
                }
                self.renew(*job, *token, *until, *answer, findings);
            }
            Event::Ended {
                job,
                token,
                proof,
                verdict,
                answer,
            } => self.end(*job, *token, *proof, verdict, *answer, findings),
            Event::Controlled(scope, control) => {
                self.controls.remove(scope);
                if *control != Control::default() {
                    self.controls.insert(scope.clone(), control.clone());
                }
            }
            Event::Changed(job, change, answer) => self.change(*job, change, answer, findings),
            _ => {}
        }
    }

    fn insert(&mut self, new: &NewJob, answer: Inserted, findings: &mut Findings) {
        let now = self.now;
        let key = new.holds.first().map(|hold| hold.key.as_str());
        match answer {
            Inserted::New => {
                findings.expect(!self.jobs.contains_key(&new.id), "R3", || {
                    format!("{} was stored twice", short(new.id))
                });
                self.one_holder(key, new.id, findings);
                let known = Known {
                    new: new.clone(),
                    state: State::Pending,
                    token: 0,
                    charged: 0,
                    crashes: 0,
                    due: new.due.resolve(now),
                    expires: new.expires.map(|expires| expires.resolve(now)),
                    lease: None,
                    cancel_asked: false,
                    endings: BTreeMap::new(),
                    given: BTreeMap::new(),
                };
                self.jobs.insert(new.id, known);
            }
            Inserted::Existing(existing) => {
                let holder = self.jobs.get(&existing);
                let stands = existing == new.id
                    || holder.is_some_and(|holder| {
                        key.is_some() && holder.key() == key && !holder.state.is_finished()
                    });
                findings.expect(holder.is_some() && stands, "R15", || {
                    format!(
                        "{} stands in the way of {}, and does not hold its key",
                        short(existing),
                        short(new.id)
                    )
                });
            }
        }
    }

    /// Whether this job could start and has not.
    pub(super) fn waits(&self, id: JobId) -> bool {
        let job = self.jobs.get(&id);
        job.is_some_and(|job| {
            job.state == State::Pending && job.due <= self.now && !job.is_past_expiry(self.now)
        })
    }

    /// No other live job has this key.
    fn one_holder(&self, key: Option<&str>, id: JobId, findings: &mut Findings) {
        let Some(key) = key else { return };
        let other = self.jobs.values().find(|other| {
            other.new.id != id && other.key() == Some(key) && other.is_live(self.now)
        });
        findings.expect(other.is_none(), "R15", || {
            let other = other.map(|other| short(other.new.id));
            format!(
                "{} takes `{key}` from {}",
                short(id),
                other.unwrap_or_default()
            )
        });
    }

    /// What was given is the first of what was due, and all of it if there were
    /// slots left.
    fn order(
        &self,
        queue: &str,
        wanted: usize,
        suspects: usize,
        given: &[Given],
        findings: &mut Findings,
    ) {
        let mut due: Vec<&Known> = self
            .jobs
            .values()
            .filter(|job| job.new.queue == queue && self.waits(job.new.id))
            .collect();
        due.sort_by_key(|job| job.place());
        let taken: Vec<&Known> = given
            .iter()
            .filter_map(|given| self.jobs.get(&given.job))
            .filter(|job| job.new.queue == queue)
            .collect();
        let of_suspects = |jobs: &[&Known], suspect: bool| -> Vec<JobId> {
            let jobs = jobs.iter().filter(|job| job.is_suspect() == suspect);
            jobs.map(|job| job.new.id).collect()
        };
        findings.expect(taken.is_sorted_by_key(|job| job.place()), "R14", || {
            format!("a claim of `{queue}` is not in order")
        });
        findings.expect(taken.len() <= wanted, "R23", || {
            format!(
                "{} of `{queue}` were given, {wanted} were asked for",
                taken.len()
            )
        });
        let (plain, first) = (of_suspects(&taken, false), of_suspects(&due, false));
        // A job whose limit is reached is passed over.
        let by_key = |scope: &Scope| matches!(scope, Scope::LimitKey(_));
        let passed_over = self.controls.keys().any(by_key);
        findings.expect(passed_over || first.starts_with(&plain), "R14", || {
            let first: Vec<String> = first.iter().map(|job| short(*job)).collect();
            format!("these of `{queue}` come first: {}", first.join(", "))
        });
        let complete = taken.len() >= wanted || plain.len() == first.len();
        findings.expect(complete || !self.controls.is_empty(), "R14", || {
            format!("a claim left due jobs of `{queue}` behind")
        });
        findings.expect(of_suspects(&taken, true).len() <= suspects, "R9", || {
            "more suspects were given than were asked for".to_owned()
        });
    }

    /// Each control that covers the job has room for it.
    fn within(&self, job: &NewJob, findings: &mut Findings) {
        for (scope, control) in &self.controls {
            let running = self
                .jobs
                .values()
                .filter(|other| other.state == State::Running && covers(scope, &other.new));
            let room = control.room(running.count() as u64, self.now);
            findings.expect(!covers(scope, job) || room != Some(0), "limits", || {
                format!("{} started beyond {scope:?}, {control:?}", short(job.id))
            });
        }
    }

    fn claim(&mut self, given: &Given, entry: &Entry, findings: &mut Findings) {
        let (now, id) = (self.now, short(given.job));
        if let Some(job) = self.jobs.get(&given.job) {
            self.within(&job.new, findings);
        }
        let Some(job) = self.jobs.get_mut(&given.job) else {
            findings.expect(false, "R1", || format!("{id} was claimed and never stored"));
            return;
        };
        findings.expect(job.state != State::Cancelled, "R19", || {
            format!("{id} started after it was cancelled")
        });
        findings.expect(job.state != State::Running, "R6", || {
            format!("{id} started while its attempt {} was not over", job.token)
        });
        let open = matches!(
            job.state,
            State::Pending | State::Cancelled | State::Running
        );
        findings.expect(open, "R5", || {
            format!("{id} started when it was {}", job.state)
        });
        findings.expect(given.token > job.token, "R5", || {
            format!("{id} was given token {} after {}", given.token, job.token)
        });
        findings.expect(job.due <= now, "R8", || {
            format!("{id} started at {now}, and was due at {}", job.due)
        });
        findings.expect(!job.is_past_expiry(now), "R18", || {
            format!("{id} started at {now}, after its expiry")
        });
        findings.expect(job.charged < job.new.max_attempts, "R8", || {
            format!("{id} has had all its {} attempts", job.new.max_attempts)
        });
        job.state = State::Running;
        job.token = given.token;
        job.lease = Some(given.until);
        let claim = Start {
            to: entry.who.clone(),
            at: entry.passed,
            good_until: entry.passed + time::between(now, given.until),
            left: job.expires.map(|expires| time::between(now, expires)),
        };
        job.given.insert(given.token, claim);
    }

    fn renew(
        &mut self,
        id: JobId,
        token: u64,
        until: Timestamp,
        answer: Renewed,
        findings: &mut Findings,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let current = job.state == State::Running && job.token == token;
        if answer == Renewed::Lost {
            findings.expect(!current, "R5", || {
                format!(
                    "the current attempt of {} was told that it is lost",
                    short(id)
                )
            });
            return;
        }
        findings.expect(current, "R5", || {
            format!("a stale renewal of {} was accepted", short(id))
        });
        if current {
            job.lease = Some(until);
            let told = answer == Renewed::CancelAsked;
            findings.expect(told == job.cancel_asked, "R19", || {
                format!(
                    "{} was not told of its cancel, or of one that was none",
                    short(id)
                )
            });
        }
    }

    fn end(
        &mut self,
        id: JobId,
        token: u64,
        proof: Proof,
        verdict: &Verdict,
        answer: Settled,
        findings: &mut Findings,
    ) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else {
            findings.expect(answer == Settled::Stale, "R5", || {
                format!("{} ended and was never stored", short(id))
            });
            return;
        };
        let current = job.state == State::Running && job.token == token;
        let over = job.lease.is_some_and(|lease| lease <= now);
        let Settled::Applied(state) = answer else {
            findings.expect(!current || (proof == Proof::Expired && !over), "R5", || {
                format!(
                    "the ending of the current attempt of {} was refused",
                    short(id)
                )
            });
            return;
        };
        if !current {
            let repeat = job.endings.get(&token).is_some_and(|(kind, by)| {
                let same = verdict.kind() == *kind
                    || (*kind == EndingKind::Cancelled && *verdict != Verdict::Completed);
                // A release says nothing but itself, so it is the same by either hand: a worker
                // gives back what it never heard of by its lease, or once that has run out.
                same && (*by == proof || *kind == EndingKind::Released)
            });
            findings.expect(repeat, "R5", || {
                format!("a stale ending of {} was accepted", short(id))
            });
            return;
        }
        findings.expect(proof == Proof::Lease || over, "R5", || {
            format!("{} was swept although its lease was alive", short(id))
        });
        let verdict = match verdict {
            other if job.cancel_asked && *other != Verdict::Completed => Verdict::Cancelled,
            other => other.clone(),
        };
        findings.expect(state == verdict.state(), "R5", || {
            format!("{} went to {state} by {verdict:?}", short(id))
        });
        job.apply(&verdict, proof, now, findings);
        job.endings.insert(token, (verdict.kind(), proof));
        *self.counts.entry(verdict.kind()).or_default() += 1;
    }

    fn change(&mut self, id: JobId, change: &Change, answer: &Changed, findings: &mut Findings) {
        let now = self.now;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let (name, lapsed) = (short(id), job.is_lapsed(now));
        let Changed::Done(state) = answer else {
            let due = *change == Change::Cancel && job.is_live(now);
            findings.expect(!due, "R19", || format!("a cancel of {name} was refused"));
            return;
        };
        let key = job.key().map(str::to_owned);
        if matches!(change, Change::Retry { .. }) {
            self.one_holder(key.as_deref(), id, findings);
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let mut count = |kind| *self.counts.entry(kind).or_default() += 1;
        match change {
            Change::Cancel if job.state == State::Running => job.cancel_asked = true,
            Change::Cancel => {
                findings.expect(job.state == State::Pending, "R19", || {
                    format!("{name} was cancelled when it was {}", job.state)
                });
                job.state = State::Cancelled;
                count(EndingKind::Cancelled);
            }
            Change::Expire => {
                findings.expect(lapsed, "R18", || format!("{name} was expired too early"));
                job.state = State::Expired;
                count(EndingKind::Expired);
            }
            Change::Retry { due } => {
                findings.expect(job.state.is_finished() || lapsed, "R8", || {
                    format!("{name} was run again when it was {}", job.state)
                });
                if lapsed {
                    count(EndingKind::Expired);
                }
                job.state = State::Pending;
                job.due = due.resolve(now);
                (job.charged, job.crashes) = (0, 0);
                job.expires = job.expires.filter(|expires| *expires > now);
            }
            _ => {}
        }
        findings.expect(job.state == *state, "R19", || {
            format!("{name} is said to be {state}, and is {}", job.state)
        });
    }
}

fn covers(scope: &Scope, job: &NewJob) -> bool {
    match scope {
        Scope::Queue(name) => *name == job.queue,
        Scope::Task(name) => *name == job.task,
        Scope::LimitKey(name) => job.limit_key.as_ref() == Some(name),
    }
}
