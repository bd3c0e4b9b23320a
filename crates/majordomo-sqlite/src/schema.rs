//! The schema and its steps, for the storage itself and for `majordomo migrate`.
//!
//! Each step is one transaction that looks again at the version before it acts.
//! So any number of processes may start at once, and one that is killed halfway
//! leaves either the version before or the version after.

use std::path::Path;
use std::time::Duration;

use majordomo_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Fault, Run};
use crate::open;
use crate::options::Create;

/// Marks a file as ours, in its header: `MJDO`.
pub const APPLICATION_ID: i32 = i32::from_be_bytes(*b"MJDO");

const STEPS: [&str; 4] = [
    include_str!("migrations/0001_jobs.sql"),
    include_str!("migrations/0002_records.sql"),
    include_str!("migrations/0003_statistics.sql"),
    include_str!("migrations/0004_retention.sql"),
];

/// The version of the schema that this program works with.
pub const WANTED: u32 = STEPS.len() as u32;

const LOCK_WAIT: Duration = Duration::from_secs(30);

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether there is a file.
    pub exists: bool,
    /// Whether it is empty or Majordomo's, and not another program's.
    pub ours: bool,
    /// The version of its schema; 0 if it has none yet.
    pub current: u32,
    /// The version that this program works with.
    pub wanted: u32,
}

impl Status {
    /// Whether this program can work with the file as it is.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.exists && self.ours && self.current == self.wanted
    }
}

/// Looks at the file at `path` and changes nothing.
///
/// # Errors
/// [`ErrorKind::Incompatible`] if the path can't be that of a database.
pub fn status(path: impl AsRef<Path>) -> Result<Status> {
    let path = path.as_ref();
    let none = Status {
        exists: false,
        ours: true,
        current: 0,
        wanted: WANTED,
    };
    let file = match open::file(path, Create::Never) {
        Ok(file) => file,
        Err(_) if !path.exists() && path.parent().is_some() => return Ok(none),
        Err(error) => return Err(error),
    };
    let db = open::connect(&file, LOCK_WAIT)?;
    match look(&db) {
        Ok(found) => Ok(Status {
            exists: true,
            ours: found.is_ours(),
            current: found.version,
            ..none
        }),
        Err(Fault::Sqlite(error)) if is_no_database(&error) => Ok(Status {
            exists: true,
            ours: false,
            ..none
        }),
        Err(fault) => Err(fault.into_error(&cannot_read(path))),
    }
}

/// Brings the file at `path` up to date, making it if need be. Does nothing if it is.
///
/// # Errors
/// [`ErrorKind::Incompatible`] if the file is foreign, newer than this program, or not writable.
pub fn migrate(path: impl AsRef<Path>) -> Result<Status> {
    let file = open::file(path.as_ref(), Create::IfMissing)?;
    let mut db = open::connect(&file, LOCK_WAIT)?;
    bring_up(&mut db, &file)?;
    Ok(Status {
        exists: true,
        ours: true,
        current: WANTED,
        wanted: WANTED,
    })
}

/// Runs the steps that are missing.
pub(crate) fn bring_up(db: &mut Connection, path: &Path) -> Result<()> {
    bring_up_to(db, path, WANTED)
}

fn bring_up_to(db: &mut Connection, path: &Path, wanted: u32) -> Result<()> {
    while examine(db, path)? < wanted {
        step(db)
            .map_err(|fault| fault.into_error(&format!("cannot migrate `{}`", path.display())))?;
    }
    Ok(())
}

/// Refuses a file that is not up to date.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<()> {
    let version = examine(db, path)?;
    if version == WANTED {
        return Ok(());
    }
    let path = path.display();
    let has = if version == 0 {
        "no schema yet".to_owned()
    } else {
        format!("schema version {version}")
    };
    Err(Error::new(
        ErrorKind::Incompatible,
        format!("`{path}` has {has}, this program needs version {WANTED}"),
    )
    .hint("run `majordomo migrate up`"))
}

/// The version of a file that is ours and not too new.
fn examine(db: &Connection, path: &Path) -> Result<u32> {
    let shown = path.display();
    let found = match look(db) {
        Ok(found) => found,
        Err(Fault::Sqlite(error)) if is_no_database(&error) => {
            return Err(Error::new(
                ErrorKind::Incompatible,
                format!("`{shown}` is not a SQLite database"),
            )
            .hint("choose another path; the file is left as it is"));
        }
        Err(fault) => return Err(fault.into_error(&cannot_read(path))),
    };
    if !found.is_ours() {
        return Err(Error::new(
            ErrorKind::Incompatible,
            format!("`{shown}` belongs to another program"),
        )
        .hint("give Majordomo a file of its own; this one is left as it is"));
    }
    if found.version > WANTED {
        let message = format!(
            "`{shown}` has schema version {}, this program knows versions up to {WANTED}",
            found.version
        );
        return Err(Error::new(ErrorKind::Incompatible, message)
            .hint("it was migrated by a newer Majordomo: update this program"));
    }
    Ok(found.version)
}

struct Found {
    application: i32,
    version: u32,
    objects: i64,
}

impl Found {
    fn is_ours(&self) -> bool {
        match self.application {
            APPLICATION_ID => true,
            0 => self.objects == 0 && self.version == 0,
            _ => false,
        }
    }
}

/// Reads all three in one statement, so that they belong together while
/// another process migrates.
fn look(db: &Connection) -> Run<Found> {
    let found = db.query_row(include_str!("sql/read_schema.sql"), [], |row| {
        let version: i64 = row.get(1)?;
        Ok(Found {
            application: row.get(0)?,
            version: u32::try_from(version).unwrap_or(u32::MAX),
            objects: row.get(2)?,
        })
    })?;
    Ok(found)
}

/// Runs the next step, unless another process has run it meanwhile.
fn step(db: &mut Connection) -> Run<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = look(&tx)?;
    let next = usize::try_from(found.version)
        .ok()
        .and_then(|version| STEPS.get(version));
    if let Some(sql) = next.filter(|_| found.is_ours()) {
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", found.version + 1)?;
        tx.commit()?;
    }
    Ok(())
}

fn is_no_database(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase)
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read `{}`", path.display())
}

#[cfg(test)]
mod tests;
