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
    /// Whether every call goes out at once.
    alone: bool,
    waiting: Vec<Waiting>,
}

struct Waiting {
    group: Vec<NewJob>,
    repeat: Repeat,
    answer: oneshot::Sender<Result<Vec<Inserted>>>,
    /// Where it is waited for, so that the batch can be sent from there: the
    /// runtime of someone who has their answer may stand still.
    runtime: Handle,
}

impl Batches {
    /// No batches: every call goes out at once.
    pub(super) fn none() -> Self {
        let batches = Self::default();
        batches.lock().alone = true;
        batches
    }

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
            if state.busy && !state.alone {
                let (answer, answered) = oneshot::channel();
                state.waiting.push(Waiting {
                    group,
                    repeat,
                    answer,
                    runtime,
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

    /// Sends off those who wait, if there are any, from where one of them waits;
    /// else the next caller goes out at once.
    fn hand_on(&self, storage: &Arc<dyn Storage>) {
        let runtime = {
            let mut state = self.lock();
            // Whoever was dropped meanwhile may have left a runtime that stands still.
            let awaited = state.waiting.iter().find(|one| !one.answer.is_closed());
            let any = awaited.or_else(|| state.waiting.first());
            let runtime = any.map(|one| one.runtime.clone());
            state.busy = runtime.is_some();
            runtime
        };
        if let Some(runtime) = runtime {
            let sending = Sending {
                batches: self.clone(),
                over: false,
            };
            runtime.spawn(send(sending, Arc::clone(storage)));
        }
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
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.batches.hand_on(&self.storage);
    }
}

/// Who sends a batch. Should it vanish with its runtime, those who wait hear of
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

/// Sends a batch, and hands on to those who came meanwhile.
async fn send(mut sending: Sending, storage: Arc<dyn Storage>) {
    let batch = sending.batches.next();
    if !batch.is_empty() {
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
    sending.over = true;
    sending.batches.hand_on(&storage);
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
                runtime: Handle::current(),
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
                runtime: Handle::current(),
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

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    /// A caller in this runtime, who waits because a call is under way.
    fn wait(
        here: &tokio::runtime::Runtime,
        batches: &Batches,
        storage: &Arc<dyn Storage>,
    ) -> tokio::task::JoinHandle<Result<Vec<Inserted>>> {
        batches.lock().busy = true;
        let (batches, storage) = (batches.clone(), Arc::clone(storage));
        let waiting =
            here.spawn(async move { batches.insert(&storage, vec![job()], Repeat::First).await });
        here.block_on(tokio::task::yield_now());
        waiting
    }

    async fn soon<T>(waiting: tokio::task::JoinHandle<T>) -> T {
        let answer = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        answer.unwrap().unwrap()
    }

    #[test]
    fn callers_are_answered_although_the_runtime_of_whoever_came_before_stands_still() {
        let (batches, storage) = (Batches::default(), storage());
        let (still, here) = (runtime(), runtime());
        let waiting = wait(&here, &batches, &storage);
        // Their turn ends, and nobody drives their runtime any further.
        still.block_on(async {
            drop(Turn {
                batches: batches.clone(),
                storage: Arc::clone(&storage),
            });
        });
        assert_eq!(here.block_on(soon(waiting)).unwrap(), [Inserted::New]);
    }

    #[test]
    fn callers_are_not_left_waiting_for_a_sender_whose_runtime_is_gone() {
        let (batches, storage) = (Batches::default(), storage());
        let (gone, here) = (runtime(), runtime());
        let waiting = wait(&here, &batches, &storage);
        // A sender that never gets to run.
        let sending = Sending {
            batches: batches.clone(),
            over: false,
        };
        gone.spawn(send(sending, Arc::clone(&storage)));
        drop(gone);
        let error = here.block_on(soon(waiting)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        let next = here.block_on(batches.insert(&storage, vec![job()], Repeat::Again));
        assert_eq!(next.unwrap(), [Inserted::New]);
    }
}
