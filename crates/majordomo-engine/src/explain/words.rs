//! The words of an explanation: one sentence for each reason, for people.

use std::fmt;

use majordomo_core::Scope;

use super::{Explanation, Reason};

impl fmt::Display for Explanation {
    /// The state, and each reason in a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} is {}", self.id, self.state)?;
        self.reasons
            .iter()
            .try_for_each(|reason| write!(f, "\n- {reason}"))
    }
}

impl fmt::Display for Reason {
    /// One sentence: the fact, and what would change it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished {
                state,
                at,
                dead_reason,
                error,
            } => {
                write!(f, "it is {state}")?;
                at.iter().try_for_each(|at| write!(f, " since {at}"))?;
                dead_reason
                    .iter()
                    .try_for_each(|reason| write!(f, ", for the reason {reason}"))?;
                error
                    .iter()
                    .try_for_each(|error| write!(f, ", after the error `{error}`"))?;
                f.write_str("; retry it to run it again")
            }
            Self::KeyHeld { key, by } => write!(
                f,
                "its key `{key}` is held by job {by}; a retry is refused until that one has ended"
            ),
            Self::Running {
                worker,
                since,
                lease_until,
                is_asked_to_stop,
            } => {
                write!(f, "it runs on worker `{worker}`")?;
                since.iter().try_for_each(|at| write!(f, " since {at}"))?;
                write!(f, ", with a lease until {lease_until}")?;
                f.write_str(match is_asked_to_stop {
                    true => ", and was asked to stop; it ends when its task heeds that, or after the worker's grace",
                    false => "; it ends by itself, or cancel it to ask it to stop",
                })
            }
            Self::LeaseOver { worker, since } => write!(
                f,
                "its worker `{worker}` has given no sign of life and its lease is over since {since}; the next sweep of any live worker takes it back"
            ),
            Self::NotDue { due } => {
                write!(
                    f,
                    "it is not due before {due}; reschedule it to run it sooner"
                )
            }
            Self::Retry {
                due,
                charged,
                of,
                error,
            } => {
                write!(f, "attempt {charged} of {of} failed")?;
                error
                    .iter()
                    .try_for_each(|error| write!(f, " with `{error}`"))?;
                write!(
                    f,
                    ", and the next may start at {due}; reschedule it to run it sooner"
                )
            }
            Self::Late { expires } => write!(
                f,
                "it had to start before {expires}, and expires at the next look at it; enqueue it again if it is still wanted"
            ),
            Self::Paused { scope, note, until } => {
                write!(f, "its {} is paused", Scoped(scope))?;
                until.iter().try_for_each(|at| write!(f, " until {at}"))?;
                if !note.is_empty() {
                    write!(f, " (`{note}`)")?;
                }
                f.write_str("; resume it")
            }
            Self::Full {
                scope,
                running,
                max_running,
            } => write!(
                f,
                "{running} jobs of its {} run and at most {max_running} may; one has to end, or raise the limit",
                Scoped(scope)
            ),
            Self::NoWorker { task, queue } => write!(
                f,
                "no worker is alive; start one that knows the task `{task}` and takes the queue `{queue}`"
            ),
            Self::TaskUnknown { task, workers } => write!(
                f,
                "no live worker knows the task `{task}` (alive: {}); start one that does",
                workers.join(", ")
            ),
            Self::QueueNotTaken { queue, workers } => write!(
                f,
                "no live worker that knows its task takes the queue `{queue}` (those that know it: {}); give the queue to one, or move the job",
                workers.join(", ")
            ),
            Self::Busy { running, slots } => write!(
                f,
                "all workers that could run it have their hands full, with {running} jobs in {slots} slots; one has to end, or start more workers"
            ),
            Self::Suspect { crashes, behind } => write!(
                f,
                "it was lost with its process {crashes} times, and such jobs run one at a time on each worker; job {behind} has to end first, or start another worker"
            ),
            Self::Behind { ahead } => {
                let (jobs, least) = (ahead.jobs, if ahead.or_more { "at least " } else { "" });
                write!(
                    f,
                    "{least}{jobs} due jobs of its queue go first, by priority or by time; wait, or raise its priority"
                )
            }
            Self::Ready => f.write_str(
                "nothing stands in its way; a worker takes it at its next look for work",
            ),
            Self::Expires { at } => {
                write!(f, "it expires if it has not started by {at}")
            }
        }
    }
}

/// A scope in words.
struct Scoped<'a>(&'a Scope);

impl fmt::Display for Scoped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Scope::Queue(_) => "queue",
            Scope::Task(_) => "task",
            Scope::LimitKey(_) => "limit key",
        };
        write!(f, "{kind} `{}`", self.0.name())
    }
}
