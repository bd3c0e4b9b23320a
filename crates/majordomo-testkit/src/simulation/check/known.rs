//! One job as the storage must know it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::{EndingKind, JobId, NewJob, Proof, State, Timestamp, Verdict, time};

use super::Findings;
use crate::simulation::history::short;

/// A job as the storage must know it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) new: NewJob,
    /// Where it is; a pending one that is past its expiry may be expired by now.
    pub(super) state: State,
    pub(super) token: u64,
    pub(super) charged: u32,
    pub(super) crashes: u32,
    pub(super) due: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) lease: Option<Timestamp>,
    pub(super) cancel_asked: bool,
    /// How its attempts ended, by their tokens.
    pub(super) endings: BTreeMap<u64, (EndingKind, Proof)>,
    /// Who was given each token, when by the time that all wait by, and how
    /// long before its expiry.
    pub(super) given: BTreeMap<u64, Start>,
}

/// An attempt as it was given out.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) to: String,
    pub(super) at: Duration,
    /// Until when the lease lasts if the storage's clock does not jump, by the
    /// time that all wait by.
    pub(super) good_until: Duration,
    pub(super) left: Option<Duration>,
}

impl Known {
    pub(super) fn is_past_expiry(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it may be expired although no answer said so: a claim expires
    /// what it finds, and does not tell.
    pub(super) fn is_lapsed(&self, now: Timestamp) -> bool {
        self.state == State::Pending && self.is_past_expiry(now)
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        !self.state.is_finished() && !self.is_lapsed(now)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.crashes >= majordomo_core::job::SUSPECT
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.new.holds.first().map(|hold| hold.key.as_str())
    }

    /// Where it stands in its queue.
    pub(super) fn place(&self) -> (Reverse<i16>, Timestamp, JobId) {
        (Reverse(self.new.priority), self.due, self.new.id)
    }

    /// Takes in how its attempt ended.
    pub(super) fn apply(
        &mut self,
        verdict: &Verdict,
        proof: Proof,
        now: Timestamp,
        findings: &mut Findings,
    ) {
        let name = short(self.new.id);
        let charged = self.charged + verdict.charge();
        let again = matches!(verdict, Verdict::Retry { .. } | Verdict::Lost { .. });
        findings.expect(!again || charged < self.new.max_attempts, "R8", || {
            format!(
                "{name} is to be tried again after {charged} of {} attempts",
                self.new.max_attempts
            )
        });
        let due = verdict.due().map(|due| due.resolve(now));
        if again && let Some(due) = due {
            // Nobody has worked on a lost job since its lease ran out.
            let lost = matches!(verdict, Verdict::Lost { .. });
            let from = self.lease.filter(|_| lost).unwrap_or(now);
            // The waits that tasks ask for themselves are longer in every plan. A
            // storage knows whole microseconds.
            let whole =
                |wait: Duration| Duration::from_micros(time::micros_of(wait).unsigned_abs());
            let least = whole(self.new.backoff.delay(charged, 0.0));
            let most = whole(self.new.backoff.delay(charged, 1.0));
            let wait = time::between(from, due);
            findings.expect(wait >= least, "R8", || {
                format!(
                    "{name} is to be tried again at {due}, before its backoff of {least:?} since {from}"
                )
            });
            findings.expect(!lost || wait <= most, "R8", || {
                format!(
                    "{name} is to be tried again at {due}, after its backoff of {most:?} since {from}"
                )
            });
        }
        self.charged = charged;
        if proof == Proof::Expired && matches!(verdict, Verdict::Lost { .. } | Verdict::Dead { .. })
        {
            self.crashes += 1;
        }
        self.due = due.unwrap_or(self.due);
        self.state = verdict.state();
        self.lease = None;
        self.cancel_asked = false;
    }
}
