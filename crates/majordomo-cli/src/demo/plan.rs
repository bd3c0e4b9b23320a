//! What the demo enqueues, and what should become of each job.

use std::time::Duration;

use majordomo::{Client, Enqueue, JobId, NewJob, State, Task};

use super::tasks::{Delayed, Doomed, Endless, Flaky, Late, Once, Quick, Report};
use crate::exit::Problem;

/// The kinds of sample jobs, in the order of the final table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Quick,
    Flaky,
    Doomed,
    Delayed,
    Report,
    Endless,
    Late,
    Once,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Quick,
        Self::Flaky,
        Self::Doomed,
        Self::Delayed,
        Self::Report,
        Self::Endless,
        Self::Late,
        Self::Once,
    ];

    /// The name of its task.
    pub(super) fn task(self) -> &'static str {
        match self {
            Self::Quick => Quick::NAME,
            Self::Flaky => Flaky::NAME,
            Self::Doomed => Doomed::NAME,
            Self::Delayed => Delayed::NAME,
            Self::Report => Report::NAME,
            Self::Endless => Endless::NAME,
            Self::Late => Late::NAME,
            Self::Once => Once::NAME,
        }
    }

    /// What it shows.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Flaky => "fails, is retried",
            Self::Doomed => "fails every time",
            Self::Delayed => "delayed 1 or 2 s",
            Self::Report => "shows progress",
            Self::Endless => "cancelled while running",
            Self::Late => "expires before it starts",
            Self::Once => "unique, enqueued twice",
        }
    }

    /// How its jobs should end.
    pub(super) fn ending(self) -> State {
        match self {
            Self::Doomed => State::Dead,
            Self::Endless => State::Cancelled,
            Self::Late => State::Expired,
            Self::Quick | Self::Flaky | Self::Delayed | Self::Report | Self::Once => {
                State::Completed
            }
        }
    }

    fn count(self, jobs: u32) -> u32 {
        match self {
            Self::Quick => {
                jobs - Self::ALL
                    .iter()
                    .skip(1)
                    .map(|kind| kind.count(jobs))
                    .sum::<u32>()
            }
            Self::Flaky => (jobs / 10).max(2),
            Self::Doomed => (jobs / 100).max(1),
            Self::Delayed => (jobs / 20).max(2),
            Self::Report | Self::Endless | Self::Late | Self::Once => 1,
        }
    }
}

/// A job of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) id: JobId,
    pub(super) kind: Kind,
    /// How many attempts fail.
    pub(super) fails: u32,
    /// How long after its enqueue it may start.
    pub(super) delay: Duration,
}

/// All jobs of a run.
#[derive(Debug)]
pub(super) struct Plan {
    /// Tells this run from others in the same storage.
    pub(super) run: String,
    /// The queue of this run alone.
    pub(super) queue: String,
    pub(super) jobs: Vec<Planned>,
    /// The second job under the unique key, which should not be stored.
    pub(super) twin: JobId,
}

impl Plan {
    pub(super) fn new(jobs: u32) -> Self {
        let run = format!("{:08x}", fastrand::u32(..));
        let jobs = Kind::ALL
            .into_iter()
            .flat_map(|kind| (0..kind.count(jobs)).map(move |index| planned(kind, index)));
        Self {
            queue: format!("demo-{run}"),
            run,
            jobs: jobs.collect(),
            twin: JobId::new(),
        }
    }

    /// The only job of a kind.
    pub(super) fn only(&self, kind: Kind) -> JobId {
        let found = self.jobs.iter().find(|job| job.kind == kind);
        found.expect("there is a job of every kind").id
    }

    /// How many jobs of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.jobs.iter().filter(|job| job.kind == kind).count()
    }

    /// The job as it is to be stored.
    pub(super) fn build(&self, client: &Client, planned: &Planned) -> Result<NewJob, Problem> {
        let seconds = planned.delay.as_secs();
        match planned.kind {
            Kind::Quick => self.finish(
                client.enqueue(Quick {
                    millis: fastrand::u64(2..25),
                }),
                planned,
            ),
            Kind::Flaky => self.finish(
                client.enqueue(Flaky {
                    fails: planned.fails,
                }),
                planned,
            ),
            Kind::Doomed => self.finish(
                client.enqueue(Doomed {
                    account: fastrand::u32(1000..10_000),
                }),
                planned,
            ),
            Kind::Delayed => self.finish(client.enqueue(Delayed { seconds }), planned),
            Kind::Report => self.finish(client.enqueue(Report { pages: 100 }), planned),
            Kind::Endless => self.finish(client.enqueue(Endless {}), planned),
            Kind::Late => {
                let expires = planned.delay / 2;
                self.finish(client.enqueue(Late {}).expires_in(expires), planned)
            }
            Kind::Once => self.finish(
                client.enqueue(Once {
                    run: self.run.clone(),
                }),
                planned,
            ),
        }
    }

    /// A second job under the key of the unique one.
    pub(super) fn build_twin(&self, client: &Client) -> Result<NewJob, Problem> {
        self.build(
            client,
            &Planned {
                id: self.twin,
                ..planned(Kind::Once, 0)
            },
        )
    }

    fn finish<T: Task>(
        &self,
        enqueue: Enqueue<'_, T>,
        planned: &Planned,
    ) -> Result<NewJob, Problem> {
        let enqueue = enqueue
            .id(planned.id)
            .queue(&self.queue)
            .metadata("run", &self.run);
        let enqueue = if planned.delay.is_zero() {
            enqueue
        } else {
            enqueue.after(planned.delay)
        };
        Ok(enqueue.build()?)
    }
}

fn planned(kind: Kind, index: u32) -> Planned {
    let one_or_two = 1 + index % 2;
    let fails = match kind {
        Kind::Flaky => one_or_two,
        Kind::Doomed => 3,
        _ => 0,
    };
    let delay = match kind {
        Kind::Delayed => Duration::from_secs(one_or_two.into()),
        Kind::Late => Duration::from_secs(4),
        _ => Duration::ZERO,
    };
    Planned {
        id: JobId::new(),
        kind,
        fails,
        delay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_as_many_jobs_as_asked_for_and_some_of_every_kind() {
        for jobs in [20, 300, 3000, 12_345] {
            let plan = Plan::new(jobs);
            assert_eq!(plan.jobs.len(), usize::try_from(jobs).unwrap());
            assert!(
                Kind::ALL.into_iter().all(|kind| plan.count(kind) > 0),
                "{jobs}"
            );
            let sum: usize = Kind::ALL.into_iter().map(|kind| plan.count(kind)).sum();
            assert_eq!(sum, plan.jobs.len());
        }
    }
}
