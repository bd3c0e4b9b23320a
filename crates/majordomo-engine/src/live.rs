//! A running attempt as its worker sees it: its lease, what it has to say, and
//! whether it was told to stop.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use majordomo_core::{Ending, Lease, LogLine, Progress, Verdict, limits};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::CancelReason;

/// Shared by the attempt, the heartbeat and the pump.
pub(crate) struct Live {
    pub(crate) lease: Lease,
    pub(crate) suspect: bool,
    pub(crate) cancel: Cancel,
    /// Until when the lease is good for certain, by this process's clock: counted
    /// from before it was asked for.
    good_until: Mutex<Instant>,
    news: Mutex<News>,
}

/// What an attempt has to say and is not known to be stored. It stays here until
/// the storage has confirmed it, so that no lost call takes it along.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) progress: Slot<Progress>,
    /// The highest percentage, if it must not fall.
    highest: Option<f64>,
    pub(crate) checkpoint: Slot<serde_json::Value>,
    pub(crate) log: Vec<LogLine>,
    /// The bytes of the messages in `log`.
    log_size: usize,
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

    /// Drops this many lines from the front.
    fn drop_lines(&mut self, count: usize) {
        let dropped = self.log.drain(..count);
        self.log_size -= dropped.map(|line| line.message.len()).sum::<usize>();
        self.logged += count;
    }
}

impl Live {
    pub(crate) fn new(lease: Lease, suspect: bool, good_until: Instant) -> Self {
        Self {
            lease,
            suspect,
            cancel: Cancel::default(),
            good_until: Mutex::new(good_until),
            news: Mutex::default(),
        }
    }

    /// Whether the lease may have run out, as far as can be known from here.
    pub(crate) fn may_be_lost(&self) -> bool {
        let good_until = self.good_until.lock();
        *good_until.unwrap_or_else(PoisonError::into_inner) <= Instant::now()
    }

    /// The lease was renewed.
    pub(crate) fn renewed(&self, good_until: Instant) {
        let mut known = self
            .good_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = good_until.max(*known);
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
        news.drop_lines(written);
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(crate) fn report(&self, mut progress: Progress) {
        let mut news = self.lock();
        if let Some(highest) = &mut news.highest {
            *highest = highest.max(progress.percent);
            progress.percent = *highest;
        }
        news.progress.put(progress);
    }

    pub(crate) fn only_grow(&self) {
        let mut news = self.lock();
        let latest = news.progress.value.as_ref();
        let latest = latest.map_or(0.0, |progress| progress.percent);
        news.highest.get_or_insert(latest);
    }

    pub(crate) fn save(&self, checkpoint: serde_json::Value) {
        self.lock().checkpoint.put(checkpoint);
    }

    /// Keeps a line, and of all that are not written yet the latest ones.
    pub(crate) fn log(&self, line: LogLine) {
        let mut news = self.lock();
        news.log_size += line.message.len();
        news.log.push(line);
        while news.log.len() > limits::LOG_LINES || news.log_size > limits::LOG {
            news.drop_lines(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an attempt to stop, once, and why; and tells others when it is over.
/// The first reason stays, unless the lease is lost: that goes before all else.
///
/// Every attempt has one and most are never told anything, so it allocates nothing.
#[derive(Default)]
pub(crate) struct Cancel {
    /// The reason, 0 for none, and [`OVER`].
    state: AtomicU8,
    changed: Notify,
}

/// The bit that says that the user's code has returned or was dropped.
const OVER: u8 = 1 << 7;

impl Cancel {
    /// Says whether this is news.
    pub(crate) fn fire(&self, reason: CancelReason) -> bool {
        let tell = |state: u8| {
            let told = reason_in(state);
            let lost = reason == CancelReason::LeaseLost && told != Some(reason);
            (told.is_none() || lost).then_some((state & OVER) | code_of(reason))
        };
        let told = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, tell);
        if told.is_ok() {
            self.changed.notify_waiters();
        }
        told.is_ok()
    }

    pub(crate) fn reason(&self) -> Option<CancelReason> {
        reason_in(self.state.load(Ordering::SeqCst))
    }

    /// Waits until it is told to stop; for ever if it never is.
    pub(crate) async fn told(&self) -> CancelReason {
        self.until(reason_in).await
    }

    /// The user's code has returned or was dropped.
    pub(crate) fn over(&self) {
        self.state.fetch_or(OVER, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Whether it has.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(Ordering::SeqCst) & OVER != 0
    }

    /// Waits until it has.
    pub(crate) async fn is_over(&self) {
        self.until(|state| (state & OVER != 0).then_some(())).await;
    }

    async fn until<T>(&self, wanted: impl Fn(u8) -> Option<T>) -> T {
        loop {
            // Made before the look, so that no change falls between look and wait.
            let changed = self.changed.notified();
            if let Some(found) = wanted(self.state.load(Ordering::SeqCst)) {
                return found;
            }
            changed.await;
        }
    }
}

fn code_of(reason: CancelReason) -> u8 {
    match reason {
        CancelReason::Shutdown => 1,
        CancelReason::Timeout => 2,
        CancelReason::User => 3,
        CancelReason::LeaseLost => 4,
    }
}

fn reason_in(state: u8) -> Option<CancelReason> {
    match state & !OVER {
        1 => Some(CancelReason::Shutdown),
        2 => Some(CancelReason::Timeout),
        3 => Some(CancelReason::User),
        4 => Some(CancelReason::LeaseLost),
        _ => None,
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
        Live::new(lease, false, Instant::now())
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
    fn a_log_of_long_lines_stays_bounded_in_bytes_too() {
        let live = live();
        for number in 0..100_u8 {
            live.log(line(
                &char::from(b'0' + number % 10)
                    .to_string()
                    .repeat(limits::ERROR),
            ));
        }
        let news = live.news();
        assert_eq!(news.log.len(), limits::LOG / limits::ERROR);
        assert!(news.log[15].message.starts_with('9'), "the latest stay");
        live.confirm(&news);
        live.log(line("short"));
        assert_eq!(live.news().log_size, 5);
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_a_reason_and_of_the_end() {
        let live = std::sync::Arc::new(live());
        let waiting = |live: &std::sync::Arc<Live>| {
            let live = std::sync::Arc::clone(live);
            tokio::spawn(async move {
                let reason = live.cancel.told().await;
                live.cancel.is_over().await;
                reason
            })
        };
        let early = waiting(&live);
        tokio::task::yield_now().await;
        live.cancel.fire(CancelReason::Timeout);
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        live.cancel.over();
        assert_eq!(early.await.unwrap(), CancelReason::Timeout);
        assert_eq!(waiting(&live).await.unwrap(), CancelReason::Timeout);
        assert_eq!(live.cancel.reason(), Some(CancelReason::Timeout));
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
