//! How long finished jobs are kept: a rule that only says, and removes nothing.
//! The [`pruner`](crate::pruner) acts on it.

use std::collections::BTreeMap;
use std::time::Duration;

use majordomo_core::{Between, Error, Filter, Job, Result, State, Timestamp, limits, time};

/// How long a finished job is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// This long after it ended.
    For(Duration),
    /// Until someone removes it.
    Forever,
}

impl From<Duration> for Keep {
    fn from(duration: Duration) -> Self {
        Self::For(duration)
    }
}

/// How long finished jobs are kept, by their state and task.
///
/// Completed, cancelled and expired jobs are kept for 7 days by default, dead
/// ones for 90: someone may still want to look at them, or to run them again.
/// A job's own retention goes before all of this, also before [`Self::forever`].
///
/// ```
/// # use std::time::Duration;
/// # use majordomo_engine::{Keep, Retention};
/// const DAY: Duration = Duration::from_secs(24 * 3600);
/// let retention = Retention::default()
///     .dead(Keep::Forever)
///     .task("thumbnail", Retention::default().completed(DAY))
///     .task("invoice", Retention::every(365 * DAY));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    completed: Keep,
    dead: Keep,
    cancelled: Keep,
    expired: Keep,
    tasks: BTreeMap<String, Retention>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Less is a mistake: whoever waits for a job would not find it any more.
const SHORTEST: Duration = Duration::from_secs(1);
/// A hundred years; more is meant to be forever.
const LONGEST: Duration = DAY.saturating_mul(36_525);

impl Retention {
    /// All finished jobs as long.
    pub fn every(keep: impl Into<Keep>) -> Self {
        let keep = keep.into();
        Self {
            completed: keep,
            dead: keep,
            cancelled: keep,
            expired: keep,
            tasks: BTreeMap::new(),
        }
    }

    /// Nothing goes by itself but jobs that have a retention of their own.
    #[must_use]
    pub fn forever() -> Self {
        Self::every(Keep::Forever)
    }

    /// Completed jobs; 7 days by default.
    #[must_use]
    pub fn completed(mut self, keep: impl Into<Keep>) -> Self {
        self.completed = keep.into();
        self
    }

    /// Dead jobs; 90 days by default.
    #[must_use]
    pub fn dead(mut self, keep: impl Into<Keep>) -> Self {
        self.dead = keep.into();
        self
    }

    /// Cancelled jobs; 7 days by default.
    #[must_use]
    pub fn cancelled(mut self, keep: impl Into<Keep>) -> Self {
        self.cancelled = keep.into();
        self
    }

    /// Jobs that expired before they started; 7 days by default.
    #[must_use]
    pub fn expired(mut self, keep: impl Into<Keep>) -> Self {
        self.expired = keep.into();
        self
    }

    /// The jobs of one task, by the name that they were enqueued under. For
    /// them, `retention` counts in place of all else that is said here.
    #[must_use]
    pub fn task(mut self, name: impl Into<String>, retention: Self) -> Self {
        self.tasks.insert(name.into(), retention);
        self
    }

    /// How long a job of this task and state is kept, if it has no retention of
    /// its own. An unfinished one is kept forever.
    #[must_use]
    pub fn of(&self, task: &str, state: State) -> Keep {
        let retention = self.tasks.get(task).unwrap_or(self);
        match state {
            State::Completed => retention.completed,
            State::Dead => retention.dead,
            State::Cancelled => retention.cancelled,
            State::Expired => retention.expired,
            State::Pending | State::Running => Keep::Forever,
        }
    }

    /// Whether `job` has been kept as long as it has to be, at `now`.
    #[must_use]
    pub fn is_past(&self, job: &Job, now: Timestamp) -> bool {
        match (job.retention, self.of(&job.task, job.state), job.ended_at) {
            (Some(_), ..) => job.is_past_retention(now),
            (None, Keep::For(kept), Some(ended)) => {
                job.state.is_finished() && ended < cut(now, kept)
            }
            _ => false,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`majordomo_core::ErrorKind::Invalid`], naming state and task, the
    /// duration, and what it may be: from 1 second to 36,525 days.
    pub fn check(&self) -> Result<()> {
        self.check_spans("")?;
        for (task, retention) in &self.tasks {
            limits::check_name("task of a retention", task)?;
            if let Some(inner) = retention.tasks.keys().next() {
                return Err(Error::invalid(format!(
                    "the retention of the task `{task}` names the task `{inner}`"
                ))
                .hint("name each task on the worker's retention itself"));
            }
            retention.check_spans(&format!(" of the task `{task}`"))?;
        }
        Ok(())
    }

    fn check_spans(&self, of: &str) -> Result<()> {
        for (state, keep) in self.by_state() {
            if let Keep::For(kept) = keep
                && !(SHORTEST..=LONGEST).contains(&kept)
            {
                let longest = LONGEST.as_secs() / DAY.as_secs();
                return Err(Error::invalid(format!(
                    "the retention of `{state}` jobs{of} is `{kept:?}`"
                ))
                .hint(format!(
                    "it may be from `{SHORTEST:?}` to `{longest}` days, or `Keep::Forever`"
                )));
            }
        }
        Ok(())
    }

    fn by_state(&self) -> [(State, Keep); 4] {
        [
            (State::Completed, self.completed),
            (State::Dead, self.dead),
            (State::Cancelled, self.cancelled),
            (State::Expired, self.expired),
        ]
    }

    /// The states that go after the same time, with that time.
    fn spans(&self) -> BTreeMap<Duration, Vec<State>> {
        let mut spans: BTreeMap<Duration, Vec<State>> = BTreeMap::new();
        for (state, keep) in self.by_state() {
            if let Keep::For(kept) = keep {
                spans.entry(kept).or_default().push(state);
            }
        }
        spans
    }

    /// The filters that together match exactly the jobs that are past, each by
    /// one of them: what the pruner removes.
    #[must_use]
    pub fn rules(&self, now: Timestamp) -> Vec<Filter> {
        let own = Filter {
            past_retention: true,
            ..Filter::all()
        };
        let without = |kept: Duration, states: Vec<State>| Filter {
            states,
            without_retention: true,
            ended: Between {
                from: None,
                to: Some(cut(now, kept)),
            },
            ..Filter::all()
        };
        // Tasks that are kept alike go together.
        let mut alike: BTreeMap<(Duration, Vec<State>), Vec<String>> = BTreeMap::new();
        for (task, retention) in &self.tasks {
            for span in retention.spans() {
                alike.entry(span).or_default().push(task.clone());
            }
        }
        let named = alike.into_iter().map(|((kept, states), tasks)| Filter {
            tasks,
            ..without(kept, states)
        });
        let others = self.spans().into_iter().map(|(kept, states)| Filter {
            except_tasks: self.tasks.keys().cloned().collect(),
            ..without(kept, states)
        });
        std::iter::once(own).chain(named).chain(others).collect()
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::every(7 * DAY).dead(90 * DAY)
    }
}

/// Jobs that ended before this instant have been kept for `kept`. What ended
/// exactly so long ago is among them: time goes in whole microseconds.
fn cut(now: Timestamp, kept: Duration) -> Timestamp {
    let ended = now.as_microsecond().saturating_sub(time::micros_of(kept));
    time::from_micros(ended.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use majordomo_core::{NewJob, Payload};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MICRO: Duration = Duration::from_micros(1);

    fn finished(task: &str, state: State, ended: Timestamp) -> Job {
        let mut job = NewJob::new(task, Payload::json(&()).unwrap()).into_job(ended);
        (job.state, job.ended_at) = (state, Some(ended));
        job
    }

    /// Whether the job goes, by the rule and by the filters, which must agree.
    fn goes(retention: &Retention, job: &Job, age: Duration) -> bool {
        let now = time::after(job.created_at, age);
        let is_past = retention.is_past(job, now);
        let rules = retention.rules(now);
        assert_eq!(
            rules.iter().any(|rule| rule.matches(job, now)),
            is_past,
            "{retention:?} {job:?} {age:?}"
        );
        is_past
    }

    #[test]
    fn g113_the_jobs_own_retention_goes_before_its_tasks_and_that_before_the_states() {
        let retention = Retention::every(5 * HOUR)
            .dead(9 * HOUR)
            .task("quick", Retention::every(HOUR).dead(2 * HOUR))
            .task("kept", Retention::forever().cancelled(3 * HOUR));
        let never = Duration::MAX;
        let table = [
            ("other", State::Completed, None, 5 * HOUR),
            ("other", State::Cancelled, None, 5 * HOUR),
            ("other", State::Expired, None, 5 * HOUR),
            ("other", State::Dead, None, 9 * HOUR),
            ("quick", State::Completed, None, HOUR),
            ("quick", State::Dead, None, 2 * HOUR),
            ("kept", State::Completed, None, never),
            ("kept", State::Dead, None, never),
            ("kept", State::Cancelled, None, 3 * HOUR),
            ("other", State::Dead, Some(MICRO), MICRO),
            ("quick", State::Completed, Some(77 * HOUR), 77 * HOUR),
            ("kept", State::Completed, Some(HOUR), HOUR),
            ("other", State::Completed, Some(Duration::MAX), never),
            (
                "other",
                State::Completed,
                Some(Duration::ZERO),
                Duration::ZERO,
            ),
        ];
        for (task, state, own, kept) in table {
            let mut job = finished(task, state, Timestamp::UNIX_EPOCH);
            job.retention = own;
            if kept == never {
                assert!(!goes(&retention, &job, 36_525 * DAY), "{job:?}");
                continue;
            }
            assert!(goes(&retention, &job, kept), "{job:?}");
            assert!(goes(&retention, &job, kept + DAY), "{job:?}");
            if kept > Duration::ZERO {
                assert!(!goes(&retention, &job, kept - MICRO), "{job:?}");
            }
        }
    }

    #[test]
    fn g113_unfinished_jobs_never_go_however_old_and_whatever_is_said() {
        for state in [State::Pending, State::Running] {
            for own in [None, Some(Duration::ZERO)] {
                let mut job = finished("t", state, Timestamp::UNIX_EPOCH);
                job.retention = own;
                for ended in [None, job.ended_at] {
                    job.ended_at = ended;
                    let retention = Retention::every(SHORTEST);
                    assert!(!goes(&retention, &job, 9999 * DAY), "{job:?}");
                }
            }
        }
    }

    #[test]
    fn forever_leaves_only_the_jobs_own_retention() {
        let rules = Retention::forever().rules(Timestamp::UNIX_EPOCH);
        let [own] = rules.as_slice() else {
            panic!("{rules:?}");
        };
        assert!(own.past_retention);
    }

    #[test]
    fn what_is_kept_alike_goes_in_one_sweep() {
        let retention = Retention::default()
            .task("a", Retention::every(HOUR))
            .task("b", Retention::every(HOUR))
            .task("c", Retention::every(HOUR).dead(Keep::Forever));
        // The jobs' own, a with b, c, all others but dead, and dead ones.
        assert_eq!(retention.rules(Timestamp::UNIX_EPOCH).len(), 5);
    }

    #[test]
    fn g59_every_bad_retention_is_named_with_its_range() {
        Retention::default().check().unwrap();
        Retention::forever().check().unwrap();
        Retention::every(SHORTEST).dead(LONGEST).check().unwrap();
        let table = [
            (
                Retention::default().completed(Duration::ZERO),
                "the retention of `completed` jobs is `0ns` (hint: it may be from `1s` to `36525` days, or `Keep::Forever`)",
            ),
            (
                Retention::default().dead(LONGEST + SHORTEST),
                "the retention of `dead` jobs is `3155760001s`",
            ),
            (
                Retention::default().cancelled(Duration::from_millis(999)),
                "the retention of `cancelled` jobs is `999ms`",
            ),
            (
                Retention::default().task("a", Retention::default().expired(Duration::ZERO)),
                "the retention of `expired` jobs of the task `a` is `0ns`",
            ),
            (
                Retention::default()
                    .task("a", Retention::forever().task("b", Retention::forever())),
                "the retention of the task `a` names the task `b`",
            ),
            (
                Retention::default().task("", Retention::forever()),
                "the task of a retention is empty",
            ),
        ];
        for (retention, expected) in table {
            let error = retention.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
