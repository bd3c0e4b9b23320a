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

mod course;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use majordomo_core::{Details, Error, Lease, Result, Settled, Wake, Wakes};
use tokio::sync::{oneshot, watch};

use crate::client::Ears;

use super::report::Report;
use course::Course;
pub(super) use course::Written;

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
            course.wait_for_pass()
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
        let waiting = self.lock().wait_for_next();
        self.outcome(waiting).await
    }

    async fn outcome(&self, waiting: oneshot::Receiver<Result<Report>>) -> Result<Report> {
        self.news.send_replace(());
        waiting.await.unwrap_or_else(|_| Err(course::stopped()))
    }

    fn lock(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker stands before the gate, until what this gives back is dropped.
    pub(super) fn attend(&self) -> Result<Attendance> {
        if !self.lock().arrive() {
            return Err(Error::invalid("the gate holds another worker already")
                .hint("give each worker a gate of its own"));
        }
        Ok(Attendance { gate: self.clone() })
    }

    /// A claim wants through; without a ticket it may not.
    pub(super) fn enter(&self) -> Option<Ticket> {
        let number = self.lock().begin()?;
        Some(Ticket {
            gate: self.clone(),
            number,
            answered: false,
        })
    }

    /// The endings of these attempts are about to be written.
    pub(super) fn writing(&self, endings: &[Written]) {
        self.lock().writing(endings);
    }

    /// The storage answered so.
    pub(super) fn wrote(&self, endings: &[Written], settled: &[Settled]) {
        self.lock().wrote(endings, settled);
    }

    /// The storage said that this lease is lost.
    pub(super) fn lost(&self, lease: &Lease) {
        self.lock().lost(lease);
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
        let leases = jobs.iter().map(|(_, lease)| lease);
        self.gate.lock().claimed(self.number, leases);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.gate.lock().abandoned(self.number);
        }
    }
}

/// That a worker stands before its gate.
pub(super) struct Attendance {
    gate: Gate,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.gate.lock().leave();
    }
}

/// Does all of a worker's work while it stands before its gate.
pub(super) async fn attended(gate: Option<Attendance>, work: impl Future<Output = ()>) {
    work.await;
    drop(gate);
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
