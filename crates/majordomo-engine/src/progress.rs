//! Loops that report how far they are, and end when their attempt should.
//!
//! Each step costs a lock and a few stores: what is reported stays in memory
//! until the heartbeat takes the latest of it along.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use futures_util::Stream;
use majordomo_core::{Progress, Step};

use crate::context::{CancelReason, Context};
use crate::task_error::Result;

impl Context {
    /// Goes through items, reports after each one how many are done, and stops
    /// when the attempt should stop.
    ///
    /// Each item comes as a [`Result`]: an error, once, if the attempt should
    /// stop, and then nothing more. So a loop that was cut short is not taken for
    /// one that went to its end: with `?` the task returns the error of
    /// [`Self::stop_if_cancelled`]. An item counts as done when the next one is
    /// asked for.
    ///
    /// The total is the most that the iterator's size hint allows; give it with
    /// [`ProgressIter::total`] if the iterator can't know it. Without a total
    /// the report says how many are done and stays at 0 %. No items at all are
    /// 100 %, and so is the end of a loop, whatever its total was. A loop that
    /// is left early stays where it was. Reporting never fails and never waits.
    ///
    /// ```
    /// # use majordomo_core::Task;
    /// # use majordomo_engine::{Context, Result, Run};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Resize { images: Vec<String> }
    /// # impl Task for Resize { type Output = usize; const NAME: &'static str = "resize"; }
    /// impl Run<()> for Resize {
    ///     async fn run(self, _: &(), cx: &Context) -> Result<usize> {
    ///         let mut resized = 0;
    ///         for image in cx.progress_iter(&self.images) {
    ///             let image = image?;
    ///             println!("resizing {image}");
    ///             resized += 1;
    ///         }
    ///         Ok(resized)
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
    /// # let jobs = majordomo_engine::Client::new(majordomo_core::Memory::new());
    /// # let worker = majordomo_engine::Worker::new(&jobs, ()).handle::<Resize>().stepper()?;
    /// # let job = jobs.enqueue(Resize { images: vec!["a".into(), "b".into()] }).await?;
    /// # worker.drain().await?;
    /// # assert_eq!(job.details().await?.job.progress.unwrap().percent, 100.0);
    /// # Ok(()) }
    /// ```
    pub fn progress_iter<I: IntoIterator>(&self, items: I) -> ProgressIter<I::IntoIter> {
        let items = items.into_iter();
        let meter = Meter::new(self, items.size_hint());
        ProgressIter { items, meter }
    }

    /// The same for a stream. It also stops while it waits for an item.
    pub fn progress_stream<S: Stream>(&self, items: S) -> ProgressStream<S> {
        ProgressStream {
            meter: Meter::new(self, items.size_hint()),
            items: Box::pin(items),
            told: Box::pin(self.cancelled()),
        }
    }
}

/// An iterator that reports; see [`Context::progress_iter`].
#[derive(Debug)]
#[must_use = "nothing happens until it is iterated"]
pub struct ProgressIter<I> {
    items: I,
    meter: Meter,
}

impl<I> ProgressIter<I> {
    /// How many items there are in all, with those before these. Should there
    /// be more, the total grows with them.
    pub fn total(mut self, items: u64) -> Self {
        self.meter.given = Some(items);
        self
    }

    /// How many items were done before these, for example in an earlier attempt.
    pub fn after(mut self, done: u64) -> Self {
        self.meter.before = done;
        self
    }
}

impl<I: Iterator> Iterator for ProgressIter<I> {
    type Item = Result<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.meter.turn()? {
            Ok(()) => match self.items.next() {
                Some(item) => Some(Ok(self.meter.begin(item))),
                None => self.meter.end(),
            },
            Err(told) => Some(Err(told)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (_, most) = self.items.size_hint();
        // It may stop at any time, with one error.
        (0, most.and_then(|most| most.checked_add(1)))
    }
}

/// A stream that reports; see [`Context::progress_stream`].
#[must_use = "nothing happens until it is polled"]
pub struct ProgressStream<S> {
    items: Pin<Box<S>>,
    told: Pin<Box<dyn Future<Output = CancelReason> + Send>>,
    meter: Meter,
}

impl<S> ProgressStream<S> {
    /// As [`ProgressIter::total`].
    pub fn total(mut self, items: u64) -> Self {
        self.meter.given = Some(items);
        self
    }

    /// As [`ProgressIter::after`].
    pub fn after(mut self, done: u64) -> Self {
        self.meter.before = done;
        self
    }
}

impl<S: Stream> Stream for ProgressStream<S> {
    type Item = Result<S::Item>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.meter.ended {
            return Poll::Ready(None);
        }
        // Wakes this task when there is a reason to stop; which one, `turn` says.
        let _ = this.told.as_mut().poll(cx);
        match this.meter.turn() {
            Some(Ok(())) => {}
            Some(Err(told)) => return Poll::Ready(Some(Err(told))),
            None => return Poll::Ready(None),
        }
        match this.items.as_mut().poll_next(cx) {
            Poll::Ready(Some(item)) => Poll::Ready(Some(Ok(this.meter.begin(item)))),
            Poll::Ready(None) => Poll::Ready(this.meter.end()),
            Poll::Pending => {
                this.meter.report();
                Poll::Pending
            }
        }
    }
}

impl<S> fmt::Debug for ProgressStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

/// Counts and reports.
#[derive(Debug)]
struct Meter {
    cx: Context,
    /// Done before the first of these.
    before: u64,
    /// Done of these.
    done: u64,
    /// The most that there are of these, if known.
    most: Option<u64>,
    /// The total that the user gave.
    given: Option<u64>,
    /// Whether an item is being worked on.
    busy: bool,
    ended: bool,
}

impl Meter {
    fn new(cx: &Context, (_, most): (usize, Option<usize>)) -> Self {
        Self {
            cx: cx.clone(),
            before: 0,
            done: 0,
            most: most.map(|most| u64::try_from(most).unwrap_or(u64::MAX)),
            given: None,
            busy: false,
            ended: false,
        }
    }

    /// The item before, if any, is done; says whether there may be another one.
    fn turn(&mut self) -> Option<Result<()>> {
        if self.ended {
            return None;
        }
        self.done = self.done.saturating_add(u64::from(self.busy));
        self.busy = false;
        let go_on = self.cx.stop_if_cancelled();
        if go_on.is_err() {
            self.report();
            self.ended = true;
        }
        Some(go_on)
    }

    fn begin<T>(&mut self, item: T) -> T {
        self.busy = true;
        self.report();
        item
    }

    /// Whatever the total was thought to be: that was all.
    fn end<T>(&mut self) -> Option<T> {
        self.ended = true;
        self.given = Some(0);
        self.report();
        None
    }

    fn report(&self) {
        let done = self.before.saturating_add(self.done);
        let known = self
            .given
            .or(self.most.map(|most| self.before.saturating_add(most)));
        let report = match known {
            Some(total) => {
                let total = total.max(done.saturating_add(u64::from(self.busy)));
                Progress::of_steps(Step { done, total }, "")
            }
            None => Progress::new(0.0, &format!("{done} done")),
        };
        self.cx.live().report(report);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::StreamExt;
    use majordomo_core::{Details, JobId, Lease, Memory, NewJob, Payload, Timestamp};

    use super::*;
    use crate::client::Client;
    use crate::live::Live;

    fn context() -> (Context, Arc<Live>) {
        let job = NewJob::new("t", Payload::json(&()).unwrap()).into_job(Timestamp::UNIX_EPOCH);
        let lease = Lease {
            job: JobId::new(),
            token: 1,
            worker: "w".into(),
            expires: Timestamp::UNIX_EPOCH,
        };
        let live = Arc::new(Live::new(lease, false, tokio::time::Instant::now()));
        let client = Client::new(Memory::new());
        let cx = Context::new(Arc::new(Details::of(job)), None, client, Arc::clone(&live));
        (cx, live)
    }

    fn latest(live: &Live) -> (f64, Option<(u64, u64)>) {
        let progress = live.news().progress.value.expect("something was reported");
        (
            progress.percent,
            progress.step.map(|step| (step.done, step.total)),
        )
    }

    #[test]
    fn b32_an_item_is_done_when_the_next_one_is_asked_for() {
        let (cx, live) = context();
        let mut items = cx.progress_iter(["a", "b", "c", "d"]);
        let mut seen = Vec::new();
        for item in items.by_ref() {
            seen.push((item.unwrap(), latest(&live).1.unwrap()));
        }
        assert_eq!(
            seen,
            [("a", (0, 4)), ("b", (1, 4)), ("c", (2, 4)), ("d", (3, 4))]
        );
        assert_eq!(latest(&live), (100.0, Some((4, 4))));
        assert!(items.next().is_none());
    }

    #[test]
    fn b32_no_items_are_a_hundred_percent() {
        let (cx, live) = context();
        assert!(cx.progress_iter([(); 0]).next().is_none());
        assert_eq!(latest(&live), (100.0, Some((0, 0))));
    }

    #[test]
    fn b32_three_billion_items_and_more_do_not_overflow() {
        const MANY: u64 = 3_000_000_000;
        let (cx, live) = context();
        let mut items = cx.progress_iter(0..MANY);
        assert_eq!(items.next().unwrap().unwrap(), 0);
        assert_eq!(latest(&live), (0.0, Some((0, MANY))));
        // Most of them were done before, so that the test does not take all day.
        let mut items = cx.progress_iter(MANY / 2..MANY).after(MANY / 2);
        items.next();
        assert_eq!(latest(&live), (50.0, Some((MANY / 2, MANY))));
        let rest = cx.progress_iter([(); 3]).after(MANY - 3).total(MANY);
        assert!(
            rest.map(|item| latest(&live).1.unwrap().0 + u64::from(item.is_ok()))
                .eq(MANY - 2..=MANY)
        );
        assert_eq!(latest(&live), (100.0, Some((MANY, MANY))));
        cx.progress_iter([(); 3]).after(u64::MAX - 1).for_each(drop);
        assert_eq!(latest(&live), (100.0, Some((u64::MAX, u64::MAX))));
    }

    #[test]
    fn b32_a_total_may_be_given_wrong_or_not_be_known() {
        let (cx, live) = context();
        let mut items = cx.progress_iter((0..8).filter(|n| n % 2 == 0)).total(2);
        items.next();
        items.next();
        assert_eq!(latest(&live), (50.0, Some((1, 2))));
        items.next();
        assert_eq!(
            latest(&live).1,
            Some((2, 3)),
            "there are more than was said"
        );
        items.for_each(drop);
        assert_eq!(latest(&live), (100.0, Some((4, 4))));
        cx.progress_iter([(); 4]).total(10).for_each(drop);
        assert_eq!(latest(&live), (100.0, Some((4, 4))), "there are fewer");
        let mut items = cx.progress_iter(std::iter::repeat(()));
        items.next();
        items.next();
        let progress = live.news().progress.value.unwrap();
        assert_eq!(
            (progress.percent, progress.note.as_deref()),
            (0.0, Some("1 done"))
        );
    }

    #[test]
    fn b32_the_loop_ends_with_one_error_when_the_attempt_should_stop() {
        let (cx, live) = context();
        let mut items = cx.progress_iter(0..10);
        items.next();
        items.next();
        live.cancel.fire(CancelReason::Shutdown);
        let told = items.next().unwrap().unwrap_err();
        assert_eq!(told.to_string(), "told to stop: the worker shuts down");
        assert!(items.next().is_none());
        assert_eq!(latest(&live).1, Some((2, 10)), "the second one was done");
    }

    #[tokio::test]
    async fn b32_a_stream_reports_and_stops_while_it_waits() {
        let (cx, live) = context();
        let done: Vec<_> = cx
            .progress_stream(futures_util::stream::iter(0..5))
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!((done, latest(&live).0), (vec![0, 1, 2, 3, 4], 100.0));
        let endless = futures_util::stream::iter(0..1).chain(futures_util::stream::pending());
        let mut items = cx.progress_stream(endless).total(4);
        assert_eq!(items.next().await.unwrap().unwrap(), 0);
        let waits = tokio::time::timeout(Duration::from_millis(1), items.next());
        assert!(waits.await.is_err());
        assert_eq!(latest(&live), (25.0, Some((1, 4))), "also while it waits");
        let told = tokio::spawn(async move { (items.next().await, items.next().await.is_none()) });
        tokio::task::yield_now().await;
        live.cancel.fire(CancelReason::User);
        let (item, ended) = told.await.unwrap();
        assert!(item.unwrap().is_err() && ended);
    }
}
