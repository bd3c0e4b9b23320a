//! A storage whose calls fail at random: before they reach it, as a connection
//! that is refused, or after they were carried out, as a reply that is lost.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Query, Renewed,
    Repeat, Result, Scope, Settled, Storage, Timestamp, Wakes, series::Bucket,
};

/// Verbs that fail alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// `insert`.
    Insert,
    /// `claim`.
    Claim,
    /// `renew`.
    Renew,
    /// `settle`.
    Settle,
    /// Whatever only reads: `find`, `get`, `controls`, documents, `series`,
    /// `now`. Their replies are never lost, because a lost one is a failed read.
    Read,
    /// Whatever people and services write: `change`, `remove`, controls, documents.
    Operate,
}

impl Verbs {
    /// All groups.
    pub const ALL: [Self; 6] = [
        Self::Insert,
        Self::Claim,
        Self::Renew,
        Self::Settle,
        Self::Read,
        Self::Operate,
    ];
}

/// How probable each fault is, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chance {
    /// That a call fails before it reaches the storage: [`ErrorKind::Unavailable`].
    pub refused: f64,
    /// That a call is carried out and its reply is lost: [`ErrorKind::Unknown`].
    pub lost: f64,
}

/// How many calls of a group of verbs there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls in all.
    pub made: u64,
    /// Calls that never reached the storage.
    pub refused: u64,
    /// Calls that were carried out and whose reply was lost.
    pub lost: u64,
}

/// A storage with faults. Which calls fail depends only on the seed and on the
/// order of the calls.
pub struct Faulty<S: ?Sized> {
    healed: AtomicBool,
    faults: Mutex<Faults>,
    inner: Arc<S>,
}

struct Faults {
    random: fastrand::Rng,
    chances: [Chance; Verbs::ALL.len()],
    calls: [Calls; Verbs::ALL.len()],
}

/// What becomes of one call.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Fine,
    Refused,
    Lost,
}

impl<S: Storage + ?Sized> Faulty<S> {
    /// Puts faults around `storage`, none of which happens until [`Faulty::with`] says so.
    pub fn new(storage: Arc<S>, seed: u64) -> Self {
        let faults = Faults {
            random: fastrand::Rng::with_seed(seed),
            chances: Default::default(),
            calls: Default::default(),
        };
        Self {
            healed: AtomicBool::new(false),
            faults: Mutex::new(faults),
            inner: storage,
        }
    }

    /// Sets how probable faults of these verbs are.
    #[must_use]
    pub fn with(self, verbs: Verbs, chance: Chance) -> Self {
        self.set(verbs, chance);
        self
    }

    /// Sets how probable faults of these verbs are from now on.
    pub fn set(&self, verbs: Verbs, chance: Chance) {
        self.lock().chances[verbs as usize] = chance;
    }

    /// Sets how probable faults of all verbs are.
    #[must_use]
    pub fn with_all(self, chance: Chance) -> Self {
        self.lock().chances = [chance; Verbs::ALL.len()];
        self
    }

    /// Ends all faults for good.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }

    /// How many calls of these verbs there were so far.
    pub fn calls(&self, verbs: Verbs) -> Calls {
        self.lock().calls[verbs as usize]
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, verbs: Verbs) -> Fate {
        let healed = self.healed.load(Ordering::SeqCst);
        let mut faults = self.lock();
        let chance = faults.chances[verbs as usize];
        let drawn = faults.random.f64();
        let lost = if verbs == Verbs::Read {
            0.0
        } else {
            chance.lost
        };
        let calls = &mut faults.calls[verbs as usize];
        calls.made += 1;
        if healed {
            Fate::Fine
        } else if drawn < chance.refused {
            calls.refused += 1;
            Fate::Refused
        } else if drawn < chance.refused + lost {
            calls.lost += 1;
            Fate::Lost
        } else {
            Fate::Fine
        }
    }

    /// Makes a call, or does not, or forgets its reply.
    async fn call<T>(
        &self,
        verbs: Verbs,
        verb: &str,
        calling: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fate = self.fate(verbs);
        if fate == Fate::Refused {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("a fault kept `{verb}` from the storage"),
            ));
        }
        let reply = calling.await?;
        if fate == Fate::Lost {
            return Err(Error::new(
                ErrorKind::Unknown,
                format!("a fault lost the reply to `{verb}`"),
            ));
        }
        Ok(reply)
    }
}

impl<S: ?Sized + fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faulty").field(&&self.inner).finish()
    }
}

#[async_trait]
impl<S: Storage + ?Sized> Storage for Faulty<S> {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        self.call(Verbs::Insert, "insert", self.inner.insert(groups, repeat))
            .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.call(Verbs::Claim, "claim", self.inner.claim(claim))
            .await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        self.call(Verbs::Renew, "renew", self.inner.renew(beats))
            .await
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        self.call(Verbs::Settle, "settle", self.inner.settle(endings, then))
            .await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        self.call(
            Verbs::Read,
            "find",
            self.inner.find(filter, order, after, limit),
        )
        .await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.call(Verbs::Read, "get", self.inner.get(ids)).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        self.call(
            Verbs::Operate,
            "change",
            self.inner.change(filter, change, after, limit),
        )
        .await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.call(Verbs::Operate, "remove", self.inner.remove(filter, limit))
            .await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.call(Verbs::Read, "controls", self.inner.controls())
            .await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        self.call(
            Verbs::Operate,
            "set_control",
            self.inner.set_control(scope, control),
        )
        .await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        self.call(Verbs::Operate, "put_document", self.inner.put_document(put))
            .await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.call(Verbs::Read, "get_document", self.inner.get_document(key))
            .await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        self.call(
            Verbs::Read,
            "list_documents",
            self.inner.list_documents(prefix, after, limit),
        )
        .await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.call(
            Verbs::Operate,
            "remove_document",
            self.inner.remove_document(key),
        )
        .await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.call(Verbs::Read, "series", self.inner.series(query))
            .await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.call(Verbs::Read, "now", self.inner.now()).await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.inner.wakes()
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

#[cfg(test)]
mod tests {
    use majordomo_core::{Class, Memory};

    use super::*;
    use crate::samples::{claim, ending, ids, job, jobs};

    const ALWAYS_REFUSED: Chance = Chance {
        refused: 1.0,
        lost: 0.0,
    };
    const ALWAYS_LOST: Chance = Chance {
        refused: 0.0,
        lost: 1.0,
    };

    fn memory() -> (Arc<Memory>, Faulty<Memory>) {
        let memory = Arc::new(Memory::new());
        (Arc::clone(&memory), Faulty::new(memory, 7))
    }

    async fn count(storage: &dyn Storage) -> usize {
        storage
            .find(&Filter::all(), Order::default(), None, 1000)
            .await
            .unwrap()
            .items
            .len()
    }

    #[tokio::test]
    async fn a_refused_call_never_reaches_the_storage() {
        let (memory, faulty) = memory();
        let faulty = faulty.with(Verbs::Insert, ALWAYS_REFUSED);
        let error = faulty
            .insert(vec![jobs(1)], Repeat::First)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.class()),
            (ErrorKind::Unavailable, Class::Transient)
        );
        assert_eq!(count(memory.as_ref()).await, 0);
        assert_eq!(
            faulty.calls(Verbs::Insert),
            Calls {
                made: 1,
                refused: 1,
                lost: 0
            }
        );
    }

    #[tokio::test]
    async fn a_call_whose_reply_is_lost_was_carried_out() {
        let (memory, faulty) = memory();
        let faulty = faulty.with(Verbs::Insert, ALWAYS_LOST);
        let error = faulty
            .insert(vec![jobs(1)], Repeat::First)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.class()),
            (ErrorKind::Unknown, Class::Ambiguous)
        );
        assert_eq!(count(memory.as_ref()).await, 1);
        assert_eq!(
            faulty.calls(Verbs::Insert),
            Calls {
                made: 1,
                refused: 0,
                lost: 1
            }
        );
    }

    #[tokio::test]
    async fn only_the_verbs_that_were_named_fail() {
        let (_, faulty) = memory();
        let faulty = faulty.with(Verbs::Settle, ALWAYS_REFUSED);
        faulty.insert(vec![jobs(1)], Repeat::First).await.unwrap();
        let lease = faulty.claim(claim(1)).await.unwrap().jobs.remove(0).1;
        let completed = ending(&lease, majordomo_core::Verdict::Completed);
        assert!(faulty.settle(vec![completed], None).await.is_err());
        assert_eq!(
            faulty
                .renew(vec![crate::samples::beat(&lease)])
                .await
                .unwrap(),
            [Renewed::Kept]
        );
        assert_eq!(
            faulty.calls(Verbs::Claim),
            Calls {
                made: 1,
                refused: 0,
                lost: 0
            }
        );
    }

    #[tokio::test]
    async fn the_reply_to_a_read_is_never_lost() {
        let (_, faulty) = memory();
        let faulty = faulty.with_all(ALWAYS_LOST);
        assert_eq!(faulty.get(&[]).await.unwrap(), []);
        assert!(faulty.remove(&Filter::all(), 1).await.is_err());
    }

    #[tokio::test]
    async fn a_healed_storage_fails_no_more() {
        let (_, faulty) = memory();
        let faulty = faulty.with_all(ALWAYS_REFUSED);
        assert!(faulty.now().await.is_err());
        faulty.heal();
        faulty.now().await.unwrap();
        assert_eq!(
            faulty.calls(Verbs::Read),
            Calls {
                made: 2,
                refused: 1,
                lost: 0
            }
        );
    }

    #[tokio::test]
    async fn the_same_seed_fails_the_same_calls() {
        let half = Chance {
            refused: 0.25,
            lost: 0.25,
        };
        let outcomes = async |seed: u64| {
            let faulty = Faulty::new(Arc::new(Memory::new()), seed).with_all(half);
            let mut kinds = Vec::new();
            for _ in 0..100 {
                kinds.push(
                    faulty
                        .remove(&Filter::all(), 1)
                        .await
                        .map_err(|error| error.kind()),
                );
            }
            kinds
        };
        let first = outcomes(1).await;
        assert_eq!(first, outcomes(1).await);
        assert_ne!(first, outcomes(2).await);
        let refused = first
            .iter()
            .filter(|kind| **kind == Err(ErrorKind::Unavailable))
            .count();
        let lost = first
            .iter()
            .filter(|kind| **kind == Err(ErrorKind::Unknown))
            .count();
        assert!(
            refused > 10 && lost > 10,
            "{refused} refused and {lost} lost of 100"
        );
    }

    #[tokio::test]
    async fn repeats_after_lost_replies_make_each_job_once() {
        let (memory, faulty) = memory();
        let faulty = faulty.with(
            Verbs::Insert,
            Chance {
                refused: 0.3,
                lost: 0.3,
            },
        );
        let group = jobs(200);
        for job in &group {
            let mut repeat = Repeat::First;
            while faulty
                .insert(vec![vec![job.clone()]], repeat)
                .await
                .is_err()
            {
                repeat = Repeat::Again;
            }
        }
        let calls = faulty.calls(Verbs::Insert);
        assert!(calls.lost > 0 && calls.refused > 0);
        assert_eq!(calls.made - calls.lost - calls.refused, 200);
        let found = memory
            .find(&Filter::all(), Order::default(), None, 1000)
            .await
            .unwrap()
            .items;
        assert_eq!(
            found.iter().map(|job| job.id).collect::<Vec<_>>(),
            ids(&group)
        );
    }

    #[tokio::test]
    async fn it_wraps_any_storage_behind_a_pointer() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let faulty: Arc<dyn Storage> = Arc::new(Faulty::new(storage, 1));
        faulty
            .insert(vec![vec![job()]], Repeat::First)
            .await
            .unwrap();
        assert_eq!(faulty.name(), "memory");
    }
}
