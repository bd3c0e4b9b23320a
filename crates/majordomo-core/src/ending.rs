//! What the end of an attempt means, as pure rules.
//!
//! Three steps, each a function of values. A worker (or the sweeper) sees an
//! [`Outcome`]; [`decide`] turns it into a [`Verdict`] by the job's own limits;
//! the verdict travels to the storage as an [`Ending`], and [`apply`] writes it
//! into the job. Every storage calls the same `apply`, so "what happens to
//! `charged`" has one answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::job::{Attempt, Failure, FailureKind, Job, LogLine};
use crate::lease::Lease;
use crate::limits;
use crate::payload::check_value;
use crate::state::State;
use crate::time::{self, When};

/// A job that lost this many processes is dead.
pub const POISON: u32 = 3;

/// What became of an attempt, before any rule is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The task returned its output.
    Completed,
    /// The task returned an error, panicked or timed out.
    Failed(Again),
    /// The task asks to run later, without blame.
    Snoozed(When),
    /// The task asks to be cancelled, or stopped because it was asked to.
    Cancelled,
    /// The worker gives the job back unharmed: a shutdown, or it never started.
    Released,
    /// The lease ran out, and this job is to blame as far as anyone can tell.
    Lost,
    /// The payload does not decode, or its version is not known here.
    Undecodable(DeadReason),
    /// The expiry passed between the claim and the start.
    Expired,
}

/// What an error says about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Again {
    /// As the job's backoff says.
    #[default]
    ByPolicy,
    /// After this long, whatever the backoff says. It still counts.
    After(Duration),
    /// Never: it would fail the same way.
    Never,
}

/// What is to be written about an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Over, well.
    Completed,
    /// Pending again, charged.
    Retry {
        /// When to try again.
        due: When,
    },
    /// Pending again, not charged.
    Snooze {
        /// When to run again.
        due: When,
    },
    /// Pending again at once, not charged.
    Release,
    /// Pending again, charged, with a crash to its name.
    Lost {
        /// When to try again.
        due: When,
    },
    /// Given up and kept.
    Dead {
        /// Why.
        reason: DeadReason,
    },
    /// Stopped on request.
    Cancelled,
    /// Too late to start.
    Expired,
}

/// Why a job is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadReason {
    /// Its last attempt failed.
    Exhausted,
    /// The task said that trying again is of no use.
    Permanent,
    /// It is older than its backoff's `max_age`.
    TooOld,
    /// It took three processes with it.
    Poison,
    /// Its payload does not decode.
    DecodeError,
    /// Its payload's version is not known to the worker.
    UnsupportedPayloadVersion,
}

impl DeadReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Exhausted,
        Self::Permanent,
        Self::TooOld,
        Self::Poison,
        Self::DecodeError,
        Self::UnsupportedPayloadVersion,
    ];

    /// The name used in storages, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Permanent => "permanent",
            Self::TooOld => "too_old",
            Self::Poison => "poison",
            Self::DecodeError => "decode_error",
            Self::UnsupportedPayloadVersion => "unsupported_payload_version",
        }
    }

    /// Whether the attempt that led here is held against the job: one that
    /// could not even begin is not.
    #[must_use]
    pub fn is_charged(self) -> bool {
        !matches!(self, Self::DecodeError | Self::UnsupportedPayloadVersion)
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DeadReason {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| Error::invalid(format!("`{text}` is not a reason to be dead")))
    }
}

/// How an attempt ended, for its history and for statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndingKind {
    /// See [`Verdict::Completed`].
    Completed,
    /// See [`Verdict::Retry`].
    Retried,
    /// See [`Verdict::Snooze`].
    Snoozed,
    /// See [`Verdict::Release`].
    Released,
    /// See [`Verdict::Lost`].
    Lost,
    /// See [`Verdict::Dead`].
    Dead,
    /// See [`Verdict::Cancelled`].
    Cancelled,
    /// See [`Verdict::Expired`].
    Expired,
}

impl EndingKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Completed,
        Self::Retried,
        Self::Snoozed,
        Self::Released,
        Self::Lost,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The state that an attempt which ended so left its job in.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Self::Completed => State::Completed,
            Self::Retried | Self::Snoozed | Self::Released | Self::Lost => State::Pending,
            Self::Dead => State::Dead,
            Self::Cancelled => State::Cancelled,
            Self::Expired => State::Expired,
        }
    }

    /// The name used in storages, the API and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Released => "released",
            Self::Lost => "lost",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for EndingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EndingKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::invalid(format!("`{text}` is not an ending")))
    }
}

impl Verdict {
    /// The kind of ending this is.
    #[must_use]
    pub fn kind(&self) -> EndingKind {
        match self {
            Self::Completed => EndingKind::Completed,
            Self::Retry { .. } => EndingKind::Retried,
            Self::Snooze { .. } => EndingKind::Snoozed,
            Self::Release => EndingKind::Released,
            Self::Lost { .. } => EndingKind::Lost,
            Self::Dead { .. } => EndingKind::Dead,
            Self::Cancelled => EndingKind::Cancelled,
            Self::Expired => EndingKind::Expired,
        }
    }

    /// The state the job goes to.
    #[must_use]
    pub fn state(&self) -> State {
        self.kind().state()
    }

    /// When a job that is pending again is due.
    #[must_use]
    pub fn due(&self) -> Option<When> {
        match self {
            Self::Retry { due } | Self::Snooze { due } | Self::Lost { due } => Some(*due),
            Self::Release => Some(When::Now),
            Self::Completed | Self::Dead { .. } | Self::Cancelled | Self::Expired => None,
        }
    }

    /// What is added to `charged`.
    #[must_use]
    pub fn charge(&self) -> u32 {
        match self {
            Self::Retry { .. } | Self::Lost { .. } => 1,
            Self::Dead { reason } => u32::from(reason.is_charged()),
            Self::Completed
            | Self::Snooze { .. }
            | Self::Release
            | Self::Cancelled
            | Self::Expired => 0,
        }
    }
}

/// Decides what an outcome means for `job`, at about `now`, with `random` in
/// 0 to 1 for the jitter. `delay` is the task's own choice of a wait, which
/// goes before the job's backoff. The wait of a lost job counts from the end of
/// its lease (decisions/0005).
#[must_use]
pub fn decide(
    job: &Job,
    outcome: &Outcome,
    delay: Option<Duration>,
    now: Timestamp,
    random: f64,
) -> Verdict {
    let charged = job.charged.saturating_add(1);
    let wait = || {
        delay
            .unwrap_or_else(|| job.backoff.delay(charged, random))
            .max(crate::backoff::SHORTEST)
    };
    let too_old = job
        .backoff
        .max_age
        .is_some_and(|age| time::between(job.created_at, now) >= age);
    let given_up = if charged >= job.max_attempts {
        Some(DeadReason::Exhausted)
    } else {
        too_old.then_some(DeadReason::TooOld)
    };
    match outcome {
        Outcome::Completed => Verdict::Completed,
        Outcome::Snoozed(due) => Verdict::Snooze {
            due: not_at_once(*due, now),
        },
        Outcome::Cancelled => Verdict::Cancelled,
        Outcome::Released => Verdict::Release,
        Outcome::Expired => Verdict::Expired,
        Outcome::Undecodable(reason) => Verdict::Dead { reason: *reason },
        Outcome::Failed(Again::Never) => Verdict::Dead {
            reason: DeadReason::Permanent,
        },
        Outcome::Failed(again) => match (given_up, again) {
            (Some(reason), _) => Verdict::Dead { reason },
            (None, Again::After(wait)) => Verdict::Retry {
                due: When::In((*wait).max(crate::backoff::SHORTEST)),
            },
            (None, _) => Verdict::Retry {
                due: When::In(wait()),
            },
        },
        Outcome::Lost if job.crashes + 1 >= POISON => Verdict::Dead {
            reason: DeadReason::Poison,
        },
        Outcome::Lost => match given_up {
            Some(reason) => Verdict::Dead { reason },
            None => Verdict::Lost {
                due: since_lost(job, wait()),
            },
        },
    }
}

/// Nobody has worked on a lost job since its lease ran out. So its wait counts
/// from then, and is mostly over when a sweep finds it.
fn since_lost(job: &Job, wait: Duration) -> When {
    job.lease.as_ref().map_or(When::In(wait), |lease| {
        When::At(time::after(lease.expires, wait))
    })
}

/// A job that puts itself off for no time would spin.
fn not_at_once(due: When, now: Timestamp) -> When {
    match due {
        When::In(wait) => When::In(wait.max(crate::backoff::SHORTEST)),
        When::At(instant) if instant > now => due,
        When::Now | When::At(_) => When::In(crate::backoff::SHORTEST),
    }
}

/// Who may end an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The worker that holds the lease.
    #[default]
    Lease,
    /// Anyone, but only once the lease has run out by the storage's clock. This
    /// is the sweeper's: a lease renewed since it looked can't be ended.
    Expired,
}

/// The end of an attempt, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The attempt.
    pub lease: Lease,
    /// By what right.
    pub proof: Proof,
    /// What it means.
    pub verdict: Verdict,
    /// What the task returned.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The last report, if it was not stored yet.
    pub progress: Option<crate::progress::Progress>,
    /// What it saved for the next attempt, if it was not stored yet.
    pub checkpoint: Option<Value>,
    /// Log lines not stored yet.
    pub log: Vec<LogLine>,
}

impl Ending {
    /// An ending by the holder of the lease, with nothing to report.
    #[must_use]
    pub fn new(lease: Lease, verdict: Verdict) -> Self {
        Self {
            lease,
            proof: Proof::Lease,
            verdict,
            output: None,
            error: None,
            progress: None,
            checkpoint: None,
            log: Vec::new(),
        }
    }

    /// Refuses what no storage takes. Every storage calls this before any I/O.
    ///
    /// # Errors
    /// [`crate::ErrorKind::TooLarge`] or [`crate::ErrorKind::Invalid`], naming the field.
    pub fn check(&self) -> Result<()> {
        self.error.as_ref().map_or(Ok(()), Failure::check)?;
        self.progress
            .as_ref()
            .map_or(Ok(()), crate::progress::Progress::check)?;
        check_json(
            "the checkpoint",
            self.checkpoint.as_ref(),
            limits::CHECKPOINT,
        )?;
        check_json("the output", self.output.as_ref(), limits::OUTPUT)
    }

    /// The verdict that counts for `job`: once its cancel was requested, an
    /// attempt that did not complete is cancelled, whatever else it says.
    #[must_use]
    pub fn verdict_for(&self, job: &Job) -> Verdict {
        if job.cancel_requested && self.verdict != Verdict::Completed {
            Verdict::Cancelled
        } else {
            self.verdict.clone()
        }
    }

    /// Whether this ending may be written at `now`: the fence, and for the
    /// sweeper also the clock.
    #[must_use]
    pub fn is_admitted(&self, job: &Job, now: Timestamp) -> bool {
        self.lease.is_current(job) && (self.proof == Proof::Lease || job.is_lease_expired(now))
    }

    /// Whether this ending was written before and its reply lost: `attempt`,
    /// the one of its token, has ended in this way and by the same hand. The
    /// sweeper's endings carry a failure of kind [`FailureKind::LeaseLost`].
    #[must_use]
    pub fn is_repeat_of(&self, attempt: &Attempt) -> bool {
        let Some(ended) = attempt.ending else {
            return false;
        };
        let swept = attempt
            .error
            .as_ref()
            .is_some_and(|error| error.kind == FailureKind::LeaseLost);
        let same = self.verdict.kind() == ended
            || (ended == EndingKind::Cancelled && self.verdict != Verdict::Completed);
        attempt.token == self.lease.token && same && swept == (self.proof == Proof::Expired)
    }
}

/// [`check_value`] for a value that may be absent.
pub(crate) fn check_json(what: &str, value: Option<&Value>, limit: usize) -> Result<()> {
    value.map_or(Ok(()), |value| check_value(what, value, limit))
}

/// Writes an admitted ending into its job, and says how the attempt ended.
pub fn apply(job: &mut Job, ending: &Ending, now: Timestamp) -> EndingKind {
    let verdict = ending.verdict_for(job);
    let state = verdict.state();
    job.state = state;
    job.due = verdict.due().map_or(job.due, |due| due.resolve(now));
    job.charged = job.charged.saturating_add(verdict.charge());
    if ending.proof == Proof::Expired
        && matches!(verdict, Verdict::Lost { .. } | Verdict::Dead { .. })
    {
        job.crashes = job.crashes.saturating_add(1);
    }
    job.dead_reason = match verdict {
        Verdict::Dead { reason } => Some(reason),
        _ => None,
    };
    if let Some(error) = &ending.error {
        job.error = Some(error.clone());
    }
    job.lease = None;
    job.cancel_requested = false;
    job.ended_at = state.is_finished().then_some(now);
    job.changed_at = now;
    job.revision += 1;
    verdict.kind()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;
    use crate::job::NewJob;
    use crate::payload::Payload;

    const MINUTE: Duration = Duration::from_secs(60);

    fn running(charged: u32, crashes: u32) -> Job {
        let mut new = NewJob::new("t", Payload::json(&()).unwrap());
        new.max_attempts = 3;
        new.backoff = Backoff::fixed(MINUTE).max_age(100 * MINUTE);
        let mut job = new.into_job(Timestamp::UNIX_EPOCH);
        (job.state, job.token, job.charged, job.crashes) = (State::Running, 7, charged, crashes);
        let expires = time::after(Timestamp::UNIX_EPOCH, MINUTE);
        job.lease = Some(Lease {
            job: job.id,
            token: 7,
            worker: "w".into(),
            expires,
        });
        job
    }

    fn verdict(job: &Job, outcome: Outcome) -> Verdict {
        decide(job, &outcome, None, Timestamp::UNIX_EPOCH, 0.5)
    }

    #[test]
    fn the_table_of_the_contract_line_by_line() {
        let minute = When::In(MINUTE);
        let dead = |reason| Verdict::Dead { reason };
        let by_policy = || Outcome::Failed(Again::ByPolicy);
        let table = [
            (running(0, 0), Outcome::Completed, Verdict::Completed),
            (running(0, 0), by_policy(), Verdict::Retry { due: minute }),
            (running(2, 0), by_policy(), dead(DeadReason::Exhausted)),
            (
                running(0, 0),
                Outcome::Failed(Again::Never),
                dead(DeadReason::Permanent),
            ),
            (
                running(0, 0),
                Outcome::Failed(Again::After(2 * MINUTE)),
                Verdict::Retry {
                    due: When::In(2 * MINUTE),
                },
            ),
            (
                running(2, 0),
                Outcome::Failed(Again::After(MINUTE)),
                dead(DeadReason::Exhausted),
            ),
            (
                running(2, 0),
                Outcome::Snoozed(minute),
                Verdict::Snooze { due: minute },
            ),
            (running(0, 0), Outcome::Cancelled, Verdict::Cancelled),
            (running(2, 0), Outcome::Released, Verdict::Release),
            (
                running(0, 0),
                Outcome::Lost,
                Verdict::Lost {
                    due: When::At(time::after(Timestamp::UNIX_EPOCH, 2 * MINUTE)),
                },
            ),
            (running(0, 2), Outcome::Lost, dead(DeadReason::Poison)),
            (running(2, 0), Outcome::Lost, dead(DeadReason::Exhausted)),
            (
                running(2, 0),
                Outcome::Undecodable(DeadReason::DecodeError),
                dead(DeadReason::DecodeError),
            ),
            (running(0, 0), Outcome::Expired, Verdict::Expired),
        ];
        for (job, outcome, expected) in table {
            assert_eq!(verdict(&job, outcome.clone()), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_job_over_its_age_is_not_retried() {
        let late = time::after(Timestamp::UNIX_EPOCH, 100 * MINUTE);
        let outcome = Outcome::Failed(Again::ByPolicy);
        let decided = decide(&running(0, 0), &outcome, None, late, 0.5);
        assert_eq!(
            decided,
            Verdict::Dead {
                reason: DeadReason::TooOld
            }
        );
    }

    #[test]
    fn the_wait_of_a_lost_job_counts_from_the_end_of_its_lease() {
        let job = running(0, 0);
        let ran_out = job.lease.as_ref().unwrap().expires;
        for swept_after in [Duration::ZERO, MINUTE, 100 * MINUTE] {
            let mut job = job.clone();
            job.backoff.max_age = None;
            let now = time::after(ran_out, swept_after);
            assert_eq!(
                decide(&job, &Outcome::Lost, None, now, 0.5),
                Verdict::Lost {
                    due: When::At(time::after(ran_out, MINUTE))
                }
            );
        }
    }

    #[test]
    fn gx13_a_tasks_own_delay_goes_first_but_never_spins() {
        let outcome = Outcome::Failed(Again::ByPolicy);
        let own = |delay| {
            decide(
                &running(0, 0),
                &outcome,
                Some(delay),
                Timestamp::UNIX_EPOCH,
                0.5,
            )
        };
        assert_eq!(
            own(5 * MINUTE),
            Verdict::Retry {
                due: When::In(5 * MINUTE)
            }
        );
        assert_eq!(
            own(Duration::ZERO),
            Verdict::Retry {
                due: When::In(crate::backoff::SHORTEST)
            }
        );
    }

    #[test]
    fn gx13_a_snooze_for_no_time_does_not_spin() {
        let job = running(0, 0);
        let past = When::At(Timestamp::UNIX_EPOCH);
        for due in [When::Now, When::In(Duration::ZERO), past] {
            let shortest = When::In(crate::backoff::SHORTEST);
            assert_eq!(
                verdict(&job, Outcome::Snoozed(due)),
                Verdict::Snooze { due: shortest }
            );
        }
    }

    #[test]
    fn counters_move_as_the_contract_says() {
        let now = time::after(Timestamp::UNIX_EPOCH, 2 * MINUTE);
        let table = [
            (Verdict::Completed, Proof::Lease, (0, 0)),
            (Verdict::Retry { due: When::Now }, Proof::Lease, (1, 0)),
            (Verdict::Snooze { due: When::Now }, Proof::Lease, (0, 0)),
            (Verdict::Release, Proof::Lease, (0, 0)),
            (Verdict::Release, Proof::Expired, (0, 0)),
            (Verdict::Lost { due: When::Now }, Proof::Expired, (1, 1)),
            (
                Verdict::Dead {
                    reason: DeadReason::Poison,
                },
                Proof::Expired,
                (1, 1),
            ),
            (
                Verdict::Dead {
                    reason: DeadReason::Exhausted,
                },
                Proof::Lease,
                (1, 0),
            ),
            (
                Verdict::Dead {
                    reason: DeadReason::DecodeError,
                },
                Proof::Lease,
                (0, 0),
            ),
            (Verdict::Cancelled, Proof::Lease, (0, 0)),
        ];
        for (verdict, proof, (charged, crashes)) in table {
            let mut job = running(0, 0);
            let lease = job.lease.clone().unwrap();
            let ending = Ending {
                proof,
                ..Ending::new(lease, verdict.clone())
            };
            assert!(ending.is_admitted(&job, now));
            assert_eq!(apply(&mut job, &ending, now), verdict.kind());
            assert_eq!(
                (job.charged, job.crashes),
                (charged, crashes),
                "{verdict:?}"
            );
            assert_eq!(job.token, 7, "no ending touches the token");
            assert!(State::Running.may_become(job.state));
            assert_eq!(job.ended_at.is_some(), job.state.is_finished());
        }
    }

    #[test]
    fn a_requested_cancel_beats_every_ending_but_completion() {
        let mut job = running(0, 0);
        job.cancel_requested = true;
        let ending = |verdict| Ending::new(job.lease.clone().unwrap(), verdict);
        assert_eq!(
            ending(Verdict::Completed).verdict_for(&job),
            Verdict::Completed
        );
        for verdict in [
            Verdict::Release,
            Verdict::Retry { due: When::Now },
            Verdict::Lost { due: When::Now },
        ] {
            assert_eq!(ending(verdict).verdict_for(&job), Verdict::Cancelled);
        }
    }

    #[test]
    fn the_fence_and_the_clock_guard_an_ending() {
        let job = running(0, 0);
        let lease = job.lease.clone().unwrap();
        let before = Timestamp::UNIX_EPOCH;
        let sweep = Ending {
            proof: Proof::Expired,
            ..Ending::new(lease.clone(), Verdict::Lost { due: When::Now })
        };
        assert!(
            !sweep.is_admitted(&job, before),
            "a live lease can't be swept"
        );
        assert!(sweep.is_admitted(&job, lease.expires));
        let stale = Ending::new(
            Lease {
                token: 6,
                ..lease.clone()
            },
            Verdict::Completed,
        );
        assert!(!stale.is_admitted(&job, before));
        let mut taken_back = job.clone();
        taken_back.state = State::Pending;
        assert!(!Ending::new(lease, Verdict::Completed).is_admitted(&taken_back, before));
    }

    #[test]
    fn names_are_read_back() {
        for kind in EndingKind::ALL {
            assert_eq!(kind.as_str().parse::<EndingKind>().unwrap(), kind);
        }
        for reason in DeadReason::ALL {
            assert_eq!(reason.as_str().parse::<DeadReason>().unwrap(), reason);
        }
    }
}
