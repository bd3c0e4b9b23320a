//! A running attempt as its worker sees it: its lease, what it has to say, and
//! whether it was told to stop.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use majordomo_core::{Ending, Lease, LogLine, Progress, Verdict, limits};
use tokio::sync::watch;

use crate::context::CancelReason;

/// Shared by the attempt, the heartbeat and the pump.
pub(crate) struct Live {
    pub(crate) lease: Lease,
    pub(crate) suspect: bool,
    pub(crate) cancel: Cancel,
    news: Mutex<News>,
}

/// What an attempt has to say and is not known to be stored. It stays here until
/// the storage has confirmed it, so that no lost call takes it along.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) progress: Slot<Progress>,
    pub(crate) checkpoint: Slot<serde_json::Value>,
    pub(crate) log: Vec<LogLine>,
    /// How many lines were dropped from the front of `log` in all.
    logged: usize,
}

/// A value and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Slot<T> {
    pub(crate) value: Option<T>,
    number: u64,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            value: None,
            number: 0,
        }
    }
}

impl<T> Slot<T> {
    fn put(&mut self, value: T) {
        self.value = Some(value);
        self.number += 1;
    }

    fn confirm(&mut self, stored: &Self) {
        if self.number == stored.number {
            self.value = None;
        }
    }
}

impl News {
    fn is_empty(&self) -> bool {
        self.progress.value.is_none() && self.checkpoint.value.is_none() && self.log.is_empty()
    }
}

impl Live {
    pub(crate) fn new(lease: Lease, suspect: bool) -> Self {
        Self {
            lease,
            suspect,
            cancel: Cancel::new(),
            news: Mutex::default(),
        }
    }

    /// The ending of this attempt, with all that it said and that may not be stored yet.
    pub(crate) fn ending(&self, verdict: Verdict) -> Ending {
        let news = self.news();
        Ending {
            progress: news.progress.value,
            checkpoint: news.checkpoint.value,
            log: news.log,
            ..Ending::new(self.lease.clone(), verdict)
        }
    }

    /// What is to be written.
    pub(crate) fn news(&self) -> News {
        self.lock().clone()
    }

    /// Forgets what was written, unless something newer has taken its place.
    pub(crate) fn confirm(&self, stored: &News) {
        let mut news = self.lock();
        news.progress.confirm(&stored.progress);
        news.checkpoint.confirm(&stored.checkpoint);
        let written = (stored.logged + stored.log.len()).saturating_sub(news.logged);
        let written = written.min(news.log.len());
        news.log.drain(..written);
        news.logged += written;
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(crate) fn report(&self, progress: Progress) {
        self.lock().progress.put(progress);
    }

    pub(crate) fn save(&self, checkpoint: serde_json::Value) {
        self.lock().checkpoint.put(checkpoint);
    }

    pub(crate) fn log(&self, line: LogLine) {
        let mut news = self.lock();
        news.log.push(line);
        if news.log.len() > limits::LOG_LINES {
            news.log.remove(0);
            news.logged += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an attempt to stop, once, and why; and tells others when it is over.
/// The first reason stays, unless the lease is lost: that goes before all else.
pub(crate) struct Cancel {
    sender: watch::Sender<Told>,
}

#[derive(Clone, Copy, Default)]
struct Told {
    reason: Option<CancelReason>,
    over: bool,
}

impl Cancel {
    fn new() -> Self {
        Self {
            sender: watch::Sender::default(),
        }
    }

    /// Says whether this is news.
    pub(crate) fn fire(&self, reason: CancelReason) -> bool {
        self.sender.send_if_modified(|told| {
            let lost = reason == CancelReason::LeaseLost && told.reason != Some(reason);
            let news = told.reason.is_none() || lost;
            if news {
                told.reason = Some(reason);
            }
            news
        })
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        self.sender.borrow().reason
    }

    pub(crate) fn listen(&self) -> impl Future<Output = CancelReason> + Send + use<> {
        let mut receiver = self.sender.subscribe();
        async move {
            match receiver
                .wait_for(|told| told.reason.is_some())
                .await
                .map(|told| told.reason)
            {
                Ok(Some(reason)) => reason,
                // The attempt is over, so nobody is left to tell it to stop.
                _ => std::future::pending().await,
            }
        }
    }

    /// The user's code has returned or was dropped.
    pub(crate) fn over(&self) {
        self.sender.send_modify(|told| told.over = true);
    }

    /// Waits until it has.
    pub(crate) async fn is_over(&self) {
        let mut receiver = self.sender.subscribe();
        // An error means that the attempt is gone altogether.
        let _ = receiver.wait_for(|told| told.over).await;
    }
}

#[cfg(test)]
mod tests {
    use majordomo_core::{JobId, Timestamp};

    use super::*;

    fn live() -> Live {
        let lease = Lease {
            job: JobId::new(),
            token: 1,
            worker: "w".into(),
            expires: Timestamp::UNIX_EPOCH,
        };
        Live::new(lease, false)
    }

    fn line(message: &str) -> LogLine {
        LogLine {
            at: Timestamp::UNIX_EPOCH,
            level: "info".into(),
            message: message.into(),
        }
    }

    #[test]
    fn news_stays_until_it_is_confirmed_and_newer_news_stays_longer() {
        let live = live();
        live.report(Progress::new(1.0, ""));
        live.log(line("a"));
        let first = live.news();
        live.report(Progress::new(2.0, ""));
        live.log(line("b"));
        live.confirm(&first);
        let left = live.news();
        assert_eq!(
            left.progress
                .value
                .as_ref()
                .map(|progress| progress.percent),
            Some(2.0)
        );
        assert_eq!(left.log, [line("b")]);
        live.confirm(&left);
        live.confirm(&left);
        assert!(!live.has_news());
    }

    #[test]
    fn a_log_that_is_never_written_stays_bounded() {
        let live = live();
        for number in 0..limits::LOG_LINES + 100 {
            live.log(line(&number.to_string()));
        }
        let news = live.news();
        assert_eq!(
            (news.log.len(), news.log[0].message.as_str()),
            (limits::LOG_LINES, "100")
        );
        live.confirm(&news);
        assert!(!live.has_news());
    }

    #[test]
    fn a_lost_lease_goes_before_any_other_reason() {
        let live = live();
        assert!(live.cancel.fire(CancelReason::User));
        assert!(!live.cancel.fire(CancelReason::Shutdown));
        assert!(live.cancel.fire(CancelReason::LeaseLost));
        assert!(!live.cancel.fire(CancelReason::LeaseLost));
        assert_eq!(live.cancel.reason(), Some(CancelReason::LeaseLost));
    }
}
