//! From a path to connections that are set up, with one clear message for each
//! thing that may be wrong with the path.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use majordomo_core::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, Run, is_busy};
use crate::options::{Create, Migrate, Options, SqliteDurability};
use crate::schema;

/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 100;

/// Opens the writing connection, with the schema brought up to date or checked.
pub(crate) fn writer(options: &Options) -> Result<Connection> {
    let path = file(&options.path, options.create)?;
    let mut db = connect(&path, options.busy_timeout)?;
    match options.migrate {
        Migrate::Automatic => schema::bring_up(&mut db, &path)?,
        Migrate::CheckOnly => schema::check(&db, &path)?,
    }
    set_up(&db, options).map_err(|fault| fault.into_error(&cannot_open(&path)))?;
    Ok(db)
}

/// Opens a reading connection to a file that [`writer`] has opened.
pub(crate) fn reader(options: &Options) -> Result<Connection> {
    let path = file(&options.path, Create::Never)?;
    let db = connect(&path, options.busy_timeout)?;
    let set_up = || -> Run<()> {
        db.pragma_update(None, "query_only", true)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(())
    };
    set_up().map_err(|fault| fault.into_error(&cannot_open(&path)))?;
    Ok(db)
}

/// Opens the file as it is.
pub(crate) fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connect = || -> Run<Connection> {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(busy_timeout)?;
        // A plan once made stays. Otherwise SQLite prepares some statements again for each value
        // that is bound, which takes longer than many of them run.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(db)
    };
    connect().map_err(|fault| fault.into_error(&cannot_open(path)))
}

/// The absolute path of the file, which is there afterwards. Absolute, because a
/// relative one would change its meaning with the working folder, or be read by
/// SQLite as something else than a path.
pub(crate) fn file(path: &Path, create: Create) -> Result<PathBuf> {
    let given = path.display();
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(
            Error::invalid(format!("`{given}` is not the path of a file"))
                .hint("for jobs that need not be kept, use the memory storage"),
        );
    }
    let absolute = std::path::absolute(path)
        .map_err(|source| refused(format!("cannot find `{given}`")).source(source))?;
    if absolute.is_dir() {
        return Err(
            refused(format!("`{given}` is a folder, not a file")).hint(format!(
                "give the path of a file in it, such as `{}`",
                path.join("jobs.db").display()
            )),
        );
    }
    if let Some(folder) = absolute.parent().filter(|folder| !folder.is_dir()) {
        if let Some(file) = folder.ancestors().find(|part| part.is_file()) {
            return Err(refused(format!(
                "`{}` of `{given}` is a file, not a folder",
                file.display()
            ))
            .hint("choose another path"));
        }
        let folder = folder.display();
        return Err(
            refused(format!("the folder `{folder}` of `{given}` does not exist"))
                .hint(format!("make it: mkdir -p {folder}")),
        );
    }
    match create {
        Create::Never if !absolute.exists() => Err(refused(format!("there is no file `{given}`"))
            .hint("check the path, or allow the file to be made")),
        Create::Never => Ok(absolute),
        Create::IfMissing => {
            touch(&absolute).map_err(|source| not_writable(&absolute, source))?;
            Ok(absolute)
        }
    }
}

/// Makes an empty file, readable and writable for its owner only, unless there is one.
fn touch(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map(|_| ())
}

fn not_writable(path: &Path, source: io::Error) -> Error {
    let shown = path.display();
    match source.kind() {
        io::ErrorKind::StorageFull => {
            Error::new(ErrorKind::Full, format!("cannot make `{shown}`")).source(source).hint("free some space")
        }
        _ => refused(format!("cannot write to `{shown}`"))
            .source(source)
            .hint("the file and its folder must be writable by this user: choose another path or change their rights"),
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Incompatible, message)
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open `{}`", path.display())
}

fn set_up(db: &Connection, options: &Options) -> Run<()> {
    write_ahead(db, options)?;
    let synchronous = match options.durability {
        SqliteDurability::Full => "FULL",
        SqliteDurability::Relaxed => "NORMAL",
    };
    db.pragma_update(None, "synchronous", synchronous)?;
    // On macOS a sync reaches the disk only so; elsewhere this does nothing.
    db.pragma_update(
        None,
        "fullfsync",
        options.durability == SqliteDurability::Full,
    )?;
    // No hidden need of space in another folder.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -8_000)?;
    db.pragma_update(None, "wal_autocheckpoint", 2000)?;
    db.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Switches to write-ahead logging. The switch needs the file alone for a
/// moment, and SQLite does not wait for that by itself.
fn write_ahead(db: &Connection, options: &Options) -> Run<()> {
    let began = Instant::now();
    loop {
        let mode =
            db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let error = refused(format!(
                    "the file's folder allows no write-ahead log, only `{mode}`"
                ))
                .hint("put the file on a local disk: network folders do not do");
                return Err(Fault::Storage(error));
            }
            Err(error) if is_busy(&error) && began.elapsed() < options.busy_timeout => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(Fault::Sqlite(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_what_the_connection_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for (durability, expected) in [(SqliteDurability::Full, 2), (SqliteDurability::Relaxed, 1)]
        {
            let options = Options::new(&folder.path().join("jobs.db")).durability(durability);
            let db = writer(&options).unwrap();
            let synchronous: i64 = db
                .pragma_query_value(None, "synchronous", |row| row.get(0))
                .unwrap();
            let mode: String = db
                .pragma_query_value(None, "journal_mode", |row| row.get(0))
                .unwrap();
            assert_eq!((synchronous, mode.as_str()), (expected, "wal"));
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(&folder.path().join("jobs.db"));
        let _writer = writer(&options).unwrap();
        assert!(
            reader(&options)
                .unwrap()
                .execute("DELETE FROM jobs", [])
                .is_err()
        );
    }
}
