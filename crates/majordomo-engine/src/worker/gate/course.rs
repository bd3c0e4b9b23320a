//! What a gate knows of its worker: which cycles are under way, what became of
//! their attempts, and who waits for them. Whoever waits is answered in the end:
//! with a report, with an error, or because the worker is gone.

use std::collections::VecDeque;

use majordomo_core::{EndingKind, Error, ErrorKind, JobId, Lease, Result, Settled};
use tokio::sync::oneshot;

use super::super::report::{Came, Report};

/// What the gate knows of its worker.
#[derive(Default)]
pub(super) struct Course {
    pub(super) held: bool,
    worker: Presence,
    /// Each lets one claim through although the gate is held.
    passes: VecDeque<Waiter>,
    /// Those who wait for the next cycle to begin and to be done.
    watching: Vec<Waiter>,
    /// The cycles under way that someone waits for.
    cycles: Vec<Cycle>,
    begun: u64,
}

/// An attempt whose ending is written: its job, its token, and how it ended.
pub(in crate::worker) type Written = (JobId, u64, EndingKind);

type Waiter = oneshot::Sender<Result<Report>>;
type Waiting = oneshot::Receiver<Result<Report>>;

#[derive(Clone, Copy, Default, PartialEq)]
enum Presence {
    #[default]
    Awaited,
    Here,
    Gone,
}

struct Cycle {
    number: u64,
    /// What it claimed; `None` until the claim is answered.
    attempts: Option<Vec<Attempt>>,
    waiters: Vec<Waiter>,
}

struct Attempt {
    job: JobId,
    token: u64,
    /// Whether its ending is being written.
    settling: bool,
    came: Option<Came>,
}

impl Course {
    /// A worker comes; says whether it may, because there was none.
    pub(super) fn arrive(&mut self) -> bool {
        let alone = self.worker != Presence::Here;
        self.worker = Presence::Here;
        alone
    }

    /// The worker has stopped, and nobody waits any longer.
    pub(super) fn leave(&mut self) {
        self.worker = Presence::Gone;
        self.fail_all(stopped);
    }

    /// Somebody waits for a claim of their own.
    pub(super) fn wait_for_pass(&mut self) -> Waiting {
        self.wait(|course, waiter| course.passes.push_back(waiter))
    }

    /// Somebody waits for whatever claim is next.
    pub(super) fn wait_for_next(&mut self) -> Waiting {
        self.wait(|course, waiter| course.watching.push(waiter))
    }

    fn wait(&mut self, how: impl FnOnce(&mut Self, Waiter)) -> Waiting {
        let (waiter, waiting) = oneshot::channel();
        // Dropped at once if the worker is gone, which is the answer.
        if self.worker != Presence::Gone {
            how(self, waiter);
        }
        waiting
    }

    /// A claim wants to begin: its number, or nothing if it may not.
    pub(super) fn begin(&mut self) -> Option<u64> {
        let mut waiters = Vec::new();
        if self.held {
            // Whoever was dropped meanwhile lets nothing through.
            self.passes.retain(|pass| !pass.is_closed());
            waiters.push(self.passes.pop_front()?);
        } else {
            waiters.extend(self.passes.drain(..));
        }
        waiters.append(&mut self.watching);
        waiters.retain(|waiter| !waiter.is_closed());
        self.begun += 1;
        if !waiters.is_empty() {
            self.cycles.push(Cycle {
                number: self.begun,
                attempts: None,
                waiters,
            });
        }
        Some(self.begun)
    }

    /// The claim of this number gave these leases.
    pub(super) fn claimed<'a>(
        &mut self,
        number: u64,
        leases: impl Iterator<Item = &'a Lease> + Clone,
    ) {
        for lease in leases.clone() {
            // A new lease of a job means that every older one is lost.
            self.each(lease.job, |attempt| {
                if attempt.token < lease.token {
                    attempt.came = attempt.came.or(Some(Came::Stale));
                }
            });
        }
        let mut cycles = self.cycles.iter_mut();
        if let Some(cycle) = cycles.find(|cycle| cycle.number == number) {
            let attempt = |lease: &Lease| Attempt {
                job: lease.job,
                token: lease.token,
                settling: false,
                came: None,
            };
            cycle.attempts = Some(leases.map(attempt).collect());
        }
        self.finish();
    }

    /// The claim of this number was given up before it was answered.
    pub(super) fn abandoned(&mut self, number: u64) {
        let mut cycles = self.cycles.iter();
        let Some(index) = cycles.position(|cycle| cycle.number == number) else {
            return;
        };
        for waiter in self.cycles.swap_remove(index).waiters {
            // An error means that nobody waits any more.
            let _ = waiter.send(Err(Error::new(
                ErrorKind::Unknown,
                "the worker gave up its claim before it was answered",
            )));
        }
    }

    /// These endings are about to be written.
    pub(super) fn writing(&mut self, endings: &[Written]) {
        for (job, token, _) in endings {
            self.only(*job, *token, |attempt| attempt.settling = true);
        }
    }

    /// They are written, or refused.
    pub(super) fn wrote(&mut self, endings: &[Written], settled: &[Settled]) {
        for ((job, token, kind), settled) in endings.iter().zip(settled) {
            let came = Came::of(*kind, *settled);
            self.only(*job, *token, |attempt| attempt.came = Some(came));
        }
        self.finish();
    }

    /// This lease is lost, so nothing will be written under it; unless its
    /// ending is being written, which ends the lease as well.
    pub(super) fn lost(&mut self, lease: &Lease) {
        self.only(lease.job, lease.token, |attempt| {
            if !attempt.settling && attempt.came.is_none() {
                attempt.came = Some(Came::Stale);
            }
        });
        self.finish();
    }

    fn each(&mut self, job: JobId, change: impl Fn(&mut Attempt)) {
        let attempts = self
            .cycles
            .iter_mut()
            .filter_map(|cycle| cycle.attempts.as_mut());
        attempts
            .flatten()
            .filter(|attempt| attempt.job == job)
            .for_each(change);
    }

    fn only(&mut self, job: JobId, token: u64, change: impl Fn(&mut Attempt)) {
        self.each(job, |attempt| {
            if attempt.token == token {
                change(attempt);
            }
        });
    }

    /// Tells those whose cycle is done.
    fn finish(&mut self) {
        let done = |cycle: &mut Cycle| {
            let attempts = cycle.attempts.as_ref()?;
            let mut report = Report::default();
            for attempt in attempts {
                report.add(attempt.came?);
            }
            Some(report)
        };
        self.cycles.retain_mut(|cycle| match done(cycle) {
            None => true,
            Some(report) => {
                for waiter in cycle.waiters.drain(..) {
                    // An error means that nobody waits any more.
                    let _ = waiter.send(Ok(report.clone()));
                }
                false
            }
        });
    }

    /// Everyone who waits is told of an error.
    pub(super) fn fail_all(&mut self, error: impl Fn() -> Error) {
        let cycles = self.cycles.drain(..).flat_map(|cycle| cycle.waiters);
        let all = cycles
            .chain(self.passes.drain(..))
            .chain(self.watching.drain(..));
        all.for_each(|waiter| drop(waiter.send(Err(error()))));
    }
}

pub(super) fn stopped() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the worker stopped before the cycle was done",
    )
}
