//! The rules of what people do to jobs, written a second time.

use majordomo_core::{Changed, EndingKind, JobId, Refusal, State};

use super::rules::SECOND;
use super::step::ChangeStep;
use super::{Length, Model, ModelJob, Wait, Want, id_of, key_of};

impl Model {
    fn is_wanted(&self, target: Want, job: &ModelJob) -> bool {
        let ended_before = |age: i64| job.ended_at.is_some_and(|ended| ended + age <= self.now);
        match target {
            Want::One(number) => job.number == number,
            Want::In(state) => job.state == state,
            Want::Queue(queue) => job.queue == queue,
            Want::PastRetention => job.retention.is_some_and(ended_before),
            Want::Ended(seconds, except) => {
                job.retention.is_none() && job.task != except && ended_before(seconds * SECOND)
            }
            Want::All => true,
        }
    }

    pub(super) fn change(&mut self, target: Want, change: ChangeStep) -> Vec<(JobId, Changed)> {
        let mut answers = Vec::new();
        for place in 0..self.jobs.len() {
            if self.is_wanted(target, &self.jobs[place]) {
                answers.push((
                    id_of(self.jobs[place].number),
                    self.change_one(place, change),
                ));
            }
        }
        answers
    }

    fn change_one(&mut self, place: usize, change: ChangeStep) -> Changed {
        let now = self.now;
        let job = &mut self.jobs[place];
        let state = job.state;
        let legal = match change {
            ChangeStep::Cancel => matches!(state, State::Pending | State::Running),
            ChangeStep::Retry(_) => !matches!(state, State::Pending | State::Running),
            ChangeStep::Edit(_) => state != State::Running,
            _ => state == State::Pending,
        };
        if !legal {
            return Changed::Refused(Refusal::State(state));
        }
        match change {
            ChangeStep::Cancel if state == State::Running => {
                if job.cancel_requested {
                    return Changed::Done(State::Running);
                }
                job.cancel_requested = true;
            }
            ChangeStep::Cancel => {
                self.finish(place, State::Cancelled, EndingKind::Cancelled);
                return Changed::Done(State::Cancelled);
            }
            ChangeStep::Expire => {
                self.finish(place, State::Expired, EndingKind::Expired);
                return Changed::Done(State::Expired);
            }
            ChangeStep::Retry(due) => return self.retry(place, due),
            ChangeStep::Reschedule(due) => {
                let due = self.at(due);
                self.jobs[place].due = due;
            }
            ChangeStep::Move(queue) => job.queue = queue,
            ChangeStep::Priority(priority) => job.priority = priority,
            ChangeStep::Edit(Some(revision)) if revision != job.revision => {
                return Changed::Refused(Refusal::Revision(job.revision));
            }
            ChangeStep::Edit(_) => {}
        }
        let job = &mut self.jobs[place];
        (job.changed_at, job.revision) = (now, job.revision + 1);
        Changed::Done(job.state)
    }

    fn retry(&mut self, place: usize, due: Wait) -> Changed {
        let (now, due, number) = (self.now, self.at(due), self.jobs[place].number);
        let holds = self.jobs[place].holds.clone();
        let keys = holds
            .iter()
            .filter(|(_, length)| *length == Length::Finished)
            .map(|(key, _)| *key);
        for key in keys.clone() {
            if let Some(by) = self.holder(key).filter(|by| *by != number) {
                return Changed::Refused(Refusal::KeyHeld {
                    key: key_of(key),
                    by: id_of(by),
                });
            }
        }
        for key in keys {
            self.hold(key, number, Length::Finished);
        }
        let job = &mut self.jobs[place];
        (job.state, job.due) = (State::Pending, due);
        (job.charged, job.crashes, job.ended_at, job.dead_reason) = (0, 0, None, None);
        job.expires = job.expires.filter(|expires| *expires > now);
        (job.changed_at, job.revision) = (now, job.revision + 1);
        Changed::Done(State::Pending)
    }

    pub(super) fn remove(&mut self, target: Want, limit: usize) -> u64 {
        let goes = |job: &&ModelJob| job.state.is_finished() && self.is_wanted(target, job);
        let going: Vec<u8> = self
            .jobs
            .iter()
            .filter(goes)
            .map(|job| job.number)
            .take(limit)
            .collect();
        self.jobs.retain(|job| !going.contains(&job.number));
        going.len() as u64
    }
}
