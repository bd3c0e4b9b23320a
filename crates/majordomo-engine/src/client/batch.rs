//! Natural batching of inserts: a call that finds none under way goes out at
//! once; those that arrive meanwhile form the next batch, one group each. There
//! is no timer, so nobody waits for others who may not come, and under load many
//! callers share one commit of the storage.
//!
//! A worker batches its endings and its renewals in the same way, but needs no
//! queue for it: it is their only caller, and what gathers while one of its calls
//! is under way is its next call (`worker/pump.rs`, `worker/heartbeat.rs`).

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use majordomo_core::{Error, ErrorKind, Inserted, NewJob, Repeat, Result, Storage};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The most jobs in a batch, unless a single group has more.
const BATCH: usize = 1000;

/// The inserts of one client. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Batches(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whether a call is under way.
    busy: bool,
    waiting: Vec<Waiting>,
}

struct Waiting {
    group: Vec<NewJob>,
    repeat: Repeat,
    answer: oneshot::Sender<Result<Vec<Inserted>>>,
}

impl Batches {
    /// Inserts a group, together with whatever else is on its way.
    pub(super) async fn insert(
        &self,
        storage: &Arc<dyn Storage>,
        group: Vec<NewJob>,
        repeat: Repeat,
    ) -> Result<Vec<Inserted>> {
        // Without a runtime there is nobody to send a batch for others.
        let Ok(runtime) = Handle::try_current() else {
            return alone(storage, group, repeat).await;
        };
        let answer = {
            let mut state = self.lock();
            if state.busy {
                let (answer, answered) = oneshot::channel();
                state.waiting.push(Waiting {
                    group,
                    repeat,
                    answer,
                });
                Ok(answered)
            } else {
                state.busy = true;
                Err(group)
            }
        };
        match answer {
            // If whoever sent the batch has vanished, it is unknown what became of it.
            Ok(answered) => answered.await.unwrap_or_else(|_| Err(unknown())),
            Err(group) => {
                let turn = Turn {
                    batches: self.clone(),
                    storage: Arc::clone(storage),
                    runtime,
                };
                let inserted = alone(storage, group, repeat).await;
                drop(turn);
                inserted
            }
        }
    }

    /// The next batch; if there is none, the next caller goes out at once.
    fn next(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let mut jobs = 0;
        let mut fits = |waiting: &Waiting| {
            jobs += waiting.group.len();
            jobs <= BATCH
        };
        let count = state.waiting.iter().take_while(|one| fits(one)).count();
        let count = count.max(1).min(state.waiting.len());
        let rest = state.waiting.split_off(count);
        let batch = mem::replace(&mut state.waiting, rest);
        state.busy = !batch.is_empty();
        batch
    }

    fn is_awaited(&self) -> bool {
        let mut state = self.lock();
        state.busy = !state.waiting.is_empty();
        state.busy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a caller that goes out alone. However it ends, also if its future
/// is dropped, those who came meanwhile are sent off.
struct Turn {
    batches: Batches,
    storage: Arc<dyn Storage>,
    runtime: Handle,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.batches.is_awaited() {
            let sending = Sending {
                batches: self.batches.clone(),
                over: false,
            };
            self.runtime.spawn(send(sending, Arc::clone(&self.storage)));
        }
    }
}

/// Who sends batches. Should it vanish with its runtime, those who wait hear of
/// it and try again, and the next caller goes out alone.
struct Sending {
    batches: Batches,
    over: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let forsaken = {
            let mut state = self.batches.lock();
            state.busy = false;
            mem::take(&mut state.waiting)
        };
        drop(forsaken);
    }
}

/// Sends batch after batch until nobody waits.
async fn send(mut sending: Sending, storage: Arc<dyn Storage>) {
    loop {
        let batch = sending.batches.next();
        if batch.is_empty() {
            sending.over = true;
            return;
        }
        let again = batch.iter().any(|one| one.repeat == Repeat::Again);
        let repeat = if again { Repeat::Again } else { Repeat::First };
        let (groups, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|one| (one.group, one.answer)).unzip();
        // A caller that has gone meanwhile needs no answer.
        match storage.insert(groups, repeat).await {
            Ok(inserted) => {
                let mut inserted = inserted.into_iter();
                for answer in answers {
                    let _ = answer.send(inserted.next().unwrap_or_else(no_answer));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.duplicate()));
                }
            }
        }
    }
}

async fn alone(
    storage: &Arc<dyn Storage>,
    group: Vec<NewJob>,
    repeat: Repeat,
) -> Result<Vec<Inserted>> {
    let mut answers = storage.insert(vec![group], repeat).await?;
    answers.pop().unwrap_or_else(no_answer)
}

fn no_answer() -> Result<Vec<Inserted>> {
    Err(Error::new(
        ErrorKind::Corrupt,
        "the storage gave no answer to an insert",
    ))
}

fn unknown() -> Error {
    Error::new(
        ErrorKind::Unknown,
        "the insert was sent together with others, and who sent it has vanished",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use majordomo_core::{Memory, Payload};

    use super::*;

    fn job() -> NewJob {
        NewJob::new("t", Payload::json(&()).unwrap())
    }

    fn storage() -> Arc<dyn Storage> {
        Arc::new(Memory::new())
    }

    #[tokio::test]
    async fn what_arrives_while_a_call_is_under_way_goes_out_together() {
        let batches = Batches::default();
        let (sender, mut answers) = (batches.clone(), Vec::new());
        batches.lock().busy = true;
        for _ in 0..3 {
            let (answer, answered) = oneshot::channel();
            batches.lock().waiting.push(Waiting {
                group: vec![job()],
                repeat: Repeat::First,
                answer,
            });
            answers.push(answered);
        }
        assert_eq!(sender.next().len(), 3);
        assert!(sender.next().is_empty());
        assert!(!batches.lock().busy, "the next caller goes out at once");
    }

    #[tokio::test]
    async fn a_batch_has_a_limit_and_a_large_group_still_goes() {
        let batches = Batches::default();
        for jobs in [600, 600, 5000, 1] {
            batches.lock().waiting.push(Waiting {
                group: (0..jobs).map(|_| job()).collect(),
                repeat: Repeat::First,
                answer: oneshot::channel().0,
            });
        }
        let sizes: Vec<_> =
            std::iter::from_fn(|| Some(batches.next().len()).filter(|n| *n > 0)).collect();
        assert_eq!(sizes, [1, 1, 1, 1]);
    }

    #[tokio::test]
    async fn every_caller_gets_its_own_answer() {
        let (batches, storage) = (Batches::default(), storage());
        let inserts = (0..100).map(|number| {
            let (batches, storage) = (batches.clone(), Arc::clone(&storage));
            tokio::spawn(async move {
                let mut bad = job();
                bad.max_attempts = u32::from(number % 10 != 0);
                batches.insert(&storage, vec![bad], Repeat::First).await
            })
        });
        for (number, insert) in inserts.collect::<Vec<_>>().into_iter().enumerate() {
            let answer = insert.await.unwrap();
            assert_eq!(answer.is_err(), number % 10 == 0, "{number}: {answer:?}");
        }
        assert!(!batches.lock().busy);
    }

    #[test]
    fn callers_are_not_left_waiting_for_a_sender_whose_runtime_is_gone() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        let (batches, storage) = (Batches::default(), storage());
        let (gone, here) = (runtime(), runtime());
        batches.lock().busy = true;
        let waiting = here.spawn({
            let (batches, storage) = (batches.clone(), Arc::clone(&storage));
            async move { batches.insert(&storage, vec![job()], Repeat::First).await }
        });
        here.block_on(tokio::task::yield_now());
        // Its turn ends, so a sender is spawned, which never gets to run.
        drop(Turn {
            batches: batches.clone(),
            storage: Arc::clone(&storage),
            runtime: gone.handle().clone(),
        });
        drop(gone);
        let answer =
            here.block_on(async { tokio::time::timeout(Duration::from_secs(60), waiting).await });
        let error = answer.unwrap().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        let next = here.block_on(batches.insert(&storage, vec![job()], Repeat::Again));
        assert_eq!(next.unwrap(), [Inserted::New]);
    }
}
