//! A storage under test: with its time in the test's hand, with what must stay
//! alive as long as it does, and with further handles on the same data where
//! there can be any.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use majordomo_core::{ManualClock, Memory, Storage, Timestamp};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Advance = Arc<dyn Fn(Duration) -> Boxed<()> + Send + Sync>;
type Open = Arc<dyn Fn() -> Boxed<Arc<dyn Storage>> + Send + Sync>;

/// A storage under test, empty when a trial gets it.
///
/// ```
/// # use std::sync::Arc;
/// # use majordomo_core::{ManualClock, Memory};
/// # use majordomo_testkit::Subject;
/// let clock = ManualClock::default();
/// let subject = Subject::manual(clock.clone(), Arc::new(Memory::with_clock(Arc::new(clock))));
/// ```
pub struct Subject {
    /// The storage.
    pub storage: Arc<dyn Storage>,
    advance: Advance,
    clock: Option<ManualClock>,
    open: Option<Open>,
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// A storage whose time `advance` moves on by the duration it is given,
    /// before it returns.
    pub fn new<F>(
        storage: Arc<dyn Storage>,
        advance: impl Fn(Duration) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let advance: Advance = Arc::new(move |by| Box::pin(advance(by)));
        Self {
            storage,
            advance,
            clock: None,
            open: None,
            guards: Vec::new(),
        }
    }

    /// An empty memory storage on a manual clock; its nodes are its clones.
    #[must_use]
    pub fn memory() -> Self {
        let clock = ManualClock::default();
        let storage = Memory::with_clock(Arc::new(clock.clone()));
        let node = storage.clone();
        Self::manual(clock, Arc::new(storage)).with_nodes(move || {
            let node: Arc<dyn Storage> = Arc::new(node.clone());
            std::future::ready(node)
        })
    }

    /// A storage that takes its time from `clock`.
    #[must_use]
    pub fn manual(clock: ManualClock, storage: Arc<dyn Storage>) -> Self {
        let set = clock.clone();
        let subject = Self::new(storage, move |by| {
            clock.advance(by);
            std::future::ready(())
        });
        Self {
            clock: Some(set),
            ..subject
        }
    }

    /// Keeps `guard` alive as long as the subject, for example a temporary folder.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// Says how to open another handle on the same data, as another process
    /// would have one. It must go by the same clock.
    #[must_use]
    pub fn with_nodes<F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<dyn Storage>> + Send + 'static,
    {
        self.open = Some(Arc::new(move || Box::pin(open())));
        self
    }

    /// Puts a wrapper around the storage, and around every further handle.
    #[must_use]
    pub fn wrapped(
        mut self,
        wrap: impl Fn(Arc<dyn Storage>) -> Arc<dyn Storage> + Send + Sync + 'static,
    ) -> Self {
        let wrap = Arc::new(wrap);
        self.storage = wrap(self.storage);
        self.open = self.open.map(|open| -> Open {
            Arc::new(move || {
                let (opening, wrap) = (open(), Arc::clone(&wrap));
                Box::pin(async move { wrap(opening.await) })
            })
        });
        self
    }

    /// Moves the storage's time on by `by`.
    pub async fn advance(&self, by: Duration) {
        (self.advance)(by).await;
    }

    /// Moves the storage's time back by `by`, and says whether it can: only that
    /// of a [`ManualClock`] is known how to.
    pub fn turn_back(&self, by: Duration) -> bool {
        let clock = self.clock.as_ref();
        clock.inspect(|clock| clock.turn_back(by)).is_some()
    }

    /// Another handle on the same data if the storage can be opened more than
    /// once, and the same one otherwise.
    pub async fn node(&self) -> Arc<dyn Storage> {
        match &self.open {
            Some(open) => open().await,
            None => Arc::clone(&self.storage),
        }
    }

    /// Does something, and says between which instants of the storage's clock.
    ///
    /// # Panics
    /// If the storage can't tell the time.
    pub async fn timed<T>(&self, doing: impl Future<Output = T>) -> (T, Window) {
        let from = self.now().await;
        let done = doing.await;
        (
            done,
            Window {
                from,
                to: self.now().await,
            },
        )
    }

    /// The storage's time.
    ///
    /// # Panics
    /// If the storage can't tell it.
    pub async fn now(&self) -> Timestamp {
        self.storage
            .now()
            .await
            .unwrap_or_else(|error| panic!("the storage can't tell the time: {error}"))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

/// The time that something took, by the storage's clock, both ends included.
/// On a clock that stands still the two are the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Just before.
    pub from: Timestamp,
    /// Just after.
    pub to: Timestamp,
}

impl Window {
    /// The window this much later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self {
            from: majordomo_core::time::after(self.from, by),
            to: majordomo_core::time::after(self.to, by),
        }
    }

    /// Whether `instant` lies within.
    #[must_use]
    pub fn holds(self, instant: impl Into<Option<Timestamp>>) -> bool {
        instant
            .into()
            .is_some_and(|instant| self.from <= instant && instant <= self.to)
    }
}
