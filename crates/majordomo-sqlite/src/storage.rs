//! The handle that users hold, and the verbs of the contract as calls to the
//! threads behind it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use async_trait::async_trait;
use majordomo_core::{
    Beat, Bucket, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability,
    Ending, Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Query,
    Renewed, Repeat, Result, Scope, Settled, Signal, Storage, Timestamp, Wakes, limits,
};

use crate::error::Run;
use crate::inserting::Inserting;
use crate::known::Known;
use crate::oneshot::{Answerer, channel as oneshot};
use crate::options::{Options, SqliteDurability};
use crate::readers::Readers;
use crate::ticker::Ticker;
use crate::tx::{PassedOver, Tx};
use crate::writer::{Call, IfAbandoned, Message, Others, Writer};
use crate::{change, claim, controls, documents, find, open, renew, series, settle};

/// Jobs in a SQLite file. Clones are the same storage.
///
/// When the last clone is dropped, what was asked for is still done, the
/// threads end, and the file is closed.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    path: PathBuf,
    durability: SqliteDurability,
    ticker: Arc<Ticker>,
    signal: Signal,
    commits: Arc<AtomicU64>,
    writer: Option<Mutex<Sender<Message>>>,
    readers: Option<Readers>,
    /// The readers, and the writer last.
    threads: Vec<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the file at `path` with the default options, making and migrating
    /// it if need be.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options(path).open().await
    }

    /// Options for the file at `path`.
    #[must_use]
    pub fn options(path: impl AsRef<Path>) -> Options {
        Options::new(path.as_ref())
    }

    /// The path of the file, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// How many transactions this storage has committed since it was opened.
    /// Those of other processes do not count.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }

    pub(crate) async fn start(options: Options) -> Result<Self> {
        let ticker = Arc::new(Ticker::new(Arc::clone(&options.clock)));
        let signal = Signal::new();
        let (path, durability) = (options.path.clone(), options.durability);
        let (writer, commands) = channel();
        let (opened, answer) = oneshot();
        let commits = Arc::new(AtomicU64::new(0));
        let theirs = Shared {
            ticker: Arc::clone(&ticker),
            signal: signal.clone(),
            commits: Arc::clone(&commits),
        };
        let thread = Builder::new()
            .name("majordomo-write".into())
            .spawn(move || write(&options, theirs, &commands, opened))
            .map_err(no_thread)?;
        let (readers, mut threads) = answer.await?;
        threads.push(thread);
        let (writer, readers) = (Some(Mutex::new(writer)), Some(readers));
        Ok(Self(Arc::new(Inner {
            path,
            durability,
            ticker,
            signal,
            commits,
            writer,
            readers,
            threads,
        })))
    }

    pub(crate) async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Run<T> + Send + 'static,
    {
        self.command(what, IfAbandoned::Do, work).await
    }

    async fn command<T, F>(
        &self,
        what: &'static str,
        if_abandoned: IfAbandoned,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Run<T> + Send + 'static,
    {
        let (answerer, asker) = oneshot();
        let call = Call {
            what,
            work: Some(work),
            kept: None,
            answerer,
            if_abandoned,
        };
        self.send(Message::Command(Box::new(call)));
        asker.await
    }

    /// A send that fails drops the message, and who waits for an answer hears of it.
    fn send(&self, message: Message) {
        if let Some(writer) = &self.0.writer {
            let _ = writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .send(message);
        }
    }

    async fn read<T, F>(&self, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection, Timestamp) -> Run<T> + Send + 'static,
    {
        let ticker = Arc::clone(&self.0.ticker);
        let Some(readers) = &self.0.readers else {
            return Err(crate::error::gone());
        };
        readers.ask(what, move |db| work(db, ticker.now())).await
    }
}

type Opened = (Readers, Vec<JoinHandle<()>>);

/// What the writing thread shares with the handle.
struct Shared {
    ticker: Arc<Ticker>,
    signal: Signal,
    commits: Arc<AtomicU64>,
}

/// The life of the writing thread: open everything, say so, and work.
fn write(
    options: &Options,
    shared: Shared,
    commands: &Receiver<Message>,
    opened: Answerer<Opened>,
) {
    let open = || -> Result<_> {
        let db = open::writer(options)?;
        let readers = (0..options.readers)
            .map(|_| open::reader(options))
            .collect::<Result<Vec<_>>>()?;
        Ok((db, Readers::start(readers).map_err(no_thread)?))
    };
    match open() {
        Ok((db, readers)) => {
            opened.answer(Ok(readers));
            Writer {
                db,
                ticker: shared.ticker,
                signal: shared.signal,
                commits: shared.commits,
                passed_over: PassedOver::default(),
                known: Known::default(),
                busy_timeout: options.busy_timeout,
                others: Others::default(),
                short_of_space: 0,
            }
            .run(commands);
        }
        Err(error) => opened.answer(Err(error)),
    }
}

fn no_thread(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot start a thread").source(source)
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer closes last: the last connection folds the log into the file.
        self.readers = None;
        let mut threads = std::mem::take(&mut self.threads);
        let writing = threads.pop();
        for thread in threads {
            join(thread);
        }
        self.writer = None;
        if let Some(thread) = writing {
            join(thread);
        }
    }
}

/// A waker may drop the last handle on one of the threads themselves.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != std::thread::current().id() {
        let _ = thread.join();
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.0.path)
            .field("durability", &self.0.durability)
            .finish()
    }
}

#[async_trait]
impl Storage for Sqlite {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        _repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        let groups: Vec<Result<Vec<NewJob>>> = groups
            .into_iter()
            .map(|jobs| jobs.iter().try_for_each(NewJob::check).map(|()| jobs))
            .collect();
        if groups
            .iter()
            .all(|group| group.as_ref().map_or(true, Vec::is_empty))
        {
            return Ok(groups
                .into_iter()
                .map(|group| group.map(|_| Vec::new()))
                .collect());
        }
        let (answerer, asker) = oneshot();
        self.send(Message::Insert(Inserting { groups, answerer }));
        asker.await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        claim.check()?;
        self.command("cannot claim jobs", IfAbandoned::Skip, move |tx| {
            claim::claim(tx, &claim)
        })
        .await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        for beat in &beats {
            beat.check()?;
        }
        self.write("cannot renew leases", move |tx| renew::renew(tx, beats))
            .await
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        for ending in &endings {
            ending.check()?;
        }
        then.as_ref().map_or(Ok(()), Claim::check)?;
        // Endings are written whoever waits, but jobs are not leased to nobody.
        let waiting = Arc::new(());
        let waits = Arc::downgrade(&waiting);
        let answer = self.write("cannot settle jobs", move |tx| {
            let settled = settle::settle(tx, endings)?;
            let then = then.filter(|_| waits.strong_count() > 0);
            let claimed = then.map(|claim| claim::claim(tx, &claim)).transpose()?;
            Ok((settled, claimed))
        });
        let answer = answer.await;
        drop(waiting);
        answer
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let (filter, limit) = (filter.clone(), limit.min(limits::PAGE));
        self.read("cannot list jobs", move |db, now| {
            find::find(db, now, &filter, order, after, limit)
        })
        .await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        let ids = ids.to_vec();
        self.read("cannot read jobs", move |db, _| find::get(db, &ids))
            .await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        change.check()?;
        let (filter, change, limit) = (filter.clone(), change.clone(), limit.min(limits::PAGE));
        self.write("cannot change jobs", move |tx| {
            change::change(tx, &filter, &change, after, limit)
        })
        .await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        let (filter, limit) = (filter.clone(), limit.min(limits::PAGE));
        self.write("cannot remove jobs", move |tx| {
            change::remove(tx, &filter, limit)
        })
        .await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.read("cannot read controls", |db, _| controls::list(db))
            .await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        scope.check()?;
        self.write("cannot set a control", move |tx| {
            controls::set(tx, &scope, &control)
        })
        .await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        put.check()?;
        self.write("cannot write a document", move |tx| documents::put(tx, put))
            .await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        let key = key.to_owned();
        self.read("cannot read a document", move |db, now| {
            documents::get(db, now, &key)
        })
        .await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        let (prefix, after, limit) = (
            prefix.to_owned(),
            after.map(str::to_owned),
            limit.min(limits::PAGE),
        );
        self.read("cannot list documents", move |db, now| {
            documents::list(db, now, &prefix, after.as_deref(), limit)
        })
        .await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.write("cannot remove a document", move |tx| {
            documents::remove(tx, &key)
        })
        .await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        let query = query.clone();
        self.read("cannot read statistics", move |db, _| {
            series::series(db, &query)
        })
        .await
    }

    async fn now(&self) -> Result<Timestamp> {
        Ok(self.0.ticker.now())
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        let listener = self.0.signal.listen();
        self.send(Message::Watch);
        Some(Box::new(listener))
    }

    fn name(&self) -> String {
        format!("sqlite:{}", self.0.path.display())
    }

    fn durability(&self) -> Durability {
        match self.0.durability {
            SqliteDurability::Full => Durability::PowerLoss,
            SqliteDurability::Relaxed => Durability::ProcessCrash,
        }
    }
}
