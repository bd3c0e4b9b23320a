//! A gate before the claims of one worker, for tests that want a real worker,
//! with its loops and threads, and yet say when it may take jobs.
//!
//! A worker has no batches: it refills its slots all the time, and may ask for
//! more in the same call that writes endings. So a **cycle** is defined by its
//! claim. It begins when the worker asks the storage for jobs. It is done when
//! the ending of every job that this claim gave is written, or can't be any
//! more because the lease was lost; a claim that gives none is done at once.
//! While the gate is held no claim begins; what was claimed before goes on.
//!
//! A cycle that fails is done as well, with the error: whoever waits for it is
//! told, while the worker tries again on its own.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use majordomo_core::{
    Details, EndingKind, Error, ErrorKind, JobId, Lease, Result, Settled, Wake, Wakes,
};
use tokio::sync::{oneshot, watch};

use crate::client::Ears;

use super::report::{Came, Report};

/// Holds one worker before it claims. Clones are the same gate.
///
/// Give each worker a gate of its own. Gates know nothing of each other, so
/// tests may run at the same time in one process.
///
/// ```
/// # use majordomo_core::{Memory, Task};
/// # use majordomo_engine::{Client, Context, Gate, Result, Run, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct Greet;
/// # impl Task for Greet { type Output = (); const NAME: &'static str = "greet"; }
/// # impl Run<()> for Greet { async fn run(self, _: &(), _: &Context) -> Result<()> { Ok(()) } }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// let jobs = Client::new(Memory::new());
/// let gate = Gate::held();
/// let worker = Worker::new(&jobs, ()).handle::<Greet>().gate(&gate).start().await?;
/// jobs.enqueue_many([Greet, Greet]).await?;
/// assert_eq!(gate.pass_one().await?.completed(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Gate {
    course: Arc<Mutex<Course>>,
    /// Tells the worker to look.
    news: watch::Sender<()>,
}

/// What the gate knows of its worker.
#[derive(Default)]
struct Course {
    held: bool,
    worker: Presence,
    /// Each lets one claim through although the gate is held.
    passes: VecDeque<Waiter>,
    /// Those who wait for the next cycle to begin and to be done.
    watching: Vec<Waiter>,
    /// The cycles under way that someone waits for.
    cycles: Vec<Cycle>,
    begun: u64,
}

type Waiter = oneshot::Sender<Result<Report>>;

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

impl Gate {
    /// One that is open.
    #[must_use]
    pub fn open() -> Self {
        Self {
            course: Arc::default(),
            news: watch::Sender::new(()),
        }
    }

    /// One that is held from the start, so that its worker claims nothing before
    /// it is told to.
    #[must_use]
    pub fn held() -> Self {
        let gate = Self::open();
        gate.hold();
        gate
    }

    /// From now on no claim begins. One that is under way goes on, and so does
    /// what was claimed before.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// From now on the worker claims as it likes.
    pub fn release(&self) {
        self.lock().held = false;
        self.news.send_replace(());
    }

    /// Whether it is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.lock().held
    }

    /// Holds the gate, lets exactly one claim through, and waits until the
    /// ending of each job it gave is written. Several callers get a claim each,
    /// in their order. Dropped before its claim began, it lets none through.
    ///
    /// It waits for as long as the jobs run, and for a worker that has yet to
    /// start; bound it with a timeout where that is not enough.
    ///
    /// # Errors
    /// The storage's error if the claim or the write of an ending fails, also
    /// if the worker was already busy with failures; it tries again on its own.
    /// An error if the worker stops before the cycle is done.
    pub async fn pass_one(&self) -> Result<Report> {
        let waiting = {
            let mut course = self.lock();
            course.held = true;
            course.wait(|course, waiter| course.passes.push_back(waiter))
        };
        self.outcome(waiting).await
    }

    /// Waits for a cycle that begins after this call, and until it is done. An
    /// open gate has its worker look for jobs at once; a held one waits until
    /// somebody lets a claim through.
    ///
    /// # Errors
    /// As [`Self::pass_one`].
    pub async fn cycle_done(&self) -> Result<Report> {
        let waiting = self
            .lock()
            .wait(|course, waiter| course.watching.push(waiter));
        self.outcome(waiting).await
    }

    async fn outcome(&self, waiting: oneshot::Receiver<Result<Report>>) -> Result<Report> {
        self.news.send_replace(());
        waiting.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker stands before the gate, until what this gives back is dropped.
    pub(super) fn attend(&self) -> Result<Attendance> {
        let mut course = self.lock();
        if course.worker == Presence::Here {
            return Err(Error::invalid("the gate holds another worker already")
                .hint("give each worker a gate of its own"));
        }
        course.worker = Presence::Here;
        Ok(Attendance { gate: self.clone() })
    }

    /// A claim wants through; without a ticket it may not.
    pub(super) fn enter(&self) -> Option<Ticket> {
        let mut course = self.lock();
        let mut waiters = Vec::new();
        if course.held {
            // Whoever was dropped meanwhile lets nothing through.
            course.passes.retain(|pass| !pass.is_closed());
            waiters.push(course.passes.pop_front()?);
        } else {
            waiters.extend(course.passes.drain(..));
        }
        waiters.append(&mut course.watching);
        waiters.retain(|waiter| !waiter.is_closed());
        course.begun += 1;
        let number = course.begun;
        if !waiters.is_empty() {
            course.cycles.push(Cycle {
                number,
                attempts: None,
                waiters,
            });
        }
        Some(Ticket {
            gate: self.clone(),
            number,
            answered: false,
        })
    }

    /// The endings of these attempts are about to be written.
    pub(super) fn writing(&self, leases: &[(JobId, u64, EndingKind)]) {
        let mut course = self.lock();
        for (job, token, _) in leases {
            course.only(*job, *token, |attempt| attempt.settling = true);
        }
    }

    /// The storage answered so.
    pub(super) fn wrote(&self, leases: &[(JobId, u64, EndingKind)], settled: &[Settled]) {
        let mut course = self.lock();
        for ((job, token, kind), settled) in leases.iter().zip(settled) {
            let came = Came::of(*kind, *settled);
            course.only(*job, *token, |attempt| attempt.came = Some(came));
        }
        course.finish();
    }

    /// This lease is lost, so nothing will be written under it; unless its
    /// ending is being written, which ends the lease as well.
    pub(super) fn lost(&self, lease: &Lease) {
        let mut course = self.lock();
        course.only(lease.job, lease.token, |attempt| {
            if !attempt.settling && attempt.came.is_none() {
                attempt.came = Some(Came::Stale);
            }
        });
        course.finish();
    }

    /// A call failed: everyone who waits is told.
    pub(super) fn failed(&self, error: &Error) {
        self.lock().fail_all(|| error.duplicate());
    }

    /// Hears when the gate wants its worker to look, besides what the worker hears anyway.
    pub(super) fn wakes(&self, ears: Ears) -> Box<dyn Wakes> {
        Box::new(GateWakes {
            news: self.news.subscribe(),
            _sender: self.news.clone(),
            ears,
        })
    }
}

impl Course {
    /// Takes in someone who waits, unless there is nobody to wait for.
    fn wait(&mut self, how: impl FnOnce(&mut Self, Waiter)) -> oneshot::Receiver<Result<Report>> {
        let (waiter, waiting) = oneshot::channel();
        // Dropped at once if the worker is gone, which is the answer.
        if self.worker != Presence::Gone {
            how(self, waiter);
        }
        waiting
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

    fn fail_all(&mut self, error: impl Fn() -> Error) {
        let cycles = self.cycles.drain(..).flat_map(|cycle| cycle.waiters);
        let all = cycles
            .chain(self.passes.drain(..))
            .chain(self.watching.drain(..));
        all.for_each(|waiter| drop(waiter.send(Err(error()))));
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("held", &self.is_held())
            .finish_non_exhaustive()
    }
}

/// A claim that was let through.
pub(super) struct Ticket {
    gate: Gate,
    number: u64,
    answered: bool,
}

impl Ticket {
    /// The claim gave these jobs.
    pub(super) fn claimed(mut self, jobs: &[(Details, Lease)]) {
        self.answered = true;
        let mut course = self.gate.lock();
        for (_, lease) in jobs {
            // A new lease of a job means that every older one is lost.
            course.each(lease.job, |attempt| {
                if attempt.token < lease.token {
                    attempt.came = attempt.came.or(Some(Came::Stale));
                }
            });
        }
        let number = self.number;
        if let Some(cycle) = course
            .cycles
            .iter_mut()
            .find(|cycle| cycle.number == number)
        {
            let attempt = |(_, lease): &(Details, Lease)| Attempt {
                job: lease.job,
                token: lease.token,
                settling: false,
                came: None,
            };
            cycle.attempts = Some(jobs.iter().map(attempt).collect());
        }
        course.finish();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut course = self.gate.lock();
        let number = self.number;
        let gone = course
            .cycles
            .iter()
            .position(|cycle| cycle.number == number);
        let waiters = gone.map(|index| course.cycles.swap_remove(index).waiters);
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(Err(Error::new(
                ErrorKind::Unknown,
                "the worker gave up its claim before it was answered",
            )));
        }
    }
}

/// That a worker stands before its gate.
pub(super) struct Attendance {
    gate: Gate,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut course = self.gate.lock();
        course.worker = Presence::Gone;
        course.fail_all(stopped);
    }
}

/// Does all of a worker's work while it stands before its gate.
pub(super) async fn attended(gate: Option<Attendance>, work: impl Future<Output = ()>) {
    work.await;
    drop(gate);
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the worker stopped before the cycle was done",
    )
}

struct GateWakes {
    news: watch::Receiver<()>,
    /// Keeps the channel open.
    _sender: watch::Sender<()>,
    ears: Ears,
}

#[async_trait]
impl Wakes for GateWakes {
    async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            _ = self.news.changed() => Wake::WORK,
            wake = self.ears.next() => wake,
        }
    }
}

impl fmt::Debug for GateWakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GateWakes")
    }
}
