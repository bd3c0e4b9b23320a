//! The wire between a node and the storage: calls take time on it, both ways;
//! it can be cut; and it is dead once the node is. Whatever reaches the storage
//! is written down here. What was sent arrives even if its caller has given up:
//! that is how networks are, and storages with threads of their own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Control, Cursor, Details, Document, Durability, Ending,
    Error, ErrorKind, Filter, Inserted, Job, JobId, NewJob, Order, Page, Put, Query, Renewed,
    Repeat, Result, Scope, Settled, Storage, Timestamp, Wakes, series::Bucket,
};
use tokio::time::sleep;

use super::history::{Event, Given, Record};

/// Calls after which a simulation is taken to spin.
const TOO_MANY: usize = 50_000;

/// How long calls take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The share of the ways that take time at all.
    pub(super) slow: f64,
    /// The share of those that take very long.
    pub(super) stuck: f64,
    /// The longest that a stuck one takes.
    pub(super) longest: Duration,
}

/// What all wires share.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) record: Record,
    pub(super) pace: Pace,
    /// Whether nobody reaches the storage.
    pub(super) down: AtomicBool,
    calls: AtomicUsize,
}

impl Net {
    pub(super) fn new(record: Record, pace: Pace) -> Self {
        Self {
            record,
            pace,
            down: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        }
    }

    /// Nothing is answered any more, so there is nothing to wait for.
    pub(super) fn is_spun(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > TOO_MANY
    }
}

/// One node's way to the storage.
pub(super) struct Wire {
    /// This very wire, for calls that outlive their callers.
    own: Weak<Self>,
    who: String,
    storage: Arc<dyn Storage>,
    net: Arc<Net>,
    random: Mutex<fastrand::Rng>,
    hears: bool,
    cut: AtomicBool,
    dead: AtomicBool,
    calm: AtomicBool,
}

impl Wire {
    pub(super) fn new(
        who: &str,
        storage: Arc<dyn Storage>,
        net: &Arc<Net>,
        seed: u64,
    ) -> Arc<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            who: who.to_owned(),
            storage,
            net: Arc::clone(net),
            hears: random.bool(),
            random: Mutex::new(random),
            cut: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            calm: AtomicBool::new(false),
        })
    }

    /// Cuts the node off, or joins it again.
    pub(super) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Nothing of this node reaches the storage any more.
    pub(super) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// No more delays and no more cuts.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::SeqCst);
        self.cut(false);
    }

    /// How long the next way takes.
    fn delay(&self) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let (slow, stuck, share) = (random.f64(), random.f64(), random.f64());
        if self.calm.load(Ordering::SeqCst) || slow >= self.net.pace.slow {
            Duration::ZERO
        } else if stuck < self.net.pace.stuck {
            self.net.pace.longest.mul_f64(share)
        } else {
            Duration::from_millis(50).mul_f64(share)
        }
    }

    /// One way. Of a dead node nothing comes through; one that is cut off hears
    /// so at once or after a while.
    async fn way(&self, kind: ErrorKind) -> Result<()> {
        let delay = self.delay();
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let down = self.net.down.load(Ordering::SeqCst);
        if (down && !self.calm.load(Ordering::SeqCst)) || self.cut.load(Ordering::SeqCst) {
            let message = format!("`{}` is cut off from the storage", self.who);
            return Err(Error::new(kind, message));
        }
        Ok(())
    }

    async fn call<T>(
        &self,
        calling: impl Future<Output = Result<T>>,
        events: impl FnOnce(&T) -> Vec<Event>,
    ) -> Result<T> {
        self.way(ErrorKind::Unavailable).await?;
        let calls = self.net.calls.fetch_add(1, Ordering::SeqCst);
        if calls == TOO_MANY {
            self.net.record.write(&self.who, Event::Spun);
        }
        if calls >= TOO_MANY {
            std::future::pending::<()>().await;
        }
        let reply = calling.await?;
        for event in events(&reply) {
            self.net.record.write(&self.who, event);
        }
        self.way(ErrorKind::Unknown).await?;
        Ok(reply)
    }

    /// A call that goes on whether or not its caller still waits.
    async fn send<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let own = self.own.upgrade().expect("its caller holds it");
        let sent = tokio::spawn(call(own)).await;
        sent.expect("the storage does not panic")
    }

    async fn read<T>(&self, calling: impl Future<Output = Result<T>>) -> Result<T> {
        self.call(calling, |_| Vec::new()).await
    }
}

fn claimed(claim: &Claim, claimed: &Claimed) -> Event {
    let given = |(details, lease): &(Details, majordomo_core::Lease)| Given {
        job: details.job.id,
        token: lease.token,
        until: lease.expires,
    };
    Event::Claimed {
        wanted: claim.queues.clone(),
        suspects: claim.suspects,
        given: claimed.jobs.iter().map(given).collect(),
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.who).finish()
    }
}

#[async_trait]
impl Storage for Wire {
    async fn insert(
        &self,
        groups: Vec<Vec<NewJob>>,
        repeat: Repeat,
    ) -> Result<Vec<Result<Vec<Inserted>>>> {
        self.send(|wire| async move {
            let asked = groups.clone();
            wire.call(wire.storage.insert(groups, repeat), |answers| {
                let stored = asked.into_iter().zip(answers);
                let stored =
                    stored.filter_map(|(group, answer)| Some((group, answer.as_ref().ok()?)));
                stored
                    .flat_map(|(group, answer)| group.into_iter().zip(answer))
                    .map(|(job, answer)| Event::Inserted(Box::new(job), *answer))
                    .collect()
            })
            .await
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed> {
        self.send(|wire| async move {
            wire.call(wire.storage.claim(claim.clone()), |reply| {
                vec![claimed(&claim, reply)]
            })
            .await
        })
        .await
    }

    async fn renew(&self, beats: Vec<Beat>) -> Result<Vec<Renewed>> {
        self.send(|wire| async move {
            let asked: Vec<_> = beats
                .iter()
                .map(|beat| (beat.lease.job, beat.lease.token, beat.extend))
                .collect();
            wire.call(wire.storage.renew(beats), |answers| {
                let now = majordomo_core::Clock::now(&wire.net.record.clock);
                let event = |((job, token, extend), answer): (_, &Renewed)| Event::Renewed {
                    job,
                    token,
                    until: majordomo_core::time::after(now, extend),
                    answer: *answer,
                };
                asked.into_iter().zip(answers).map(event).collect()
            })
            .await
        })
        .await
    }

    async fn settle(
        &self,
        endings: Vec<Ending>,
        then: Option<Claim>,
    ) -> Result<(Vec<Settled>, Option<Claimed>)> {
        self.send(|wire| async move {
            let asked = endings.clone();
            let claim = then.clone();
            wire.call(wire.storage.settle(endings, then), |(settled, reply)| {
                let ended = asked.iter().zip(settled);
                let mut events: Vec<_> = ended
                    .map(|(ending, answer)| Event::ended(ending, *answer))
                    .collect();
                events.extend(
                    claim
                        .iter()
                        .zip(reply)
                        .map(|(claim, reply)| claimed(claim, reply)),
                );
                events
            })
            .await
        })
        .await
    }

    async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        self.read(self.storage.find(filter, order, after, limit))
            .await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<Details>>> {
        self.read(self.storage.get(ids)).await
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Page<(JobId, Changed), JobId>> {
        let (filter, change) = (filter.clone(), change.clone());
        self.send(move |wire| async move {
            wire.call(
                wire.storage.change(&filter, &change, after, limit),
                |page| {
                    let event = |(job, changed): &(JobId, Changed)| {
                        Event::Changed(*job, change.clone(), changed.clone())
                    };
                    page.items.iter().map(event).collect()
                },
            )
            .await
        })
        .await
    }

    async fn remove(&self, filter: &Filter, limit: usize) -> Result<u64> {
        self.read(self.storage.remove(filter, limit)).await
    }

    async fn controls(&self) -> Result<Vec<(Scope, Control)>> {
        self.read(self.storage.controls()).await
    }

    async fn set_control(&self, scope: Scope, control: Control) -> Result<()> {
        let (asked, set) = (scope.clone(), control.clone());
        self.call(self.storage.set_control(scope, control), |()| {
            vec![Event::Controlled(asked, set)]
        })
        .await
    }

    async fn put_document(&self, put: Put) -> Result<Result<Document, Option<u64>>> {
        self.read(self.storage.put_document(put)).await
    }

    async fn get_document(&self, key: &str) -> Result<Option<Document>> {
        self.read(self.storage.get_document(key)).await
    }

    async fn list_documents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Document, String>> {
        self.read(self.storage.list_documents(prefix, after, limit))
            .await
    }

    async fn remove_document(&self, key: &str) -> Result<bool> {
        self.read(self.storage.remove_document(key)).await
    }

    async fn series(&self, query: &Query) -> Result<Vec<Bucket>> {
        self.read(self.storage.series(query)).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.read(self.storage.now()).await
    }

    fn wakes(&self) -> Option<Box<dyn Wakes>> {
        self.storage.wakes().filter(|_| self.hears)
    }

    fn name(&self) -> String {
        self.storage.name()
    }

    fn durability(&self) -> Durability {
        self.storage.durability()
    }
}
