//! A queue as a worker takes from it: how many of its jobs run at once here,
//! and how much of the free slots it gets beside the others.

/// A queue that a worker takes jobs from.
///
/// ```
/// use majordomo_engine::Queue;
/// // At most 2 reports at once in this worker; mail gets three slots for each one of theirs.
/// let (reports, mail) = (Queue::new("reports").concurrency(2), Queue::new("mail").weight(3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// How many of its jobs run at once in this worker; as many as the worker
    /// runs in all unless given. From 1 to 100,000. For a limit over all workers
    /// there is the control `max_running`.
    pub concurrency: Option<usize>,
    /// Its share of the free slots while several queues have work; 1 unless
    /// given, from 1 to 1,000. Slots that a queue has no use for go to the others.
    pub weight: u32,
}

impl Queue {
    /// This queue, without a limit of its own, with weight 1.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            concurrency: None,
            weight: 1,
        }
    }

    /// With at most this many jobs at once in this worker.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = Some(jobs);
        self
    }

    /// With this share of the free slots.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl<S: Into<String>> From<S> for Queue {
    fn from(name: S) -> Self {
        Self::new(name)
    }
}
