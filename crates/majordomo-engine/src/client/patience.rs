//! Trying again while a storage is out of reach: with a backoff that is
//! jittered, for as long as the client's patience lasts.

use std::future::Future;
use std::time::Duration;

use majordomo_core::{Backoff, Class, Error, ErrorKind, Inserted, NewJob, Repeat, Result};
use tokio::time::Instant;

use super::Client;

/// A call that has taken this long is worth a warning.
const LONG: Duration = Duration::from_secs(1);

/// The waits between tries: 10 ms, doubling, at most 1 s.
pub(crate) fn backoff() -> Backoff {
    Backoff::exponential(Duration::from_millis(10), 2.0)
        .cap(Duration::from_secs(1))
        .jitter(0.5)
}

/// An answer, and how it came.
pub(crate) struct Told<T> {
    pub(crate) answer: T,
    /// Whether the reply to an earlier try was lost, so that this answer may be
    /// about what that try has done already.
    pub(crate) is_repeat: bool,
}

/// Repeats a call that may be repeated as it is.
pub(crate) async fn repeat<T, F: Future<Output = Result<T>>>(
    client: &Client,
    call: impl Fn() -> F,
) -> Result<T> {
    Ok(repeat_telling(client, call).await?.answer)
}

/// The same, for a call whose answer to a repeat may differ.
pub(crate) async fn repeat_telling<T, F: Future<Output = Result<T>>>(
    client: &Client,
    call: impl Fn() -> F,
) -> Result<Told<T>> {
    let mut tries = Tries::new(client.patience);
    let mut is_repeat = false;
    loop {
        match call().await {
            Ok(answer) => return Ok(Told { answer, is_repeat }),
            Err(error) => {
                is_repeat |= error.class() == Class::Ambiguous;
                tries.wait_after(error).await?;
            }
        }
    }
}

/// Inserts a group. After the first lost reply every further try says so.
pub(crate) async fn insert(client: &Client, jobs: Vec<NewJob>) -> Result<Vec<Inserted>> {
    jobs.iter().try_for_each(NewJob::check)?;
    let mut tries = Tries::new(client.patience);
    let mut repeat = Repeat::First;
    let mut jobs = Some(jobs);
    loop {
        // The jobs are copied only as long as there may be another try.
        let group = if client.patience.is_zero() {
            jobs.take().unwrap_or_default()
        } else {
            jobs.clone().unwrap_or_default()
        };
        let sent = client.batches.insert(&client.storage, group, repeat);
        let error = match sent.await {
            Ok(inserted) => return Ok(inserted),
            Err(error) => error,
        };
        if error.class() == Class::Ambiguous {
            repeat = Repeat::Again;
        }
        tries.wait_after(error).await?;
    }
}

/// The tries of one call so far.
pub(crate) struct Tries {
    started: Instant,
    patience: Duration,
    made: u32,
}

impl Tries {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            started: Instant::now(),
            patience,
            made: 0,
        }
    }

    /// Waits before the next try, or gives the error back if there is none.
    pub(crate) async fn wait_after(&mut self, error: Error) -> Result<()> {
        // A full disk stays full for longer than anyone should wait for a call.
        let hopeless = error.class() == Class::Final || error.kind() == ErrorKind::Full;
        self.made += 1;
        let wait = backoff().delay(self.made, fastrand::f64());
        if hopeless || self.started.elapsed() + wait > self.patience {
            return Err(error);
        }
        let tries = self.made;
        // Who waits for long should know for what.
        if self.started.elapsed() >= LONG {
            tracing::warn!(%error, tries, "trying again");
        } else {
            tracing::debug!(%error, tries, "trying again");
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
