//! The slots of a worker: what runs in them, what was claimed ahead of a free
//! one, and the endings that wait to be written.
//!
//! # Claiming ahead
//!
//! While one call to the storage is under way, slots become free; if there were
//! nothing at hand to fill them, quick jobs would wait for each call. So a worker
//! claims a little more than it can start, as much as would start within
//! [`SOON`] at the pace of late, and never more than its `prefetch`. Slow jobs
//! are not claimed ahead at all, so that none lies here while another worker is
//! idle; one that does all the same is given back after [`LONG`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use majordomo_core::{Details, Ending, Timestamp, Verdict, time};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::CancelReason;
use crate::live::Live;

use super::settings::Settings;

/// Jobs are claimed ahead if they would start within this time.
const SOON: Duration = Duration::from_millis(50);
/// How many may be claimed ahead however few run at once, unless the worker says:
/// with few slots and quick jobs a call to the storage takes several turns.
const FEW: usize = 16;
/// A job that was claimed ahead and could not start for this long is given back.
const LONG: Duration = Duration::from_secs(1);

/// The slots of a worker.
pub(super) struct Slots {
    state: Mutex<State>,
    /// Something ended.
    pub(super) changed: Notify,
}

struct State {
    concurrency: usize,
    prefetch: usize,
    lanes: Vec<Lane>,
    running: usize,
    /// Runners on their way to their first job.
    coming: usize,
    /// How many jobs were ever taken in, so that the oldest is known.
    taken: u64,
    closed: bool,
    ended: Vec<Ending>,
    suspect_ended: bool,
}

/// The part of one queue.
struct Lane {
    queue: String,
    concurrency: usize,
    running: usize,
    ahead: VecDeque<Ahead>,
    pace: Pace,
}

/// A job as it was claimed.
pub(super) struct New {
    pub(super) details: Arc<Details>,
    pub(super) live: Arc<Live>,
    pub(super) earlier: Vec<Arc<Live>>,
}

/// A job that was claimed and did not start yet.
pub(super) struct Ahead {
    pub(super) details: Arc<Details>,
    pub(super) live: Arc<Live>,
    /// Attempts of the same job that this worker lost and that may not be over.
    pub(super) earlier: Vec<Arc<Live>>,
    /// When it was claimed, by the storage's clock and by ours.
    pub(super) claimed: Moment,
    pub(super) lane: usize,
    number: u64,
}

/// An instant by two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) there: Timestamp,
    pub(super) here: Instant,
}

impl Moment {
    /// About what the storage's clock shows now.
    pub(super) fn now(&self) -> Timestamp {
        time::after(self.there, self.here.elapsed())
    }
}

/// What the attempts of late say about the next of the same queue.
#[derive(Default)]
struct Pace {
    /// How long an attempt takes, on a moving average.
    mean: Option<Duration>,
    /// Jobs had to be given back, and nothing has ended since.
    stuck: bool,
}

impl Pace {
    fn ran(&mut self, ran: Duration) {
        self.stuck = false;
        self.mean = Some(match self.mean {
            None => ran,
            Some(mean) => mean.saturating_mul(15).saturating_add(ran) / 16,
        });
    }

    /// How many jobs would start soon if all of so many slots were taken.
    fn soon(&self, slots: usize) -> usize {
        match self.mean {
            Some(mean) if !self.stuck => {
                let turns = SOON.as_micros() / mean.as_micros().max(1);
                let rest = SOON.as_micros() % mean.as_micros().max(1);
                let slots = slots as u128;
                let jobs = turns * slots + rest * slots / mean.as_micros().max(1);
                usize::try_from(jobs).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }
}

impl Slots {
    pub(super) fn new(settings: &Settings) -> Self {
        let lane = |queue: &super::queue::Queue| Lane {
            queue: queue.name.clone(),
            concurrency: queue.concurrency.unwrap_or(settings.concurrency),
            running: 0,
            ahead: VecDeque::new(),
            pace: Pace::default(),
        };
        Self {
            state: Mutex::new(State {
                concurrency: settings.concurrency,
                prefetch: settings.prefetch.unwrap_or(settings.concurrency.max(FEW)),
                lanes: settings.queues.iter().map(lane).collect(),
                running: 0,
                coming: 0,
                taken: 0,
                closed: false,
                ended: Vec::new(),
                suspect_ended: false,
            }),
            changed: Notify::new(),
        }
    }

    /// How many more jobs may be claimed in all, and of each queue.
    pub(super) fn room(&self) -> (usize, Vec<usize>) {
        let state = self.lock();
        let soon = |lane: &Lane| {
            let most = state.prefetch.min(lane.concurrency.max(FEW));
            lane.pace.soon(lane.concurrency).min(most)
        };
        let ahead: usize = state.lanes.iter().map(|lane| lane.ahead.len()).sum();
        let most = state.concurrency + state.lanes.iter().map(soon).max().unwrap_or(0);
        let rooms = state.lanes.iter().map(|lane| {
            let most = lane.concurrency + soon(lane);
            most.saturating_sub(lane.running + lane.ahead.len())
        });
        (most.saturating_sub(state.running + ahead), rooms.collect())
    }

    /// Takes in claimed jobs, and says how many runners they need.
    pub(super) fn take_in(&self, jobs: Vec<New>, claimed: Moment) -> usize {
        let mut state = self.lock();
        for New {
            details,
            live,
            earlier,
        } in jobs
        {
            let queue = &details.job.queue;
            let lane = state.lanes.iter().position(|lane| lane.queue == *queue);
            // A storage that hands out jobs of other queues is at fault; they run all the same.
            let lane = lane.unwrap_or(0);
            let number = state.taken;
            state.taken += 1;
            state.lanes[lane].ahead.push_back(Ahead {
                details,
                live,
                earlier,
                claimed,
                lane,
                number,
            });
        }
        let startable = state.lanes.iter().map(Lane::startable).sum::<usize>();
        let free = state.concurrency.saturating_sub(state.running);
        let runners = startable.min(free).saturating_sub(state.coming);
        state.coming += runners;
        runners
    }

    /// The first job of a runner, or none if others were quicker.
    pub(super) fn first(&self) -> Option<Ahead> {
        let mut state = self.lock();
        state.coming = state.coming.saturating_sub(1);
        state.next()
    }

    /// Takes in how a job of this lane came out, and gives its slot to the next.
    pub(super) fn over(
        &self,
        lane: usize,
        ending: Option<Ending>,
        ran: Option<Duration>,
        suspect: bool,
    ) -> Option<Ahead> {
        let next = {
            let mut state = self.lock();
            state.running = state.running.saturating_sub(1);
            let of_queue = &mut state.lanes[lane];
            of_queue.running = of_queue.running.saturating_sub(1);
            if let Some(ran) = ran {
                of_queue.pace.ran(ran);
            }
            state.ended.extend(ending);
            state.suspect_ended |= suspect;
            state.next()
        };
        self.changed.notify_one();
        next
    }

    /// Moves endings to where they are written from, and says whether the next
    /// suspect may come.
    pub(super) fn gather(&self, endings: &mut VecDeque<Ending>) -> bool {
        let mut state = self.lock();
        endings.extend(state.ended.drain(..));
        std::mem::take(&mut state.suspect_ended)
    }

    /// When the job that has waited longest for a slot is to be given back.
    pub(super) fn give_back_at(&self) -> Option<Instant> {
        let state = self.lock();
        let oldest = state.lanes.iter().filter_map(|lane| lane.ahead.front());
        oldest.map(|ahead| ahead.claimed.here + LONG).min()
    }

    /// Gives back what has waited for too long.
    pub(super) fn give_back(&self, now: Instant) {
        let mut state = self.lock();
        let state = &mut *state;
        for lane in &mut state.lanes {
            while lane
                .ahead
                .front()
                .is_some_and(|ahead| ahead.claimed.here + LONG <= now)
            {
                state.ended.extend(lane.ahead.pop_front().map(released));
                lane.pace.stuck = true;
            }
        }
    }

    /// Starts nothing more, and gives back what has not started.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        state.closed = true;
        for lane in &mut state.lanes {
            state.ended.extend(lane.ahead.drain(..).map(released));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn startable(&self) -> usize {
        let free = self.concurrency.saturating_sub(self.running);
        self.ahead.len().min(free)
    }
}

impl State {
    /// The oldest job that may start now, with a slot taken for it.
    fn next(&mut self) -> Option<Ahead> {
        if self.closed || self.running >= self.concurrency {
            return None;
        }
        let ready = self.lanes.iter_mut().filter(|lane| lane.startable() > 0);
        let oldest = |lane: &&mut Lane| lane.ahead.front().map(|ahead| ahead.number);
        let lane = ready.min_by_key(oldest)?;
        let ahead = lane.ahead.pop_front()?;
        lane.running += 1;
        self.running += 1;
        Some(ahead)
    }
}

impl Ahead {
    /// What is to be written instead of starting it, if it must not start:
    /// `Some(None)` is nothing at all.
    pub(super) fn unfit(&self) -> Option<Option<Ending>> {
        if self.live.may_be_lost() {
            // Another worker may run it already, however late the answer to the claim came.
            self.live.cancel.fire(CancelReason::LeaseLost);
        }
        match self.live.cancel.reason() {
            Some(CancelReason::LeaseLost) => return Some(None),
            Some(CancelReason::User) => return Some(Some(self.live.ending(Verdict::Cancelled))),
            Some(CancelReason::Shutdown) => return Some(Some(released_by(&self.live))),
            Some(CancelReason::Timeout) | None => {}
        }
        let expires = self.details.job.expires?;
        (expires <= self.claimed.now()).then(|| Some(self.live.ending(Verdict::Expired)))
    }
}

fn released(ahead: Ahead) -> Ending {
    // It never begins, so a later attempt of its job need not wait for it.
    ahead.live.cancel.over();
    released_by(&ahead.live)
}

fn released_by(live: &Live) -> Ending {
    live.ending(Verdict::Release)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use majordomo_core::{JobId, Lease, NewJob, Payload};

    use super::*;
    use crate::worker::queue::Queue;

    const QUICK: Duration = Duration::from_millis(1);

    fn slots(concurrency: usize, queues: Vec<Queue>) -> Slots {
        Slots::new(&Settings {
            concurrency,
            queues,
            ..Settings::default()
        })
    }

    fn one_queue(concurrency: usize) -> Slots {
        slots(concurrency, vec!["q".into()])
    }

    fn new(queue: &str) -> New {
        let job = NewJob::new("t", Payload::json(&()).unwrap());
        let job = NewJob {
            queue: queue.into(),
            ..job
        };
        let job = job.into_job(Timestamp::UNIX_EPOCH);
        let lease = Lease {
            job: job.id,
            token: 1,
            worker: "w".into(),
            expires: Timestamp::UNIX_EPOCH,
        };
        New {
            details: Arc::new(Details::of(job)),
            live: Arc::new(Live::new(
                lease,
                false,
                Instant::now() + Duration::from_secs(30),
            )),
            earlier: Vec::new(),
        }
    }

    fn now() -> Moment {
        Moment {
            there: Timestamp::UNIX_EPOCH,
            here: Instant::now(),
        }
    }

    fn id(ahead: &Ahead) -> JobId {
        ahead.live.lease.job
    }

    fn gathered(slots: &Slots) -> Vec<Ending> {
        let mut endings = VecDeque::new();
        slots.gather(&mut endings);
        endings.into()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_claimed_ahead_before_the_pace_is_known_or_while_it_is_slow() {
        let slots = one_queue(4);
        assert_eq!(slots.room(), (4, vec![4]));
        slots.take_in(vec![new("q")], now());
        let job = slots.first().unwrap();
        assert!(
            slots
                .over(job.lane, None, Some(Duration::from_secs(10)), false)
                .is_none()
        );
        assert_eq!(slots.room(), (4, vec![4]));
    }

    #[tokio::test(start_paused = true)]
    async fn quick_jobs_are_claimed_ahead_up_to_the_prefetch() {
        let slots = one_queue(4);
        slots.take_in(vec![new("q")], now());
        let job = slots.first().unwrap();
        slots.over(job.lane, None, Some(QUICK), false);
        assert_eq!(slots.room(), (20, vec![20]));
        let many = one_queue(40);
        many.take_in(vec![new("q")], now());
        let job = many.first().unwrap();
        many.over(job.lane, None, Some(QUICK), false);
        assert_eq!(many.room(), (80, vec![80]), "one more concurrency");
        let none = Slots::new(&Settings {
            prefetch: Some(0),
            queues: vec!["q".into()],
            concurrency: 4,
            ..Settings::default()
        });
        none.take_in(vec![new("q")], now());
        let job = none.first().unwrap();
        none.over(job.lane, None, Some(QUICK), false);
        assert_eq!(none.room(), (4, vec![4]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_goes_to_the_oldest_job_whose_queue_has_one_free() {
        let slots = slots(2, vec![Queue::new("narrow").concurrency(1), "wide".into()]);
        let jobs = vec![new("narrow"), new("narrow"), new("wide"), new("wide")];
        let ids: Vec<_> = jobs.iter().map(|job| job.details.job.id).collect();
        assert_eq!(slots.take_in(jobs, now()), 2, "two slots, so two runners");
        let (first, second) = (slots.first().unwrap(), slots.first().unwrap());
        assert_eq!((id(&first), id(&second)), (ids[0], ids[2]));
        assert!(slots.first().is_none());
        let third = slots.over(second.lane, None, None, false).unwrap();
        assert_eq!(id(&third), ids[3], "the narrow queue has its one job");
        let fourth = slots.over(first.lane, None, None, false).unwrap();
        assert_eq!(id(&fourth), ids[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_t_start_for_a_second_is_given_back_and_no_more_is_claimed_ahead() {
        let slots = one_queue(1);
        slots.take_in(vec![new("q")], now());
        let quick = slots.first().unwrap();
        slots.over(quick.lane, None, Some(QUICK), false);
        let jobs = vec![new("q"), new("q")];
        let waiting = jobs[1].details.job.id;
        slots.take_in(jobs, now());
        let long = slots.first().unwrap();
        let due = slots.give_back_at().unwrap();
        slots.give_back(due - QUICK);
        assert!(gathered(&slots).is_empty());
        slots.give_back(due);
        let given: Vec<_> = gathered(&slots);
        assert_eq!((given[0].lease.job, given.len()), (waiting, 1));
        assert_eq!(given[0].verdict, Verdict::Release);
        assert_eq!(slots.room(), (0, vec![0]), "a slot must become free first");
        slots.over(long.lane, None, Some(QUICK), false);
        assert_eq!(slots.room(), (17, vec![17]));
    }

    #[tokio::test(start_paused = true)]
    async fn once_closed_nothing_starts_and_what_waits_is_given_back() {
        let slots = one_queue(1);
        let jobs = vec![new("q"), new("q")];
        let waiting = Arc::clone(&jobs[1].live);
        slots.take_in(jobs, now());
        let running = slots.first().unwrap();
        slots.close();
        assert_eq!(gathered(&slots).len(), 1);
        let over = waiting.cancel.is_over().now_or_never();
        assert!(over.is_some(), "nobody has to wait for what never begins");
        assert!(slots.over(running.lane, None, None, false).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_expired_or_was_cancelled_while_it_waited_does_not_start() {
        let slots = one_queue(1);
        let mut expiring = new("q");
        let mut details = Details::clone(&expiring.details);
        details.job.expires = Some(time::after(Timestamp::UNIX_EPOCH, QUICK));
        expiring.details = Arc::new(details);
        slots.take_in(vec![expiring], now());
        let ahead = slots.first().unwrap();
        assert!(ahead.unfit().is_none(), "there is still time");
        tokio::time::advance(QUICK).await;
        let instead = ahead.unfit().unwrap().unwrap();
        assert_eq!(instead.verdict, Verdict::Expired);
        for (reason, expected) in [
            (CancelReason::User, Some(Verdict::Cancelled)),
            (CancelReason::Shutdown, Some(Verdict::Release)),
            (CancelReason::LeaseLost, None),
        ] {
            slots.over(0, None, None, false);
            slots.take_in(vec![new("q")], now());
            let ahead = slots.first().unwrap();
            ahead.live.cancel.fire(reason);
            let instead = ahead.unfit().unwrap();
            assert_eq!(instead.map(|ending| ending.verdict), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_whose_lease_may_have_run_out_does_not_start() {
        let slots = one_queue(1);
        slots.take_in(vec![new("q"), new("q")], now());
        let late = slots.first().unwrap();
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(late.unfit().unwrap().is_none(), "nothing may be written");
        let renewed = slots.over(late.lane, None, None, false).unwrap();
        renewed.live.renewed(Instant::now() + QUICK);
        assert!(renewed.unfit().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn quick_jobs_of_one_queue_do_not_make_it_hold_the_slow_ones_of_another() {
        let slots = slots(8, vec![Queue::new("slow").concurrency(1), "quick".into()]);
        slots.take_in(vec![new("slow")], now());
        let long = slots.first().unwrap();
        for _ in 0..10 {
            slots.take_in(vec![new("quick")], now());
            let quick = slots.first().unwrap();
            slots.over(quick.lane, None, Some(QUICK), false);
            assert_eq!(
                slots.room().1[0],
                0,
                "the one slot of the slow queue is taken"
            );
            assert!(slots.room().1[1] > 8);
        }
        assert_eq!(long.lane, 0);
    }
}
