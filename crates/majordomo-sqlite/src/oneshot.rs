//! One answer from a thread to a future, whatever runtime polls it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use majordomo_core::{Error, Result};

use crate::error;

struct Slot<T> {
    answer: Option<Result<T>>,
    waker: Option<Waker>,
    asker_gone: bool,
    answerer_gone: bool,
}

/// The side that answers.
pub(crate) struct Answerer<T>(Arc<Mutex<Slot<T>>>);

/// The side that waits. Resolves to an error if the other side vanishes.
pub(crate) struct Asker<T>(Arc<Mutex<Slot<T>>>);

pub(crate) fn channel<T>() -> (Answerer<T>, Asker<T>) {
    let slot = Slot {
        answer: None,
        waker: None,
        asker_gone: false,
        answerer_gone: false,
    };
    let slot = Arc::new(Mutex::new(slot));
    (Answerer(Arc::clone(&slot)), Asker(slot))
}

impl<T> Answerer<T> {
    pub(crate) fn answer(self, answer: Result<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answer = Some(answer);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asker_gone
    }
}

impl<T> Drop for Answerer<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.answerer_gone = true;
            slot.waker.take()
        };
        // Outside the lock: a waker may run anything, even drop the asker.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Asker<T> {
    fn drop(&mut self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asker_gone = true;
    }
}

impl<T> Future for Asker<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        if slot.answerer_gone {
            return Poll::Ready(Err(error::gone()));
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_from_another_thread_arrives() {
        let (answerer, asker) = channel();
        let thread = std::thread::spawn(move || answerer.answer(Ok(7)));
        assert_eq!(asker.await.unwrap(), 7);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_vanished_answerer_is_an_error_and_not_a_wait() {
        let (answerer, asker) = channel::<()>();
        drop(answerer);
        assert!(asker.await.is_err());
    }

    #[test]
    fn an_abandoned_question_is_seen() {
        let (answerer, asker) = channel::<()>();
        assert!(!answerer.is_abandoned());
        drop(asker);
        assert!(answerer.is_abandoned());
    }
}
