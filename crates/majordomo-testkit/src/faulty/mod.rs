//! A storage whose calls go wrong at random, as calls over a network do: they
//! fail before they reach the storage, or after they were carried out; they
//! come late, twice, or never.
//!
//! Nothing here is random but by the seed: the same seed and the same order of
//! calls give the same faults. Delays are slept by tokio's clock, so a test
//! whose time is paused spends none.

mod storage;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use majordomo_core::{Error, ErrorKind, Result, Storage};
use tokio::sync::watch;

/// Verbs that fail alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// `insert`.
    Insert,
    /// `claim`.
    Claim,
    /// `renew`.
    Renew,
    /// `settle`, also with a claim in the same call.
    Settle,
    /// Whatever only reads: `find`, `get`, `controls`, documents, `series`,
    /// `now`. Their replies are never lost, because a lost one is a failed read.
    Read,
    /// Whatever people and services write: `change`, `remove`, controls, documents.
    Operate,
}

impl Verbs {
    /// All groups.
    pub const ALL: [Self; 6] = [
        Self::Insert,
        Self::Claim,
        Self::Renew,
        Self::Settle,
        Self::Read,
        Self::Operate,
    ];
}

/// How probable it is, from 0 to 1, that a call fails with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chance {
    /// That a call fails before it reaches the storage: [`ErrorKind::Unavailable`].
    pub refused: f64,
    /// That a call is carried out and its reply is lost: [`ErrorKind::Unknown`].
    pub lost: f64,
}

/// Everything that may go wrong with a call. By default nothing does.
///
/// Probabilities are from 0 to 1. A call is refused, or loses its reply, or
/// hangs before or after it was carried out; besides, it may be late, and be
/// carried out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trouble {
    /// That it fails with an error.
    pub chance: Chance,
    /// That it hangs and does not reach the storage until [`Faulty::heal`].
    pub never_arrives: f64,
    /// That it is carried out, and that its reply hangs until [`Faulty::heal`].
    pub never_answered: f64,
    /// That it is carried out twice, one after the other, as if it had been sent
    /// again; the reply is that of either.
    pub twice: f64,
    /// How long it takes to reach the storage. A caller that gives up meanwhile
    /// has asked nothing.
    pub arrives_late: Late,
    /// How long the reply takes. A caller that gives up meanwhile does not know
    /// that the call was carried out.
    pub answered_late: Late,
}

impl From<Chance> for Trouble {
    fn from(chance: Chance) -> Self {
        Self {
            chance,
            ..Self::default()
        }
    }
}

/// A delay, drawn evenly from a range; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// The shortest.
    pub from: Duration,
    /// The longest.
    pub to: Duration,
}

impl Late {
    /// Always this late.
    #[must_use]
    pub fn by(delay: Duration) -> Self {
        Self {
            from: delay,
            to: delay,
        }
    }

    fn draw(self, random: &mut fastrand::Rng) -> Duration {
        match self.to.checked_sub(self.from) {
            None => self.from,
            Some(Duration::ZERO) => self.to,
            Some(range) => self.from + range.mul_f64(random.f64()),
        }
    }
}

/// How many calls of a group of verbs there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls in all.
    pub made: u64,
    /// Calls that never reached the storage.
    pub refused: u64,
    /// Calls that were carried out and whose reply was lost.
    pub lost: u64,
    /// Calls that hung, before or after they were carried out.
    pub hung: u64,
    /// Calls that were carried out twice.
    pub twice: u64,
    /// Calls that were delayed, on either way.
    pub late: u64,
}

/// A storage with faults. Which calls fail depends only on the seed and on the
/// order of the calls.
///
/// ```
/// # use std::sync::Arc;
/// # use majordomo_core::{Memory, Storage};
/// # use majordomo_testkit::faulty::{Faulty, Trouble, Verbs};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> majordomo_core::Result<()> {
/// let faulty = Faulty::new(Arc::new(Memory::new()), 7);
/// faulty.set(Verbs::Read, Trouble { twice: 1.0, ..Trouble::default() });
/// faulty.now().await?;
/// assert_eq!(faulty.calls(Verbs::Read).twice, 1);
/// # Ok(()) }
/// ```
pub struct Faulty<S: ?Sized> {
    healed: watch::Sender<bool>,
    faults: Mutex<Faults>,
    inner: Arc<S>,
}

struct Faults {
    random: fastrand::Rng,
    troubles: [Trouble; Verbs::ALL.len()],
    calls: [Calls; Verbs::ALL.len()],
}

/// What becomes of one call.
#[derive(Clone, Copy)]
struct Fate {
    outcome: Outcome,
    /// Whether it is carried out twice, and if so whether the first reply counts.
    twice: Option<bool>,
    arrives: Duration,
    answers: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Fine,
    Refused,
    Lost,
    NeverArrives,
    NeverAnswered,
}

impl<S: Storage + ?Sized> Faulty<S> {
    /// Puts faults around `storage`, none of which happens until [`Faulty::with`] says so.
    pub fn new(storage: Arc<S>, seed: u64) -> Self {
        let faults = Faults {
            random: fastrand::Rng::with_seed(seed),
            troubles: Default::default(),
            calls: Default::default(),
        };
        Self {
            healed: watch::Sender::new(false),
            faults: Mutex::new(faults),
            inner: storage,
        }
    }

    /// Sets what goes wrong with these verbs.
    #[must_use]
    pub fn with(self, verbs: Verbs, trouble: impl Into<Trouble>) -> Self {
        self.set(verbs, trouble);
        self
    }

    /// Sets what goes wrong with these verbs from now on, in place of what did before.
    pub fn set(&self, verbs: Verbs, trouble: impl Into<Trouble>) {
        self.lock().troubles[verbs as usize] = trouble.into();
    }

    /// Sets what goes wrong with all verbs.
    #[must_use]
    pub fn with_all(self, trouble: impl Into<Trouble>) -> Self {
        self.lock().troubles = [trouble.into(); Verbs::ALL.len()];
        self
    }

    /// Ends all faults for good, and lets go what hangs.
    pub fn heal(&self) {
        self.healed.send_replace(true);
    }

    /// How many calls of these verbs there were so far.
    pub fn calls(&self, verbs: Verbs) -> Calls {
        self.lock().calls[verbs as usize]
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, verbs: Verbs) -> Fate {
        let healed = *self.healed.borrow();
        let mut faults = self.lock();
        let Faults {
            random,
            troubles,
            calls,
        } = &mut *faults;
        let calls = &mut calls[verbs as usize];
        calls.made += 1;
        let drawn = random.f64();
        if healed {
            return Fate::FINE;
        }
        let trouble = troubles[verbs as usize];
        let fate = trouble.draw(drawn, verbs, random);
        calls.count(fate);
        fate
    }

    async fn healing(&self) {
        // The sender lives as long as this does.
        let _ = self.healed.subscribe().wait_for(|healed| *healed).await;
    }

    /// Makes a call, or does not, or twice, or forgets its reply.
    async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        verbs: Verbs,
        verb: &str,
        calling: impl Fn() -> F,
    ) -> Result<T> {
        let fate = self.fate(verbs);
        sleep(fate.arrives).await;
        if fate.outcome == Outcome::NeverArrives {
            self.healing().await;
        }
        if fate.outcome == Outcome::Refused {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("a fault kept `{verb}` from the storage"),
            ));
        }
        let mut reply = calling().await;
        if let Some(first) = fate.twice {
            let second = calling().await;
            reply = if first { reply } else { second };
        }
        if fate.outcome == Outcome::NeverAnswered {
            self.healing().await;
        }
        sleep(fate.answers).await;
        let reply = reply?;
        if fate.outcome == Outcome::Lost {
            return Err(Error::new(
                ErrorKind::Unknown,
                format!("a fault lost the reply to `{verb}`"),
            ));
        }
        Ok(reply)
    }
}

async fn sleep(delay: Duration) {
    // No delay is not even a moment, so that it changes no order.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

impl Trouble {
    /// The fate of one call. What is not set draws nothing, so that adding one
    /// kind of trouble to a test changes as little as it can.
    fn draw(self, drawn: f64, verbs: Verbs, random: &mut fastrand::Rng) -> Fate {
        let lost = match verbs {
            Verbs::Read => 0.0,
            _ => self.chance.lost,
        };
        let outcomes = [
            (self.chance.refused, Outcome::Refused),
            (lost, Outcome::Lost),
            (self.never_arrives, Outcome::NeverArrives),
            (self.never_answered, Outcome::NeverAnswered),
        ];
        let mut below = 0.0;
        let outcome = outcomes.into_iter().find_map(|(chance, outcome)| {
            below += chance;
            (drawn < below).then_some(outcome)
        });
        let twice = self.twice > 0.0 && random.f64() < self.twice;
        Fate {
            outcome: outcome.unwrap_or(Outcome::Fine),
            twice: twice.then(|| random.bool()),
            arrives: self.arrives_late.draw(random),
            answers: self.answered_late.draw(random),
        }
    }
}

impl Fate {
    const FINE: Self = Self {
        outcome: Outcome::Fine,
        twice: None,
        arrives: Duration::ZERO,
        answers: Duration::ZERO,
    };
}

impl Calls {
    fn count(&mut self, fate: Fate) {
        match fate.outcome {
            Outcome::Fine => {}
            Outcome::Refused => self.refused += 1,
            Outcome::Lost => self.lost += 1,
            Outcome::NeverArrives | Outcome::NeverAnswered => self.hung += 1,
        }
        self.twice += u64::from(fate.twice.is_some() && fate.outcome != Outcome::Refused);
        self.late += u64::from(fate.arrives + fate.answers > Duration::ZERO);
    }
}

impl<S: ?Sized + fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&&self.inner).finish()
    }
}
