//! Trying a call to the storage again, where the client has no method that does.

use std::time::Duration;

use majordomo::{Backoff, Error, ErrorKind};

use crate::exit::warn;

/// How often a call is made, at most.
const TRIES: u32 = 3;
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(1);

/// Makes the call, and again while the storage is out of reach.
pub(super) async fn again<T>(call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    with_pauses(call, async |error, pause| {
        warn("trying again", &error.to_string());
        tokio::time::sleep(pause).await;
    })
    .await
}

async fn with_pauses<T>(
    call: impl AsyncFn() -> Result<T, Error>,
    rest: impl AsyncFn(&Error, Duration),
) -> Result<T, Error> {
    let backoff = Backoff::exponential(Duration::from_millis(100), 4.0)
        .cap(LONGEST)
        .jitter(0.5);
    let mut made = 0;
    loop {
        made += 1;
        match call().await {
            // Only if nothing was written for certain: a change that was made after all would
            // be told as refused the second time. And a full disk stays full.
            Err(error) if made < TRIES && error.kind() == ErrorKind::Unavailable => {
                rest(&error, backoff.delay(made, fastrand::f64()).min(LONGEST)).await;
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Fails so often in this way; returns whether it went well, the calls and the pauses.
    async fn failing(times: u32, kind: ErrorKind) -> (bool, u32, Vec<Duration>) {
        let (calls, pauses) = (Cell::new(0), RefCell::new(Vec::new()));
        let call = async || {
            calls.set(calls.get() + 1);
            if calls.get() > times {
                Ok(())
            } else {
                Err(Error::new(kind, "cannot"))
            }
        };
        let ended = with_pauses(call, async |_, pause| pauses.borrow_mut().push(pause)).await;
        (ended.is_ok(), calls.get(), pauses.into_inner())
    }

    #[tokio::test]
    async fn a_storage_out_of_reach_is_tried_three_times_with_short_pauses() {
        for (times, ends_well, calls) in [(0, true, 1), (1, true, 2), (2, true, 3), (3, false, 3)] {
            let (ended, made, pauses) = failing(times, ErrorKind::Unavailable).await;
            assert_eq!((ended, made), (ends_well, calls));
            assert_eq!(pauses.len() as u32, calls - 1);
            assert!(pauses.iter().all(|pause| *pause <= LONGEST), "{pauses:?}");
        }
    }

    #[tokio::test]
    async fn what_may_have_been_written_or_cannot_help_is_not_repeated() {
        for kind in [
            ErrorKind::Unknown,
            ErrorKind::Full,
            ErrorKind::Invalid,
            ErrorKind::Corrupt,
        ] {
            assert_eq!(failing(1, kind).await, (false, 1, Vec::new()));
        }
    }
}
