//! Where the bench works: in a fresh file beside the one that was named, which
//! itself is never touched. Removed when it is dropped.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use majordomo::url::StorageUrl;
use majordomo::{Sqlite, SqliteDurability, Storage};

use crate::exit::Problem;

/// A storage of its own for one run.
#[derive(Debug)]
pub(super) struct Place {
    url: StorageUrl,
    file: Option<Scratch>,
}

/// An opened storage.
pub(super) struct Opened {
    pub(super) storage: Arc<dyn Storage>,
    sqlite: Option<Sqlite>,
}

/// Where the raw loop works, and how it syncs.
pub(super) struct Raw {
    pub(super) file: Scratch,
    pub(super) relaxed: bool,
}

impl Place {
    /// Makes the fresh file, if the storage is one.
    pub(super) fn new(named: &StorageUrl) -> Result<Self, Problem> {
        let StorageUrl::Sqlite { path, relaxed } = named else {
            return Ok(Self {
                url: named.clone(),
                file: None,
            });
        };
        let file = Scratch::new(with_suffix(path, "-bench"))?;
        let url = StorageUrl::Sqlite {
            path: file.0.clone(),
            relaxed: *relaxed,
        };
        Ok(Self {
            url,
            file: Some(file),
        })
    }

    pub(super) fn url(&self) -> &StorageUrl {
        &self.url
    }

    pub(super) async fn open(&self) -> Result<Opened, Problem> {
        let StorageUrl::Sqlite { path, relaxed } = &self.url else {
            let storage = self.url.open().await?;
            return Ok(Opened {
                storage,
                sqlite: None,
            });
        };
        let durability = match relaxed {
            true => SqliteDurability::Relaxed,
            false => SqliteDurability::Full,
        };
        let sqlite = Sqlite::options(path).durability(durability).open().await?;
        Ok(Opened {
            storage: Arc::new(sqlite.clone()),
            sqlite: Some(sqlite),
        })
    }

    /// The bytes of the file and of a log beside it, if it is a file.
    pub(super) fn size(&self) -> Option<u64> {
        let path = &self.file.as_ref()?.0;
        let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        Some(length(path) + length(&with_suffix(path, "-wal")))
    }

    /// A fresh file for the raw loop, if it has something to compare with.
    pub(super) fn raw(&self) -> Option<Result<Raw, Problem>> {
        let StorageUrl::Sqlite { path, relaxed } = &self.url else {
            return None;
        };
        Some(Scratch::new(with_suffix(path, "-raw")).map(|file| Raw {
            file,
            relaxed: *relaxed,
        }))
    }
}

impl Opened {
    /// How many transactions were committed so far, if that is counted.
    pub(super) fn commits(&self) -> Option<u64> {
        self.sqlite.as_ref().map(Sqlite::commits)
    }
}

/// A file that was not there before, and will not be there afterwards.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self, Problem> {
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) => {
                let problem = Problem::failed(format!(
                    "cannot make the file `{}`: {error}",
                    path.display()
                ));
                Err(if error.kind() == io::ErrorKind::AlreadyExists {
                    problem
                        .hint("another bench is at work, or one was killed: then delete the file")
                } else {
                    problem.hint("name a file in a folder where you may write")
                })
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            // What is not there need not go.
            let _ = std::fs::remove_file(with_suffix(&self.0, suffix));
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
