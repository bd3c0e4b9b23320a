//! From what was said about the storage to a client of it.

use std::time::Duration;

use majordomo::core::Durability;
use majordomo::url::StorageUrl;
use majordomo::{Client, Storage};

use crate::args::Global;
use crate::exit::Problem;

/// How long a call goes on trying: three waits for a lock on the file.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to do if there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make one.
    Make,
    /// Say so: a look at a mistyped path leaves no empty file there.
    Refuse,
}

/// The URL that was given.
pub(crate) fn url(global: &Global) -> Result<StorageUrl, Problem> {
    Ok(global.storage.parse::<StorageUrl>()?)
}

/// Whether there may be jobs and tasks already. Memory is always new.
pub(crate) fn exists(url: &StorageUrl) -> bool {
    matches!(url, StorageUrl::Sqlite { path, .. } if path.exists())
}

/// Opens the storage.
pub(crate) async fn client(url: &StorageUrl, missing: Missing) -> Result<Client, Problem> {
    if let (StorageUrl::Sqlite { path, .. }, Missing::Refuse) = (url, missing)
        && path
            .parent()
            .is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir())
        && !path.exists()
    {
        return Err(
            Problem::not_found(format!("there is no database `{}`", path.display())).hint(
                "name another with `--storage sqlite:PATH`, or make it with `majordomo migrate up`",
            ),
        );
    }
    Ok(Client::shared(url.open().await?).patience(PATIENCE))
}

/// The same as [`durability`] in one word, which is that of the option where there is one.
pub(crate) fn durability_word(storage: &dyn Storage) -> &'static str {
    match storage.durability() {
        Durability::Volatile => "volatile",
        Durability::ProcessCrash => "relaxed",
        Durability::PowerLoss => "full",
        Durability::Replicated => "replicated",
    }
}

/// What becomes of an acknowledged write there, in words.
pub(crate) fn durability(storage: &dyn Storage) -> &'static str {
    match storage.durability() {
        Durability::Volatile => "gone with this process",
        Durability::ProcessCrash => "safe from a crash, not from a power cut",
        Durability::PowerLoss => "safe from a power cut",
        Durability::Replicated => "safe from the loss of a machine",
    }
}
