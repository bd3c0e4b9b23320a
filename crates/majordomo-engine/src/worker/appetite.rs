//! Which queues to ask for how much. Free slots are split by weight over the
//! queues that may have work; one that gave less than it was asked for is left
//! alone until something says that it has more.

use majordomo_core::Job;

use super::queue::Queue;

/// The queues of a worker, and which of them may have work.
#[derive(Debug)]
pub(super) struct Appetite {
    queues: Vec<Share>,
    /// Whether something said that there is more since the latest split: what
    /// that one brings is from before.
    woken: bool,
}

#[derive(Debug)]
struct Share {
    name: String,
    weight: i64,
    hungry: bool,
    asked: usize,
    /// How far it is behind its share: whoever is most behind gets the next slot.
    behind: i64,
}

impl Appetite {
    /// Every queue may have work.
    pub(super) fn new(queues: &[Queue]) -> Self {
        let share = |queue: &Queue| Share {
            name: queue.name.clone(),
            weight: i64::from(queue.weight),
            hungry: true,
            asked: 0,
            behind: 0,
        };
        Self {
            queues: queues.iter().map(share).collect(),
            woken: false,
        }
    }

    /// Every queue may have work again.
    pub(super) fn wake(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.hungry = true);
        self.woken = true;
    }

    /// Whether every queue may have work, so that nothing could make it more.
    pub(super) fn is_all_hungry(&self) -> bool {
        self.queues.iter().all(|queue| queue.hungry)
    }

    /// Whether some queue with room may have work.
    pub(super) fn is_hungry(&self, rooms: &[usize]) -> bool {
        let mut queues = self.queues.iter().zip(rooms);
        queues.any(|(queue, room)| queue.hungry && *room > 0)
    }

    /// Splits this many slots over the queues that may have work, none getting
    /// more than its room.
    pub(super) fn split(&mut self, slots: usize, rooms: &[usize]) -> Vec<(String, usize)> {
        self.queues.iter_mut().for_each(|queue| queue.asked = 0);
        self.woken = false;
        let mut left = slots;
        while left > 0 {
            let open = |queue: &Share, room: usize| queue.hungry && queue.asked < room;
            let each = self.queues.iter().zip(rooms);
            let weights: i64 = each
                .filter(|(queue, room)| open(queue, **room))
                .map(|(queue, _)| queue.weight)
                .sum();
            if weights == 0 {
                break;
            }
            // Whole rounds at once, as long as they leave everyone something to round with.
            let rounds = i64::try_from(left).unwrap_or(i64::MAX) / weights;
            for (queue, room) in self.queues.iter_mut().zip(rooms) {
                if rounds > 0 && open(queue, *room) {
                    let share = usize::try_from(rounds * queue.weight).unwrap_or(usize::MAX);
                    let part = share.min(room - queue.asked);
                    queue.asked += part;
                    left -= part;
                }
            }
            if rounds == 0 {
                // One slot to whoever is most behind.
                let mut most: Option<&mut Share> = None;
                for (queue, room) in self.queues.iter_mut().zip(rooms) {
                    if open(queue, *room) {
                        queue.behind += queue.weight;
                        if most.as_ref().is_none_or(|most| queue.behind > most.behind) {
                            most = Some(queue);
                        }
                    }
                }
                if let Some(most) = most {
                    most.behind -= weights;
                    most.asked += 1;
                }
                left -= 1;
            }
        }
        self.queues
            .iter()
            .filter(|queue| queue.asked > 0)
            .map(|queue| (queue.name.clone(), queue.asked))
            .collect()
    }

    /// Learns from what was claimed by the latest split, unless it is old news.
    pub(super) fn fed<'a>(&mut self, jobs: impl Iterator<Item = &'a Job> + Clone) {
        if self.woken {
            return;
        }
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

    const FULL: [usize; 3] = [1000; 3];

    fn appetite(weights: &[u32]) -> Appetite {
        let queue = |(name, weight): (&str, &u32)| Queue::new(name).weight(*weight);
        Appetite::new(
            &["a", "b", "c"]
                .into_iter()
                .zip(weights)
                .map(queue)
                .collect::<Vec<_>>(),
        )
    }

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
        let mut appetite = appetite(&[1, 1]);
        assert_eq!(appetite.split(5, &FULL), [("a".into(), 3), ("b".into(), 2)]);
        appetite.fed(jobs("b", 2).iter());
        assert!(appetite.is_hungry(&FULL));
        assert!(
            !appetite.is_hungry(&[1000, 0]),
            "the hungry one has no room"
        );
        assert_eq!(appetite.split(3, &FULL), [("b".into(), 3)]);
        appetite.fed(jobs("b", 1).iter());
        assert!(!appetite.is_hungry(&FULL));
        appetite.wake();
        let both = appetite.split(4, &FULL);
        assert_eq!(both, [("a".into(), 2), ("b".into(), 2)]);
    }

    #[test]
    fn a_wake_that_comes_while_a_claim_is_under_way_outlasts_its_answer() {
        let mut appetite = appetite(&[1, 1]);
        appetite.split(2, &FULL);
        appetite.wake();
        appetite.fed([].iter());
        assert!(appetite.is_hungry(&FULL));
        appetite.split(2, &FULL);
        appetite.fed([].iter());
        assert!(!appetite.is_hungry(&FULL));
    }

    #[test]
    fn a_single_slot_goes_round() {
        let mut appetite = appetite(&[1, 1, 1]);
        let turns: Vec<String> = (0..6)
            .map(|_| appetite.split(1, &FULL).remove(0).0)
            .collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b", "c"]);
    }

    #[test]
    fn a_single_slot_goes_round_evenly_while_one_queue_is_empty() {
        let mut appetite = appetite(&[1, 1, 1]);
        assert_eq!(appetite.split(3, &FULL).len(), 3);
        appetite.fed([jobs("a", 1), jobs("c", 1)].concat().iter());
        let turns: Vec<String> = (0..4)
            .map(|_| appetite.split(1, &FULL).remove(0).0)
            .collect();
        assert_eq!(turns, ["a", "c", "a", "c"]);
    }

    #[test]
    fn slots_go_by_weight_whether_they_come_one_by_one_or_at_once() {
        let mut at_once = appetite(&[6, 3, 1]);
        let parts = at_once.split(100, &FULL);
        assert_eq!(
            parts,
            [("a".into(), 60), ("b".into(), 30), ("c".into(), 10)]
        );
        let mut singly = appetite(&[6, 3, 1]);
        let mut counts = [0; 3];
        for _ in 0..100 {
            let name = singly.split(1, &FULL).remove(0).0;
            counts[usize::from(name.as_bytes()[0] - b'a')] += 1;
        }
        assert_eq!(counts, [60, 30, 10]);
    }

    #[test]
    fn no_queue_is_asked_for_more_than_its_room() {
        let mut appetite = appetite(&[1000, 1, 1]);
        let parts = appetite.split(50, &[2, 0, 1000]);
        assert_eq!(parts, [("a".into(), 2), ("c".into(), 48)]);
        assert!(appetite.split(50, &[0, 0, 0]).is_empty());
    }
}
