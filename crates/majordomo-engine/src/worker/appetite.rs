//! Which queues to ask for how much. Free slots are split evenly over the
//! queues that may have work; one that gave less than it was asked for is left
//! alone until something says that it has more.

use majordomo_core::Job;

/// The queues of a worker, and which of them may have work.
#[derive(Debug)]
pub(super) struct Appetite {
    queues: Vec<Queue>,
    /// Who is asked first, so that one slot goes round.
    first: usize,
}

#[derive(Debug)]
struct Queue {
    name: String,
    hungry: bool,
    asked: usize,
}

impl Appetite {
    /// Every queue may have work.
    pub(super) fn new(queues: &[String]) -> Self {
        let queue = |name: &String| Queue {
            name: name.clone(),
            hungry: true,
            asked: 0,
        };
        Self {
            queues: queues.iter().map(queue).collect(),
            first: 0,
        }
    }

    /// Every queue may have work again.
    pub(super) fn wake(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.hungry = true);
    }

    /// Whether every queue may have work, so that nothing could make it more.
    pub(super) fn is_all_hungry(&self) -> bool {
        self.queues.iter().all(|queue| queue.hungry)
    }

    /// Whether some queue may have work.
    pub(super) fn is_hungry(&self) -> bool {
        self.queues.iter().any(|queue| queue.hungry)
    }

    /// Splits this many slots over the queues that may have work.
    pub(super) fn split(&mut self, slots: usize) -> Vec<(String, usize)> {
        let hungry = self
            .queues
            .iter()
            .filter(|queue| queue.hungry)
            .count()
            .max(1);
        let (share, mut rest) = (slots / hungry, slots % hungry);
        self.queues.iter_mut().for_each(|queue| queue.asked = 0);
        let count = self.queues.len();
        let mut parts = Vec::with_capacity(hungry);
        let first = self.first;
        let order = (0..count).map(|index| (index + first) % count);
        for index in order {
            let queue = &mut self.queues[index];
            if queue.hungry {
                queue.asked = share + usize::from(rest > 0);
                rest = rest.saturating_sub(1);
            }
            if queue.asked > 0 {
                parts.push((queue.name.clone(), queue.asked));
                // Whoever comes after the last that was asked goes first next time.
                self.first = index + 1;
            }
        }
        parts
    }

    /// Learns from what was claimed by the latest split.
    pub(super) fn fed<'a>(&mut self, jobs: impl Iterator<Item = &'a Job> + Clone) {
        for queue in self.queues.iter_mut().filter(|queue| queue.asked > 0) {
            queue.hungry =
                jobs.clone().filter(|job| job.queue == queue.name).count() >= queue.asked;
        }
    }
}

#[cfg(test)]
mod tests {
    use majordomo_core::{NewJob, Payload, Timestamp};

    use super::*;

    fn jobs(queue: &str, count: usize) -> Vec<Job> {
        let job = || NewJob {
            queue: queue.into(),
            ..NewJob::new("t", Payload::json(&()).unwrap())
        };
        (0..count)
            .map(|_| job().into_job(Timestamp::UNIX_EPOCH))
            .collect()
    }

    #[test]
    fn what_one_queue_lacks_the_other_gets() {
        let mut appetite = Appetite::new(&["a".into(), "b".into()]);
        assert_eq!(appetite.split(5), [("a".into(), 3), ("b".into(), 2)]);
        appetite.fed(jobs("b", 2).iter());
        assert!(appetite.is_hungry());
        assert_eq!(appetite.split(3), [("b".into(), 3)]);
        appetite.fed(jobs("b", 1).iter());
        assert!(!appetite.is_hungry());
        appetite.wake();
        assert_eq!(appetite.split(4), [("a".into(), 2), ("b".into(), 2)]);
    }

    #[test]
    fn a_single_slot_goes_round_evenly_while_one_queue_is_empty() {
        let mut appetite = Appetite::new(&["a".into(), "b".into(), "c".into()]);
        assert_eq!(appetite.split(3).len(), 3);
        appetite.fed([jobs("a", 1), jobs("c", 1)].concat().iter());
        let turns: Vec<String> = (0..4).map(|_| appetite.split(1).remove(0).0).collect();
        assert_eq!(turns, ["a", "c", "a", "c"]);
    }

    #[test]
    fn a_single_slot_goes_round() {
        let mut appetite = Appetite::new(&["a".into(), "b".into(), "c".into()]);
        let turns: Vec<String> = (0..6).map(|_| appetite.split(1).remove(0).0).collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b", "c"]);
    }
}
