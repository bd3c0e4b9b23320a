//! What SQLite's error codes mean in the words of the storage contract.

use majordomo_core::{Error, ErrorKind, JobId};
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// What goes wrong inside a command: SQLite's own errors, and ours.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    Storage(Error),
}

pub(crate) type Run<T> = std::result::Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl Fault {
    /// Stored data of a job that can't be read.
    pub(crate) fn corrupt_job(id: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Storage(
            Error::new(
                ErrorKind::Corrupt,
                format!("job `{id}` can't be read: {why}"),
            )
            .hint("restore the file from a backup, or delete the rows of this job"),
        )
    }

    /// Stored data of something else that can't be read.
    pub(crate) fn corrupt(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        let message = format!("{what} can't be read: {why}");
        Self::Storage(
            Error::new(ErrorKind::Corrupt, message).hint("restore the file from a backup"),
        )
    }

    /// Whether this is about stored data of ours, and not about the file.
    pub(crate) fn is_corrupt_row(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind() == ErrorKind::Corrupt)
    }

    /// The error to answer with. `what` says what was attempted: "cannot insert".
    pub(crate) fn into_error(self, what: &str) -> Error {
        match self {
            Self::Storage(error) => error,
            Self::Sqlite(error) => {
                let (kind, hint) = meaning(&error);
                with_hint(Error::new(kind, what), hint).source(error)
            }
        }
    }
}

/// The error of a COMMIT that failed. An I/O error may have come before or after
/// the commit record reached the disk.
pub(crate) fn of_commit(error: rusqlite::Error) -> Error {
    let (kind, hint) = match meaning(&error) {
        known @ (ErrorKind::Full | ErrorKind::Incompatible | ErrorKind::Corrupt, _) => known,
        known if is_busy(&error) => known,
        _ => (
            ErrorKind::Unknown,
            Some("repeat the same call: it is stored once at most"),
        ),
    };
    with_hint(Error::new(kind, "cannot commit"), hint).source(error)
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn with_hint(error: Error, hint: Option<&str>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn meaning(error: &rusqlite::Error) -> (ErrorKind, Option<&'static str>) {
    let Some(code) = error.sqlite_error_code() else {
        return (
            ErrorKind::Corrupt,
            Some("the table does not hold what this program wrote: restore a backup"),
        );
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            ErrorKind::Unavailable,
            Some("another program holds a lock on the file: look for a long transaction"),
        ),
        ErrorCode::DiskFull => (ErrorKind::Full, Some(FULL)),
        ErrorCode::SystemIoFailure if is_out_of_space(error) => (ErrorKind::Full, Some(FULL)),
        ErrorCode::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            Some("the file is damaged: restore a backup, or try `.recover` of the sqlite3 shell"),
        ),
        ErrorCode::NotADatabase => (
            ErrorKind::Incompatible,
            Some("the file is not a SQLite database: choose another path"),
        ),
        ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::AuthorizationForStatementDenied => (
            ErrorKind::Incompatible,
            Some("the file and its folder must be writable by this user"),
        ),
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::Unknown => (
            ErrorKind::Corrupt,
            Some("the schema is not what this program made: see `majordomo migrate status`"),
        ),
        _ => (ErrorKind::Unavailable, None),
    }
}

const FULL: &str = "free some space; nothing acknowledged is lost, and no restart is needed";

/// The index of the write-ahead log grows by writing to a file, whose failure
/// SQLite reports as an I/O error of its own.
fn is_out_of_space(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _) if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

/// The error of a call whose thread is no more, or which died with it.
pub(crate) fn gone() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the threads of this storage have ended",
    )
}

/// A panic inside a command, which is a flaw of this crate.
pub(crate) fn panicked(what: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Error::new(
        ErrorKind::Corrupt,
        format!("{what}: the SQLite storage panicked with `{words}`"),
    )
    .hint("nothing of this call was written; please report it")
}

/// What a job id looks like when it is not one.
pub(crate) fn job_id(bytes: &[u8]) -> Run<JobId> {
    let uuid = <[u8; 16]>::try_from(bytes).map(uuid::Uuid::from_bytes);
    uuid.map(JobId::from).map_err(|_| {
        let shown: String = bytes
            .iter()
            .take(32)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Fault::corrupt_job(shown, "its id does not have 16 bytes")
    })
}
