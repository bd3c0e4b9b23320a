//! From a URL to a storage: `memory:` or `sqlite:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::core::{Error, Memory, Result, Storage};

/// Where jobs are kept, as written by people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageUrl {
    /// `memory:`, gone with the process.
    Memory,
    /// `sqlite:PATH`, a file; `sqlite:PATH?durability=relaxed` syncs it less often.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Whether an acknowledged write survives only the process, not a power cut.
        relaxed: bool,
    },
}

impl FromStr for StorageUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let known =
            "the storages are `sqlite:PATH` (or `sqlite:PATH?durability=relaxed`) and `memory:`";
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(
                Error::invalid(format!("`{url}` is not the URL of a storage"))
                    .hint(format!("{known}; for a file say `sqlite:{url}`")),
            );
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(Error::invalid(format!(
                "`{url}`: the memory storage takes no path `{rest}`"
            ))
            .hint("say `memory:`, or `sqlite:PATH` to keep the jobs")),
            "sqlite" => sqlite(url, rest),
            _ => Err(Error::invalid(format!(
                "`{scheme}` in `{url}` is not a storage that this program knows"
            ))
            .hint(known)),
        }
    }
}

fn sqlite(url: &str, rest: &str) -> Result<StorageUrl> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(Error::invalid(format!("`{url}` names no file")).hint("say `sqlite:jobs.db`"));
    }
    let mut relaxed = false;
    for option in options.split('&').filter(|option| !option.is_empty()) {
        relaxed = match option {
            "durability=full" => false,
            "durability=relaxed" => true,
            _ => {
                return Err(Error::invalid(format!(
                    "`{option}` in `{url}` is not an option of SQLite storages"
                ))
                .hint("the option is `durability=full` (the default) or `durability=relaxed`"));
            }
        };
    }
    Ok(StorageUrl::Sqlite {
        path: path.into(),
        relaxed,
    })
}

impl StorageUrl {
    /// Opens the storage. A SQLite file is made and migrated if need be.
    ///
    /// # Errors
    /// If it can't be used; the message says why and what to do.
    pub async fn open(&self) -> Result<Arc<dyn Storage>> {
        match self {
            Self::Memory => Ok(Arc::new(Memory::new())),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { path, relaxed } => {
                use crate::SqliteDurability::{Full, Relaxed};
                let durability = if *relaxed { Relaxed } else { Full };
                Ok(Arc::new(
                    crate::Sqlite::options(path)
                        .durability(durability)
                        .open()
                        .await?,
                ))
            }
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite { path, .. } => Err(Error::invalid(format!(
                "cannot open `{}`: this program is built without SQLite",
                path.display()
            ))
            .hint("build it with the feature `sqlite`")),
        }
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite { path, relaxed } => {
                write!(f, "sqlite:{}", path.display())?;
                if *relaxed {
                    f.write_str("?durability=relaxed")
                } else {
                    Ok(())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written_back() {
        for url in [
            "memory:",
            "sqlite:jobs.db",
            "sqlite:/var/lib/jobs.db",
            "sqlite:a.db?durability=relaxed",
        ] {
            assert_eq!(url.parse::<StorageUrl>().unwrap().to_string(), url);
        }
        assert_eq!(
            "sqlite:///tmp/x".parse::<StorageUrl>().unwrap().to_string(),
            "sqlite:/tmp/x"
        );
    }

    #[test]
    fn a_bad_url_is_named_with_what_to_say_instead() {
        let table = [
            ("jobs.db", "for a file say `sqlite:jobs.db`"),
            ("oracle:x", "`oracle` in `oracle:x` is not a storage"),
            ("sqlite:", "`sqlite:` names no file"),
            ("memory:x", "takes no path `x`"),
            ("sqlite:a?durability=maybe", "`durability=maybe` in"),
        ];
        for (url, expected) in table {
            let error = url.parse::<StorageUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
