//! Gathering the facts of an explanation. What they mean is in `crate::explain`.

use majordomo_core::{Filter, Job, JobId, Order, OrderBy, Result, State, Until, limits};

use super::status::Count;
use super::{Client, not_found};
use crate::explain::{Explanation, Facts, could_run, goes_before, reasons};

/// How many running jobs are looked at, in pages.
const PAGES: usize = 10;
/// How many unfinished jobs of a task are searched for a key.
const HOLDERS: usize = limits::PAGE;

impl Client {
    /// Why a job is where it is, and what would move it on. Made for people and
    /// for now: it takes several reads, none of them without bound.
    ///
    /// ```
    /// # use majordomo_engine::Client;
    /// # use majordomo_core::{Memory, Task};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Greet { name: String }
    /// # impl Task for Greet { type Output = (); const NAME: &'static str = "greet"; }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> majordomo_core::Result<()> {
    /// let jobs = Client::new(Memory::new());
    /// let handle = jobs.enqueue(Greet { name: "ann".into() }).await?;
    /// let explanation = jobs.explain(handle.id()).await?;
    /// assert_eq!(
    ///     explanation.reasons[0].to_string(),
    ///     "no worker is alive; start one that knows the task `greet` and takes the queue `default`"
    /// );
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If there is no such job, or the storage can't be read.
    pub async fn explain(&self, id: JobId) -> Result<Explanation> {
        let found = self
            .find(&Filter::id(id), Order::default(), None, 1)
            .await?;
        let job = found
            .items
            .into_iter()
            .next()
            .ok_or_else(|| not_found(id))?;
        let now = self.now().await?;
        let mut facts = Facts {
            now,
            job,
            controls: Vec::new(),
            workers: Vec::new(),
            running: Vec::new(),
            ahead: Count::default(),
            key_held: None,
        };
        if facts.job.state == State::Pending {
            facts.controls = self.controls().await?;
            facts.workers = self.takers().await?;
            facts.running = self.running().await?;
            facts.ahead = self.ahead(&facts).await?;
        } else if facts.job.state.is_finished() {
            facts.key_held = self.key_held(&facts.job).await?;
        }
        Ok(Explanation {
            id,
            state: facts.job.state,
            at: now,
            reasons: reasons(&facts),
        })
    }

    async fn running(&self) -> Result<Vec<Job>> {
        let filter = Filter::all().state(State::Running);
        let (mut jobs, mut after) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self
                .find(&filter, Order::default(), after, limits::PAGE)
                .await?;
            jobs.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(jobs)
    }

    /// The due jobs of its queue that are claimed before it, by workers that
    /// could claim it too. None if it is not due.
    async fn ahead(&self, facts: &Facts) -> Result<Count> {
        let job = &facts.job;
        if !job.is_due(facts.now) {
            return Ok(Count::default());
        }
        let able = could_run(&facts.workers, job);
        let mut tasks: Vec<String> = able.flat_map(|worker| worker.tasks.clone()).collect();
        tasks.sort();
        tasks.dedup();
        let filter = Filter {
            tasks,
            due_now: true,
            priority_from: Some(job.priority),
            ..Filter::all().queue(job.queue.clone())
        };
        let order = Order::ascending(OrderBy::Due);
        let page = self.find(&filter, order, None, limits::PAGE).await?;
        let ahead = page.items.iter().filter(|other| goes_before(other, job));
        Ok(Count {
            jobs: ahead.count(),
            or_more: page.next.is_some(),
        })
    }

    /// A key that a retry of this finished job would have to take again, and its
    /// holder, if that is among the first unfinished jobs of the same task:
    /// holds can't be read, but jobs can.
    async fn key_held(&self, job: &Job) -> Result<Option<(String, JobId)>> {
        let keys: Vec<&String> = job
            .holds
            .iter()
            .filter(|hold| hold.until == Until::Finished)
            .map(|hold| &hold.key)
            .collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let unfinished = Filter::all()
            .task(job.task.clone())
            .state(State::Pending)
            .state(State::Running);
        let found = self
            .find(&unfinished, Order::default(), None, HOLDERS)
            .await?;
        let held = found.items.iter().find_map(|other| {
            let held = other.holds.iter().filter(|hold| match hold.until {
                // Given up when it started, and never taken again.
                Until::Started => other.token == 0,
                Until::Finished => true,
                // Its end can't be seen here.
                Until::For(_) => false,
            });
            let mut held = held.filter(|hold| keys.contains(&&hold.key));
            held.next().map(|hold| (hold.key.clone(), other.id))
        });
        Ok(held)
    }
}
