//! The threads that read. Each has a connection of its own that can't write;
//! they see what is committed, and never wait for the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use majordomo_core::Result;
use rusqlite::Connection;

use crate::error::{self, Fault, Run};
use crate::oneshot::{Answerer, Asker, channel as oneshot};

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading threads. They end once it is dropped.
#[derive(Debug)]
pub(crate) struct Readers(Mutex<Sender<Question>>);

impl Readers {
    /// Starts a thread for each connection.
    pub(crate) fn start(
        connections: Vec<Connection>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = connections
            .into_iter()
            .map(|db| {
                let receiver = Arc::clone(&receiver);
                std::thread::Builder::new()
                    .name("majordomo-read".into())
                    .spawn(move || run(&db, &receiver))
            })
            .collect::<std::io::Result<Vec<_>>>()?;
        Ok((Self(Mutex::new(sender)), threads))
    }

    /// Asks any of them. The work sees one state of the database from beginning to end.
    pub(crate) fn ask<T, F>(&self, what: &'static str, work: F) -> Asker<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Run<T> + Send + 'static,
    {
        let (answerer, asker) = oneshot();
        let question: Question = Box::new(move |db| answer(db, what, work, answerer));
        // A send that fails drops the question, and the asker hears of it.
        let _ = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(question);
        asker
    }
}

fn run(db: &Connection, questions: &Mutex<Receiver<Question>>) {
    loop {
        let question = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(question) = question else { return };
        question(db);
    }
}

fn answer<T, F: FnOnce(&Connection) -> Run<T>>(
    db: &Connection,
    what: &str,
    work: F,
    answerer: Answerer<T>,
) {
    if answerer.is_abandoned() {
        return;
    }
    let done = catch_unwind(AssertUnwindSafe(|| in_one_state(db, work)));
    answerer.answer(match done {
        Ok(done) => done.map_err(|fault| fault.into_error(what)),
        Err(panic) => Err(error::panicked(what, panic.as_ref())),
    });
    if !db.is_autocommit() {
        let _ = db.execute_batch("ROLLBACK");
    }
}

fn in_one_state<T, F: FnOnce(&Connection) -> Run<T>>(db: &Connection, work: F) -> Result<T, Fault> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let done = work(db);
    db.prepare_cached("ROLLBACK")?.execute([])?;
    done
}
