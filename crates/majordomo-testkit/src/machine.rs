//! The state machine: random sequences of verbs on a storage and on the
//! [`Model`], compared after every step.
//!
//! Each reply must be the model's, each job must be stored as the model has it,
//! and whatever the model says, a few rules must hold: tokens never go back,
//! only legal transitions happen, no key has two live holders, nothing starts
//! before its time or after its expiry. A failure is shrunk to the shortest
//! sequence that still fails, and told step by step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use majordomo_core::state::TRANSITIONS;
use majordomo_core::{
    Beat, Between, Change, Changed, Claim, Claimed, Control, Details, Edit, Ending, Filter, Hold,
    Inserted, Job, JobId, Lease, NewJob, Order, Page, Pause, Repeat, Result, Scope, State, Tags,
    Timestamp, Until, When, time,
};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use crate::conformance::{quietly, runtime};
use crate::model::{
    CONFLICTS, ChangeStep, ClaimReply, ClaimStep, EndingStep, JobStep, Length, Model, Reply, Step,
    Target, Wait, Want, id_of, key_of,
};
use crate::samples;
use crate::subject::Subject;

mod compare;

/// Sequences that are tried unless the environment says otherwise.
const CASES: u32 = 64;
/// Steps of the longest sequence.
const STEPS: usize = 60;

/// Where the random numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Other ones at each run.
    Fresh,
    /// The same ones at each run.
    Fixed(u8),
}

/// Compares the storages that `make` makes with the model, over 64 random
/// sequences of up to 60 steps, or as many as `PROPTEST_CASES` says. The
/// storages' time must move only when the subject is advanced.
///
/// # Errors
/// What did not agree, and the shortest sequence that leads there.
pub fn outcome(make: impl AsyncFn() -> Subject, seed: Seed) -> Result<(), String> {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = match seed {
        Seed::Fresh => TestRunner::new(config),
        Seed::Fixed(seed) => TestRunner::new_with_rng(
            config,
            TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]),
        ),
    };
    let runtime = runtime(|| {});
    let compare = |steps: &[Step], seen: Option<&AtomicUsize>| {
        let compared = quietly(|| {
            runtime.block_on(async { Run::new(make().await).await.go(steps, seen).await })
        });
        compared.and_then(|compared| compared)
    };
    let failed = runner.run(
        &Model::sequential_strategy(1..=STEPS),
        |(_, steps, seen)| compare(&steps, seen.as_deref()).map_err(TestCaseError::fail),
    );
    match failed {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, (_, steps, _))) => {
            let (steps, reason) = shorten(steps, reason.to_string(), |steps| {
                compare(steps, None).err()
            });
            Err(told(&reason, &steps))
        }
        Err(TestError::Abort(reason)) => Err(format!("no sequence could be drawn: {reason}")),
    }
}

/// Takes out of a failing sequence what it fails without. The library tries
/// each step once; one that could not go at first often can when others have.
fn shorten(
    mut steps: Vec<Step>,
    mut reason: String,
    fails: impl Fn(&[Step]) -> Option<String>,
) -> (Vec<Step>, String) {
    let mut shorter = simpler(&steps);
    while let Some(candidate) = shorter.next() {
        if is_possible(&candidate)
            && let Some(why) = fails(&candidate)
        {
            (steps, reason) = (candidate, why);
            shorter = simpler(&steps);
        }
    }
    (steps, reason)
}

/// The sequences with one thing less in them.
fn simpler(steps: &[Step]) -> std::vec::IntoIter<Vec<Step>> {
    let mut shorter = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let mut without = steps.to_vec();
        without.remove(place);
        shorter.push(without);
        for simpler in step.simpler() {
            let mut with = steps.to_vec();
            with[place] = simpler;
            shorter.push(with);
        }
    }
    shorter.into_iter()
}

/// Whether each step finds what it needs.
fn is_possible(steps: &[Step]) -> bool {
    let mut model = Model::default();
    steps.iter().all(|step| {
        let possible = Model::preconditions(&model, step);
        if possible {
            model.take(step);
        }
        possible
    })
}

/// As [`outcome`], with fresh random numbers.
///
/// # Panics
/// If the storage and the model do not agree.
pub fn run(make: impl AsyncFn() -> Subject) {
    if let Err(failure) = outcome(make, Seed::Fresh) {
        panic!("{failure}");
    }
}

fn told(reason: &str, steps: &[Step]) -> String {
    let mut text = format!(
        "the storage and the model do not agree: {reason}\n\nthe shortest sequence found:\n"
    );
    for (index, step) in steps.iter().enumerate() {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{:>4}. {step:?}", index + 1);
    }
    text
}

/// A storage and a model on their way through one sequence.
struct Run {
    subject: Subject,
    model: Model,
    began: Timestamp,
    /// The state and token that each job was last seen with.
    seen: BTreeMap<JobId, (State, u64)>,
}

/// What did not agree.
type Compared<T = ()> = Result<T, String>;

impl Run {
    async fn new(subject: Subject) -> Self {
        let began = subject.now().await;
        Self {
            subject,
            model: Model::default(),
            began,
            seen: BTreeMap::new(),
        }
    }

    /// Goes through a sequence, counting the steps it comes to.
    async fn go(mut self, steps: &[Step], seen: Option<&AtomicUsize>) -> Compared {
        for (index, step) in steps.iter().enumerate() {
            if let Some(seen) = seen {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            self.take(step)
                .await
                .map_err(|reason| format!("step {}: {reason}", index + 1))?;
        }
        self.compare_series().await
    }

    /// Takes a step on both sides and compares everything.
    async fn take(&mut self, step: &Step) -> Compared {
        // Leases are counted from the latest, so they are looked up before the step gives more.
        let before = self.model.clone();
        let expected = self.model.take(step);
        let actual = self
            .ask(&before, step)
            .await
            .map_err(|error| format!("the storage answered {error:?}"))?;
        compare::replies(&expected, &actual)?;
        self.compare_jobs().await
    }

    /// Takes a step on the storage.
    async fn ask(&mut self, before: &Model, step: &Step) -> Result<Reply> {
        let storage = &self.subject.storage;
        Ok(match step {
            Step::Insert { jobs, again } => {
                let repeat = if *again || before.knows_finished(jobs) {
                    Repeat::Again
                } else {
                    Repeat::First
                };
                let group = jobs.iter().map(|job| self.new_job(job)).collect();
                let inserted: Vec<Vec<Inserted>> = storage
                    .insert(vec![group], repeat)
                    .await?
                    .into_iter()
                    .collect::<Result<_>>()?;
                Reply::Inserted(inserted.concat())
            }
            Step::Claim(claim) => {
                let claimed = storage.claim(claim_of(claim)).await?;
                Reply::Claimed(self.claimed(claimed).await?)
            }
            Step::Renew { lease, extend } => {
                let beat = Beat::new(self.lease(before, *lease), seconds(*extend));
                Reply::Renewed(storage.renew(vec![beat]).await?[0])
            }
            Step::Settle { endings, then } => {
                let endings = endings
                    .iter()
                    .map(|ending| self.ending(before, ending))
                    .collect();
                let (settled, claimed) =
                    storage.settle(endings, then.as_ref().map(claim_of)).await?;
                let claimed = match claimed {
                    Some(claimed) => Some(self.claimed(claimed).await?),
                    None => None,
                };
                Reply::Settled(settled, claimed)
            }
            Step::Change {
                target,
                change,
                limit,
            } => Reply::Changed(
                self.change(
                    &self.filter(before, *target),
                    &self.change_of(*change),
                    *limit,
                )
                .await?,
            ),
            Step::Remove { target, limit } => {
                let filter = self.filter(before, *target);
                Reply::Removed(storage.remove(&filter, *limit).await?)
            }
            Step::Control {
                about,
                paused,
                most,
            } => {
                let paused = paused.then(Pause::default);
                storage
                    .set_control(
                        scope(*about),
                        Control {
                            paused,
                            max_running: *most,
                        },
                    )
                    .await?;
                Reply::Done
            }
            Step::Advance(by) => {
                self.subject.advance(seconds(*by)).await;
                Reply::Done
            }
        })
    }

    /// The answer to a claim. Which of the jobs past their expiry it found is
    /// the storage's own affair, so all others are ended here, too.
    async fn claimed(&self, claimed: Claimed) -> Result<ClaimReply> {
        compare::starts(&claimed);
        let past = Filter {
            past_expiry: true,
            ..Filter::all()
        };
        self.change(&past, &Change::Expire, 100).await?;
        Ok(ClaimReply {
            jobs: claimed
                .jobs
                .iter()
                .map(|(_, lease)| (lease.job, lease.token))
                .collect(),
            next_due: vec![claimed.next_due.map(|due| self.offset(due))],
        })
    }

    async fn change(
        &self,
        filter: &Filter,
        change: &Change,
        limit: usize,
    ) -> Result<Vec<(JobId, Changed)>> {
        let (mut answers, mut after) = (Vec::new(), None);
        loop {
            let Page { items, next } = self
                .subject
                .storage
                .change(filter, change, after, limit)
                .await?;
            answers.extend(items);
            assert!(answers.len() < 1000, "the pages of a change have no end");
            after = next;
            if after.is_none() {
                return Ok(answers);
            }
        }
    }

    fn offset(&self, instant: Timestamp) -> i64 {
        instant.as_microsecond() - self.began.as_microsecond()
    }

    fn when(&self, wait: Wait) -> When {
        match wait {
            Wait::Now => When::Now,
            Wait::In(by) => When::In(seconds(by)),
            Wait::At(by) => When::At(time::after(self.began, seconds(by))),
        }
    }

    fn filter(&self, model: &Model, target: Want) -> Filter {
        match target {
            Want::One(number) => Filter::id(id_of(number)),
            Want::In(state) => Filter::all().state(state),
            Want::Queue(queue) => Filter::all().queue(queue_of(queue)),
            Want::PastRetention => Filter {
                past_retention: true,
                ..Filter::all()
            },
            Want::Ended(age, except) => {
                let behind = self.began.as_microsecond() + model.now - age * 1_000_000 + 1;
                Filter {
                    without_retention: true,
                    except_tasks: vec![task_of(except)],
                    ended: Between {
                        from: None,
                        to: Some(time::from_micros(behind)),
                    },
                    ..Filter::all()
                }
            }
            Want::All => Filter::all(),
        }
    }

    fn lease(&self, model: &Model, lease: usize) -> Lease {
        let (number, token) = model.lease(lease);
        Lease {
            job: id_of(number),
            token,
            worker: "worker".to_owned(),
            expires: self.began,
        }
    }

    fn ending(&self, model: &Model, ending: &EndingStep) -> Ending {
        let lease = self.lease(model, ending.lease);
        if ending.swept {
            samples::sweep(&lease, ending.verdict.clone())
        } else {
            samples::ending(&lease, ending.verdict.clone())
        }
    }

    fn new_job(&self, job: &JobStep) -> NewJob {
        let hold = |hold: &crate::model::HoldStep| {
            let until = match hold.length {
                Length::Started => Until::Started,
                Length::Finished => Until::Finished,
                Length::For(by) => Until::For(seconds(by)),
            };
            Hold::new(key_of(hold.key))
                .until(until)
                .on_conflict(CONFLICTS[hold.conflict])
        };
        NewJob {
            id: id_of(job.number),
            queue: queue_of(job.queue),
            priority: job.priority,
            due: self.when(job.due),
            expires: job.expires.map(|by| When::In(seconds(by))),
            retention: job.retention.map(seconds),
            limit_key: job.limit_key.map(limit_key_of),
            holds: job.holds.iter().map(hold).collect(),
            ..samples::job_of(&task_of(job.task))
        }
    }

    fn change_of(&self, change: ChangeStep) -> Change {
        match change {
            ChangeStep::Cancel => Change::Cancel,
            ChangeStep::Retry(due) => Change::Retry {
                due: self.when(due),
            },
            ChangeStep::Reschedule(due) => Change::Reschedule {
                due: self.when(due),
            },
            ChangeStep::Move(queue) => Change::Move {
                queue: queue_of(queue),
            },
            ChangeStep::Priority(priority) => Change::Priority(priority),
            ChangeStep::Edit(if_revision) => Change::Edit(Edit {
                payload: None,
                tags: Some(Tags::none().with("edited")),
                if_revision,
            }),
            ChangeStep::Expire => Change::Expire,
        }
    }
}

fn seconds(seconds: i64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds.unsigned_abs())
}

fn task_of(task: u8) -> String {
    format!("task-{task}")
}

fn queue_of(queue: u8) -> String {
    format!("queue-{queue}")
}

fn limit_key_of(key: u8) -> String {
    format!("limit-{key}")
}

fn scope(about: Target) -> Scope {
    match about {
        Target::Queue(queue) => Scope::Queue(queue_of(queue)),
        Target::Task(task) => Scope::Task(task_of(task)),
        Target::LimitKey(key) => Scope::LimitKey(limit_key_of(key)),
    }
}

fn claim_of(claim: &ClaimStep) -> Claim {
    Claim {
        worker: "worker".to_owned(),
        queues: vec![(queue_of(claim.queue), claim.count)],
        tasks: claim.tasks.iter().map(|task| task_of(*task)).collect(),
        lease: seconds(claim.lease),
        suspects: claim.suspects,
    }
}

/// Compares a storage with the model in a `#[test]` of this name.
///
/// The second argument is an `async fn() -> Subject` that makes an empty
/// storage whose time moves only when the subject is advanced. 64 random
/// sequences of up to 60 steps are tried, or as many as the environment's
/// `PROPTEST_CASES` says.
#[macro_export]
macro_rules! state_machine {
    ($name:ident, $make:expr) => {
        #[test]
        fn $name() {
            $crate::machine::run($make);
        }
    };
}
