//! Controls: pausing and limiting queues, tasks and limit keys. `claim` enforces
//! them in the storage, over all workers at once.
//!
//! A storage sets a control whole. So that pausing loses no limit and limiting
//! no pause, whoever changes one field takes turns with everyone else who does:
//! a document says whose turn it is. A turn ends by itself after [`TURN`], so
//! that a program that died in the middle blocks nobody for long.

use std::time::Duration;

use majordomo_core::{
    Control, Document, Error, ErrorKind, If, JobId, Pause, Put, Result, Scope, Wake, When, time,
};
use serde_json::Value;

use super::Client;
use super::patience::{self, Tries};

/// How long a turn lasts at most, by the storage's clock.
const TURN: Duration = Duration::from_secs(10);
/// How long the document is kept behind the last turn, so that its version goes on growing.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A queue, task or limit key, to be paused, resumed and limited.
///
/// ```
/// # use majordomo_core::Memory;
/// # use majordomo_engine::Client;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> majordomo_core::Result<()> {
/// # let jobs = Client::new(Memory::new());
/// jobs.queue("mail").max_running(3).await?;
/// jobs.queue("mail").pause("the mail server moves house").await?;
/// let control = jobs.queue("mail").resume().await?;
/// assert_eq!(control.max_running, Some(3));
/// # Ok(()) }
/// ```
///
/// Changes of one field keep the other, also if several programs make them at
/// once. [`Self::set`] replaces everything, and the latest one wins.
#[derive(Clone, Debug)]
pub struct Controlled<'a> {
    client: &'a Client,
    scope: Scope,
}

impl Client {
    /// A queue, to pause, resume and limit it.
    pub fn queue(&self, name: impl Into<String>) -> Controlled<'_> {
        self.control(Scope::Queue(name.into()))
    }

    /// A task, to pause, resume and limit it. Jobs under an alias of it are not
    /// meant: controls go by the name that a job is stored under.
    pub fn task(&self, name: impl Into<String>) -> Controlled<'_> {
        self.control(Scope::Task(name.into()))
    }

    /// All jobs of a limit key, to pause, resume and limit them.
    pub fn limit_key(&self, key: impl Into<String>) -> Controlled<'_> {
        self.control(Scope::LimitKey(key.into()))
    }

    /// Whatever can be controlled.
    #[must_use]
    pub fn control(&self, scope: Scope) -> Controlled<'_> {
        Controlled {
            client: self,
            scope,
        }
    }

    /// All controls that are set, ordered by scope.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        patience::repeat(self, || self.storage.controls()).await
    }
}

impl Controlled<'_> {
    /// What is allowed now; the default if nothing was set.
    ///
    /// # Errors
    /// If the storage can't be read.
    pub async fn read(&self) -> Result<Control> {
        let controls = self.client.controls().await?;
        let own = controls.into_iter().find(|(scope, _)| *scope == self.scope);
        Ok(own.map(|(_, control)| control).unwrap_or_default())
    }

    /// Starts nothing more until it is resumed; what runs may end. The note says why.
    ///
    /// # Errors
    /// If the name is refused or the storage can't be reached. All others fail
    /// the same way.
    pub async fn pause(&self, note: impl Into<String>) -> Result<Control> {
        self.set_pause(note.into(), None).await
    }

    /// Starts nothing more until this time, by the storage's clock, or until it is resumed.
    ///
    /// # Errors
    /// As [`Self::pause`], and if that time has passed.
    pub async fn pause_until(
        &self,
        note: impl Into<String>,
        until: impl Into<When>,
    ) -> Result<Control> {
        self.set_pause(note.into(), Some(until.into())).await
    }

    /// Ends a pause. Workers look for work at once.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn resume(&self) -> Result<Control> {
        self.change(|control| control.paused = None).await
    }

    /// At most this many run at once, over all workers; what runs already may
    /// end. With 0 nothing more starts.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn max_running(&self, jobs: u32) -> Result<Control> {
        self.change(|control| control.max_running = Some(jobs))
            .await
    }

    /// Ends the limit. Workers look for work at once.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn unlimited(&self) -> Result<Control> {
        self.change(|control| control.max_running = None).await
    }

    /// Replaces the whole control; the default one allows everything.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub async fn set(&self, control: Control) -> Result<Control> {
        self.change(|current| current.clone_from(&control)).await
    }

    async fn set_pause(&self, note: String, until: Option<When>) -> Result<Control> {
        let until = match until {
            None => None,
            Some(until) => {
                let now = self.client.now().await?;
                let until = until.resolve(now);
                if until <= now {
                    let message =
                        format!("cannot pause until `{until}`, which has passed: it is `{now}`");
                    return Err(Error::invalid(message).hint("give a later instant"));
                }
                Some(until)
            }
        };
        let pause = Pause { note, until };
        self.change(|control| control.paused = Some(pause.clone()))
            .await
    }

    async fn change(&self, change: impl Fn(&mut Control)) -> Result<Control> {
        self.scope.check()?;
        let version = self.take_turn().await?;
        let changed = self.change_in_turn(change).await;
        let done = self.turn(Value::Null, If::Version(version));
        // Should this fail, the turn ends by itself. Repeated, it ends nobody
        // else's: the version has grown by then.
        let _ = self.put(&done).await;
        changed
    }

    async fn change_in_turn(&self, change: impl Fn(&mut Control)) -> Result<Control> {
        let mut control = self.read().await?;
        change(&mut control);
        patience::repeat(self.client, || {
            let (scope, control) = (self.scope.clone(), control.clone());
            self.client.storage.set_control(scope, control)
        })
        .await?;
        // For storages that wake nobody themselves.
        self.client.notify(Wake::WORK);
        Ok(control)
    }

    /// Waits until nobody else changes this control. Gives the version of the
    /// document that says so.
    async fn take_turn(&self) -> Result<u64> {
        let client = self.client;
        let me = Value::from(JobId::new().to_string());
        let key = self.turn(Value::Null, If::Any).key;
        let mut tries = Tries::new(client.patience);
        loop {
            let found = patience::repeat(client, || client.storage.get_document(&key)).await?;
            let (is_free, condition) = match found {
                None => (true, If::Absent),
                // Taken by a try whose reply was lost.
                Some(document) if document.value == me => return Ok(document.version),
                Some(document) => {
                    let ends = time::after(document.changed_at, TURN);
                    let is_free = document.value.is_null() || ends <= client.now().await?;
                    (is_free, If::Version(document.version))
                }
            };
            if is_free && let Ok(taken) = self.put(&self.turn(me.clone(), condition)).await? {
                return Ok(taken.version);
            }
            tries.wait_after(self.is_taken()).await?;
        }
    }

    async fn put(&self, put: &Put) -> Result<Result<Document, Option<u64>>> {
        patience::repeat(self.client, || {
            self.client.storage.put_document(put.clone())
        })
        .await
    }

    fn is_taken(&self) -> Error {
        let (kind, name) = (self.scope.kind(), self.scope.name());
        let message = format!("the control of {kind} `{name}` is being changed by someone else");
        Error::new(ErrorKind::Unavailable, message)
            .hint(format!("try again; it takes {TURN:?} at most"))
    }

    /// The document that says whose turn it is; nobody's if it is null.
    fn turn(&self, whose: Value, condition: If) -> Put {
        let key = format!("control/{}/{}", self.scope.kind(), self.scope.name());
        Put {
            condition,
            ttl: Some(KEPT),
            ..Put::new(key, whose)
        }
    }
}
