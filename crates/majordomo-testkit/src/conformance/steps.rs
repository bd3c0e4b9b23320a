//! The single steps that trials are made of: a verb for one job, with the
//! outer error turned into a panic, because no trial expects one there.

use std::future::Future;

use majordomo_core::{
    Beat, Change, Changed, Claim, Claimed, Details, Direction, Document, Ending, Error, ErrorKind,
    Filter, Inserted, Job, JobId, Lease, NewJob, Order, OrderBy, Page, Put, Query, Renewed, Repeat,
    Result, Settled, Verdict, series::Bucket,
};

use crate::samples;
use crate::subject::Subject;

impl Subject {
    /// Inserts one job, which must be new.
    pub(super) async fn add(&self, job: NewJob) -> JobId {
        let id = job.id;
        assert_eq!(self.insert(job).await, Inserted::New);
        id
    }

    /// Inserts jobs as one group, all of which must be new.
    pub(super) async fn add_all(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        let ids = samples::ids(&jobs);
        assert_eq!(
            self.insert_group(jobs).await,
            vec![Inserted::New; ids.len()]
        );
        ids
    }

    /// Inserts one job.
    pub(super) async fn insert(&self, job: NewJob) -> Inserted {
        self.insert_group(vec![job]).await[0]
    }

    /// Inserts one job for the second time.
    pub(super) async fn insert_again(&self, job: NewJob) -> Inserted {
        let groups = must(self.storage.insert(vec![vec![job]], Repeat::Again)).await;
        only(must_be(only(groups)))
    }

    /// Inserts jobs as one group, which must not be refused.
    pub(super) async fn insert_group(&self, jobs: Vec<NewJob>) -> Vec<Inserted> {
        must_be(only(self.insert_groups(vec![jobs]).await))
    }

    /// Inserts groups of jobs.
    pub(super) async fn insert_groups(
        &self,
        groups: Vec<Vec<NewJob>>,
    ) -> Vec<Result<Vec<Inserted>>> {
        must(self.storage.insert(groups, Repeat::First)).await
    }

    /// Makes a claim.
    pub(super) async fn claim(&self, claim: Claim) -> Claimed {
        must(self.storage.claim(claim)).await
    }

    /// Makes a claim, and gives the ids of what it got.
    pub(super) async fn claim_ids(&self, claim: Claim) -> Vec<JobId> {
        self.claim(claim)
            .await
            .jobs
            .iter()
            .map(|(details, _)| details.job.id)
            .collect()
    }

    /// Claims the one job that there is to claim.
    pub(super) async fn take(&self) -> Lease {
        self.take_by("worker").await
    }

    /// Claims the one job that there is to claim, for this worker.
    pub(super) async fn take_by(&self, worker: &str) -> Lease {
        only(self.claim(samples::claim_by(worker, 2)).await.jobs).1
    }

    /// Inserts a job and claims it, as the only one.
    pub(super) async fn start(&self, job: NewJob) -> Lease {
        let claim = samples::claim_of(&[job.task.as_str()], 1);
        let id = self.add(job).await;
        let lease = only(self.claim(claim).await.jobs).1;
        assert_eq!(lease.job, id);
        lease
    }

    /// Inserts a job, claims it, and ends its attempt so.
    pub(super) async fn finish(&self, job: NewJob, verdict: Verdict) -> JobId {
        let lease = self.start(job).await;
        self.end(&lease, verdict).await;
        lease.job
    }

    /// Ends an attempt, which must be applied as said.
    pub(super) async fn end(&self, lease: &Lease, verdict: Verdict) {
        let state = verdict.state();
        assert_eq!(
            self.settle(samples::ending(lease, verdict)).await,
            Settled::Applied(state)
        );
    }

    /// Writes one ending.
    pub(super) async fn settle(&self, ending: Ending) -> Settled {
        only(self.settle_all(vec![ending]).await)
    }

    /// Writes endings.
    pub(super) async fn settle_all(&self, endings: Vec<Ending>) -> Vec<Settled> {
        let (settled, claimed) = must(self.storage.settle(endings, None)).await;
        assert_eq!(claimed, None);
        settled
    }

    /// Writes endings and claims again.
    pub(super) async fn settle_then(
        &self,
        endings: Vec<Ending>,
        then: Claim,
    ) -> (Vec<Settled>, Claimed) {
        let (settled, claimed) = must(self.storage.settle(endings, Some(then))).await;
        (
            settled,
            claimed.expect("a settle that was asked to claim says what it claimed"),
        )
    }

    /// Sends one beat.
    pub(super) async fn renew(&self, beat: Beat) -> Renewed {
        only(must(self.storage.renew(vec![beat])).await)
    }

    /// Changes one job.
    pub(super) async fn change(&self, id: JobId, change: Change) -> Changed {
        let page = must(self.storage.change(&Filter::id(id), &change, None, 10)).await;
        assert_eq!(page.next, None);
        let (changed, answer) = only(page.items);
        assert_eq!(changed, id);
        answer
    }

    /// Lists the jobs that match, in the order of their ids.
    pub(super) async fn find(&self, filter: &Filter) -> Vec<Job> {
        let page = must(self.storage.find(filter, Order::default(), None, 1000)).await;
        assert_eq!(page.next, None);
        page.items
    }

    /// The ids of the jobs that match, in their order.
    pub(super) async fn find_ids(&self, filter: &Filter) -> Vec<JobId> {
        self.find(filter).await.iter().map(|job| job.id).collect()
    }

    /// One job with everything known about it.
    pub(super) async fn details(&self, id: JobId) -> Details {
        only(must(self.storage.get(&[id])).await).expect("the job is kept")
    }

    /// One job.
    pub(super) async fn job(&self, id: JobId) -> Job {
        self.details(id).await.job
    }

    /// Removes the finished jobs that match.
    pub(super) async fn remove(&self, filter: &Filter) -> u64 {
        must(self.storage.remove(filter, 1000)).await
    }

    /// Writes a document whose condition must be met.
    pub(super) async fn put(&self, put: Put) -> Document {
        must(self.storage.put_document(put))
            .await
            .expect("the condition is met")
    }

    /// Reads statistics.
    pub(super) async fn series(&self, query: Query) -> Vec<Bucket> {
        must(self.storage.series(&query)).await
    }
}

/// Waits for an answer that must not be an error.
pub(super) async fn must<T>(answer: impl Future<Output = Result<T>>) -> T {
    must_be(answer.await)
}

/// An answer that must not be an error.
#[track_caller]
pub(super) fn must_be<T>(answer: Result<T>) -> T {
    answer.unwrap_or_else(|error| panic!("the storage answered with an error: {error:?}"))
}

/// The only item of a list.
#[track_caller]
pub(super) fn only<T: std::fmt::Debug>(mut items: Vec<T>) -> T {
    assert_eq!(items.len(), 1, "exactly one is expected, not {items:?}");
    items.remove(0)
}

/// Reads all pages of a listing, `limit` at a time, and checks that each but
/// the last is full.
pub(super) async fn all_pages(
    subject: &Subject,
    filter: &Filter,
    order: Order,
    limit: usize,
) -> Vec<Job> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let Page { items, next } = must(subject.storage.find(filter, order, after, limit)).await;
        assert!(
            items.len() <= limit,
            "a page of {limit} holds {}",
            items.len()
        );
        assert!(
            next.is_none() || items.len() == limit,
            "a page before the last is full"
        );
        found.extend(items);
        assert_ends(&found);
        match next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// Fails a trial that a storage would keep going for ever.
#[track_caller]
pub(super) fn assert_ends<T>(so_far: &[T]) {
    assert!(
        so_far.len() < 20_000,
        "this goes on and on: the storage says the same again and again"
    );
}

/// All orders that there are.
pub(super) fn orders() -> Vec<Order> {
    let by = [OrderBy::Id, OrderBy::Due, OrderBy::Created, OrderBy::Ended];
    let directions = [Direction::Ascending, Direction::Descending];
    by.into_iter()
        .flat_map(|by| directions.map(|direction| Order { by, direction }))
        .collect()
}

/// The kind of error that this must be.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    match answer {
        Ok(answer) => panic!("an error is expected, not {answer:?}"),
        Err(error) => {
            let error: Error = error;
            error.kind()
        }
    }
}
