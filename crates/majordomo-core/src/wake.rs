//! Wake-ups without a runtime: a signal that any number of listeners can await.
//!
//! Wakes are hints. A lost one costs a poll interval, never a job, so they are
//! coalesced freely: a listener hears that something happened since it last
//! asked, not how often.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;

/// What may have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// There may be something to claim, or a running job was asked to stop.
    pub work: bool,
    /// A job may have ended or reported progress.
    pub news: bool,
}

impl Wake {
    /// Something to claim.
    pub const WORK: Self = Self {
        work: true,
        news: false,
    };
    /// Something to read.
    pub const NEWS: Self = Self {
        work: false,
        news: true,
    };
    /// Anything.
    pub const ALL: Self = Self {
        work: true,
        news: true,
    };

    fn merge(&mut self, other: Self) {
        self.work |= other.work;
        self.news |= other.news;
    }
}

/// A source of wakes, one for each listener.
#[async_trait]
pub trait Wakes: Send + fmt::Debug {
    /// Waits for the next wake. Dropping the future loses nothing.
    async fn next(&mut self) -> Wake;
}

/// Wakes its listeners when told to. Clones are the same signal.
#[derive(Clone, Default)]
pub struct Signal {
    listeners: Arc<Mutex<Vec<Arc<Mutex<Mailbox>>>>>,
}

#[derive(Default)]
struct Mailbox {
    wake: Wake,
    waker: Option<Waker>,
    gone: bool,
}

/// One listener of a [`Signal`].
pub struct Listener {
    mailbox: Arc<Mutex<Mailbox>>,
}

impl Signal {
    /// A signal without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every listener.
    pub fn notify(&self, wake: Wake) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|mailbox| {
            let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.wake.merge(wake);
            if let Some(waker) = mailbox.waker.take() {
                waker.wake();
            }
            !mailbox.gone
        });
    }

    /// A new listener. It hears what happens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener {
        let mailbox = Arc::<Mutex<Mailbox>>::default();
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&mailbox));
        Listener { mailbox }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signal")
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.mailbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .gone = true;
    }
}

#[async_trait]
impl Wakes for Listener {
    async fn next(&mut self) -> Wake {
        poll_fn(|cx| {
            let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            if mailbox.wake == Wake::default() {
                mailbox.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut mailbox.wake))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost() {
        let signal = Signal::new();
        let mut listener = signal.listen();
        signal.notify(Wake::WORK);
        signal.notify(Wake::NEWS);
        assert_eq!(listener.next().await, Wake::ALL);
    }

    #[tokio::test]
    async fn every_listener_is_woken_and_forgotten_ones_are_dropped() {
        let signal = Signal::new();
        let mut first = signal.listen();
        let mut second = signal.listen();
        drop(signal.listen());
        let waiting = tokio::spawn(async move { (first.next().await, second.next().await) });
        tokio::task::yield_now().await;
        signal.notify(Wake::WORK);
        assert_eq!(waiting.await.unwrap(), (Wake::WORK, Wake::WORK));
        signal.notify(Wake::WORK);
        signal.notify(Wake::WORK);
        assert!(signal.listeners.lock().unwrap().is_empty());
    }
}
