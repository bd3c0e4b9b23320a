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
    pace: Pace,
    ended: Vec<Ending>,
    suspect_ended: bool,
}

/// The part of one queue.
struct Lane {
    queue: String,
    concurrency: usize,
    running: usize,
    ahead: VecDeque<Ahead>,
}

/// A job as it was claimed.
pub(super) struct New {
    pub(super) details: Details,
    pub(super) live: Arc<Live>,
    pub(super) earlier: Option<Arc<Live>>,
}

/// A job that was claimed and did not start yet.
pub(super) struct Ahead {
    pub(super) details: Details,
    pub(super) live: Arc<Live>,
    /// An attempt of the same job that this worker lost and that may not be over.
    pub(super) earlier: Option<Arc<Live>>,
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

/// What the attempts of late say about the next.
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
        };
        Self {
            state: Mutex::new(State {
                concurrency: settings.concurrency,
                prefetch: settings.prefetch.unwrap_or(settings.concurrency),
                lanes: settings.queues.iter().map(lane).collect(),
                running: 0,
                coming: 0,
                taken: 0,
                closed: false,
                pace: Pace::default(),
                ended: Vec::new(),
                suspect_ended: false,
            }),
            changed: Notify::new(),
        }
    }

    /// How many more jobs may be claimed in all, and of each queue.
    pub(super) fn room(&self) -> (usize, Vec<usize>) {
        let state = self.lock();
        let soon = |slots: usize| state.pace.soon(slots).min(state.prefetch).min(slots);
        let ahead: usize = state.lanes.iter().map(|lane| lane.ahead.len()).sum();
        let most = state.concurrency + soon(state.concurrency);
        let rooms = state.lanes.iter().map(|lane| {
            let most = lane.concurrency + soon(lane.concurrency);
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
            state.lanes[lane].running = state.lanes[lane].running.saturating_sub(1);
            state.ended.extend(ending);
            state.suspect_ended |= suspect;
            if let Some(ran) = ran {
                state.pace.ran(ran);
            }
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
                state.pace.stuck = true;
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
    released_by(&ahead.live)
}

fn released_by(live: &Live) -> Ending {
    live.ending(Verdict::Release)
}
