//! The one thread that writes.
//!
//! Natural batching: while one transaction is being committed, further commands
//! queue up, and all of them share the next one. So the first command of a quiet
//! moment is not delayed, and under load many commands share one sync of the
//! disk. Each command runs in a savepoint, so that one that fails sinks no
//! other; answers go out only after the commit.
//!
//! The connection also notices what other processes commit: `data_version`
//! changes on a connection only by the commits of others. So a thread that is
//! idle looks at it now and then, and its own writes never wake anyone twice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use majordomo_core::{Error, ErrorKind, Result, Signal, Wake};
use rusqlite::Connection;

use crate::error::{self, Fault, Run};
use crate::inserting::{Inserting, Inserts};
use crate::known::Known;
use crate::oneshot::Answerer;
use crate::series::Tallies;
use crate::ticker::Ticker;
use crate::tx::{PassedOver, Tx};

/// How many commands share a transaction at most.
const BATCH: usize = 1000;
/// How often an idle writer looks for commits of other processes.
const WATCH: Duration = Duration::from_millis(50);

/// How long the thread stays awake after a batch, for the call that follows from its answers:
/// the claim of what was inserted. To be woken takes as long as the claim itself.
const LINGER: Duration = Duration::from_micros(100);

/// How many batches in a row must have found space before it counts as plenty.
const CAREFUL: u32 = 100;

/// What the thread is sent.
pub(crate) enum Message {
    /// Work to be done in a transaction.
    Command(Box<dyn Command>),
    /// New jobs. Calls that queue up side by side become one.
    Insert(Inserting),
    /// Someone listens for wakes: look for commits of other processes from now on.
    Watch,
}

/// Something to do in a transaction, and someone to answer afterwards.
pub(crate) trait Command: Send {
    /// Whether it need not be done because nobody waits for it any more.
    fn is_moot(&self) -> bool;
    /// Does it and keeps the answer.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()>;
    /// Answers: with what was kept, or with the error of the whole transaction.
    fn answer(self: Box<Self>, error: Option<&Error>);
}

/// What to do with a command whose caller is gone before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfAbandoned {
    Do,
    /// A claim: the jobs would be leased to nobody.
    Skip,
}

pub(crate) struct Call<T, F> {
    pub(crate) what: &'static str,
    pub(crate) work: Option<F>,
    pub(crate) kept: Option<Result<T>>,
    pub(crate) answerer: Answerer<T>,
    pub(crate) if_abandoned: IfAbandoned,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Run<T> + Send,
{
    fn is_moot(&self) -> bool {
        self.if_abandoned == IfAbandoned::Skip && self.answerer.is_abandoned()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let work = self.work.take().expect("a command is run once");
        let done = catch_unwind(AssertUnwindSafe(|| work(tx)));
        let done = match done {
            Ok(done) => done.map_err(|fault| fault.into_error(self.what)),
            Err(panic) => Err(error::panicked(self.what, panic.as_ref())),
        };
        let outcome = done.as_ref().map(|_| ()).map_err(Error::duplicate);
        self.kept = Some(done);
        outcome
    }

    fn answer(mut self: Box<Self>, error: Option<&Error>) {
        let answer = match (self.kept.take(), error) {
            // Its own error says more than that of the transaction it shared.
            (Some(Err(own)), _) => Err(own),
            (_, Some(error)) => Err(error.duplicate()),
            (Some(Ok(kept)), None) => Ok(kept),
            (None, None) => Err(error::gone()),
        };
        self.answerer.answer(answer);
    }
}

/// What is known of the commits of other processes.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Whether anyone listens.
    watched: bool,
    /// The version of the data at the last look.
    seen: Option<i64>,
}

pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) signal: Signal,
    /// How many transactions were committed.
    pub(crate) commits: Arc<AtomicU64>,
    pub(crate) passed_over: PassedOver,
    pub(crate) known: Known,
    pub(crate) others: Others,
    pub(crate) busy_timeout: Duration,
    /// How many batches will still be written carefully, because one found no space.
    pub(crate) short_of_space: u32,
}

impl Writer {
    /// Works until nobody can send commands any more.
    pub(crate) fn run(mut self, commands: &Receiver<Message>) {
        let mut at_work = false;
        loop {
            let soon = if at_work { linger(commands) } else { None };
            let message = match soon {
                Some(message) => Ok(message),
                None if self.others.watched => commands.recv_timeout(WATCH),
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            at_work = false;
            match message {
                Ok(Message::Watch) => self.others.watched = true,
                Ok(first) => {
                    self.batch(first, commands);
                    at_work = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.hear_others();
        }
    }

    /// Wakes the listeners if another process has committed since the last look.
    /// Who has just begun to listen may be woken for an earlier commit; the
    /// other way round, a commit might go unheard.
    fn hear_others(&mut self) {
        let Some(version) = self.version() else {
            return self.known.forget_all();
        };
        let seen = self.others.seen.replace(version);
        if seen != Some(version) {
            self.known.doubt();
        }
        let is_news = seen.is_some_and(|seen| seen != version);
        if is_news && self.others.watched {
            self.signal.notify(Wake::ALL);
        }
    }

    /// Changes with each commit of another connection, and with nothing else.
    fn version(&self) -> Option<i64> {
        let look = self.db.prepare_cached("PRAGMA data_version");
        look.and_then(|mut look| look.query_row([], |row| row.get(0)))
            .ok()
    }

    /// Runs `first` and whatever is queued behind it in one transaction.
    fn batch(&mut self, first: Message, commands: &Receiver<Message>) {
        if self.short_of_space > 0 {
            self.make_room();
        }
        // The lock first: what arrives while it is waited for joins the batch.
        let begun = self
            .db
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut begin| begin.execute([]));
        let mut batch = self.gather(first, commands);
        let outcome = match begun {
            Ok(_) => {
                // Nobody else can commit from here on.
                if self.version() != self.others.seen {
                    self.known.doubt();
                }
                self.transact(&mut batch)
            }
            Err(error) => Err(Fault::Sqlite(error).into_error("cannot begin to write")),
        };
        let error = outcome.as_ref().err();
        if error.is_some() {
            self.known.forget_all();
        }
        self.short_of_space = match error {
            Some(error) if error.kind() == ErrorKind::Full => CAREFUL,
            Some(_) => self.short_of_space,
            None => self.short_of_space.saturating_sub(1),
        };
        if let Ok(wake) = outcome
            && wake != Wake::default()
        {
            let _ = catch_unwind(AssertUnwindSafe(|| self.signal.notify(wake)));
        }
        for command in batch {
            // Answering runs wakers, which are not ours and may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| command.answer(error)));
        }
    }

    /// `first` and what is queued behind it, with new jobs that come side by side put together.
    fn gather(&mut self, first: Message, commands: &Receiver<Message>) -> Vec<Box<dyn Command>> {
        let mut batch: Vec<Box<dyn Command>> = Vec::new();
        let mut inserts = Inserts::default();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Message::Insert(insert) => inserts.0.push(insert),
                Message::Command(command) => {
                    batch.extend(inserts.take());
                    batch.push(command);
                }
                Message::Watch => self.others.watched = true,
            }
            taken += 1;
            next = (taken < BATCH).then(|| commands.try_recv().ok()).flatten();
        }
        batch.extend(inserts.take());
        batch
    }

    /// Folds the log into the file and gives its space back. Where space is
    /// short, a log that grows freely could take what folding it needs. Waits
    /// for nobody; what can't be done yet is tried the next time.
    fn make_room(&self) {
        let folded = self.db.busy_timeout(Duration::ZERO).and_then(|()| {
            self.db
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        });
        if let Err(error) = folded {
            tracing::debug!(%error, "the log can't be folded into the file");
        }
        if let Err(error) = self.db.busy_timeout(self.busy_timeout) {
            tracing::error!(%error, "the time to wait for locks can't be set");
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Command>]) -> Result<Wake> {
        let alone = batch.len() == 1;
        let mut tallies = Tallies::default();
        let mut wake = Wake::default();
        for command in batch.iter_mut().filter(|command| !command.is_moot()) {
            let mut tx = Tx {
                db: &self.db,
                now: self.ticker.now(),
                tallies: Tallies::default(),
                wake: Wake::default(),
                passed_over: &mut self.passed_over,
                known: &mut self.known,
            };
            let done = if alone {
                command.run(&mut tx)
            } else {
                in_savepoint(&mut tx, command.as_mut())
            };
            match done {
                Ok(()) => {
                    wake.work |= tx.wake.work;
                    wake.news |= tx.wake.news;
                    tallies.merge(tx.tallies);
                    continue;
                }
                // SQLite itself rolls everything back after some errors.
                Err(error) if self.db.is_autocommit() => return Err(shared(&error)),
                Err(error) if alone => {
                    roll_back(&self.db);
                    return Err(error);
                }
                Err(error) if error.kind() == ErrorKind::Full => self.short_of_space = CAREFUL,
                Err(_) => {}
            }
            self.known.forget_all();
        }
        if let Err(fault) = tallies.write(&self.db) {
            roll_back(&self.db);
            return Err(fault.into_error("cannot write statistics"));
        }
        self.db
            .prepare_cached("COMMIT")
            .and_then(|mut commit| commit.execute([]))
            .map_err(|error| {
                roll_back(&self.db);
                error::of_commit(error)
            })?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(wake)
    }
}

/// The next message, if it comes at once. Others may have the core meanwhile.
fn linger(commands: &Receiver<Message>) -> Option<Message> {
    let began = Instant::now();
    loop {
        match commands.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if began.elapsed() >= LINGER {
            return None;
        }
        std::thread::yield_now();
    }
}

/// Runs a command so that its failure leaves no trace in the transaction. If
/// even that fails, the whole transaction is rolled back, which the caller sees.
fn in_savepoint(tx: &mut Tx<'_>, command: &mut dyn Command) -> Result<()> {
    let db = tx.db;
    let mark = |sql: &str| {
        let marked = db.prepare_cached(sql).and_then(|mut mark| mark.execute([]));
        marked.map(|_| ()).map_err(|error| {
            roll_back(db);
            Fault::Sqlite(error).into_error("cannot write")
        })
    };
    mark("SAVEPOINT command")?;
    let done = command.run(tx);
    if done.is_err() && !db.is_autocommit() {
        mark("ROLLBACK TO command")?;
    }
    if !db.is_autocommit() {
        mark("RELEASE command")?;
    }
    done
}

fn roll_back(db: &Connection) {
    if !db.is_autocommit()
        && let Err(error) = db.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction can't be rolled back");
    }
}

/// What those hear whose transaction another call took down.
fn shared(error: &Error) -> Error {
    let kind = if error.kind() == ErrorKind::Full {
        ErrorKind::Full
    } else {
        ErrorKind::Unavailable
    };
    Error::new(kind, "the transaction was rolled back").source(error.to_string())
}

#[cfg(test)]
mod tests;
