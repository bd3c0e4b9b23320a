//! How a file is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{Clock, Result, SystemClock};

use crate::Sqlite;

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SqliteDurability {
    /// A power cut: each commit is synced to the disk (`synchronous=FULL`).
    /// Calls that arrive together share a commit, so it is fast under load.
    #[default]
    Full,
    /// The death of the process, but a power cut may take the last moments
    /// (`synchronous=NORMAL`).
    Relaxed,
}

/// What to do if there is no file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// Make one.
    #[default]
    IfMissing,
    /// Refuse to open.
    Never,
}

/// What to do if the file's schema is older than this program's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Migrate {
    /// Bring it up to date. Safe on every node at once.
    #[default]
    Automatic,
    /// Refuse to open until someone ran `majordomo migrate up`.
    CheckOnly,
}

/// Options of a [`Sqlite`] storage, made by [`Sqlite::options`].
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) path: PathBuf,
    pub(crate) durability: SqliteDurability,
    pub(crate) readers: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) busy_timeout: Duration,
    pub(crate) create: Create,
    pub(crate) migrate: Migrate,
}

impl Options {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            durability: SqliteDurability::default(),
            readers: 2,
            clock: Arc::new(SystemClock::new()),
            busy_timeout: Duration::from_secs(5),
            create: Create::default(),
            migrate: Migrate::default(),
        }
    }

    /// Sets what an acknowledged write survives; a power cut by default.
    #[must_use]
    pub fn durability(mut self, durability: SqliteDurability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many threads read; 2 by default, at least 1.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Sets the clock that decides everything; the machine's by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how long to wait for another process to release its lock on the
    /// file before a call fails with [`majordomo_core::ErrorKind::Unavailable`]; 5 s by default.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets what to do if there is no file; it is made by default.
    #[must_use]
    pub fn create(mut self, create: Create) -> Self {
        self.create = create;
        self
    }

    /// Sets what to do about an older schema; it is migrated by default.
    #[must_use]
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    /// [`majordomo_core::ErrorKind::Incompatible`] if the file can't be used:
    /// it is missing, foreign, newer than this program, not migrated or not
    /// writable; the message says which, and what to do.
    pub async fn open(self) -> Result<Sqlite> {
        Sqlite::start(self).await
    }
}
