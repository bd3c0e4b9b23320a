//! What a random sequence is made of, and how it is drawn.

use majordomo_core::{DeadReason, State, Verdict, When};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use super::Model;

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Inserts a group.
    Insert {
        /// The jobs.
        jobs: Vec<JobStep>,
        /// As a repeat, or as a first try where that is allowed.
        again: bool,
    },
    /// Claims, and then ends what is past its expiry.
    Claim(ClaimStep),
    /// Renews a lease.
    Renew {
        /// Which of the leases ever given, counted from the latest.
        lease: usize,
        /// For how many seconds.
        extend: i64,
    },
    /// Ends attempts, and perhaps claims.
    Settle {
        /// The endings, in order.
        endings: Vec<EndingStep>,
        /// The claim.
        then: Option<ClaimStep>,
    },
    /// Changes jobs, in pages.
    Change {
        /// Which.
        target: Want,
        /// How.
        change: ChangeStep,
        /// How many a page.
        limit: usize,
    },
    /// Removes finished jobs.
    Remove {
        /// Which.
        target: Want,
        /// At most how many.
        limit: usize,
    },
    /// Sets a control.
    Control {
        /// About what.
        about: Target,
        /// Whether it is paused.
        paused: bool,
        /// How many may run.
        most: Option<u32>,
    },
    /// Moves the time on by so many seconds.
    Advance(i64),
}

impl Step {
    /// The same step with one thing less in it, in each way there is.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Insert { jobs, again } => {
                let fewer = without_each(jobs).into_iter();
                fewer
                    .map(|jobs| Self::Insert {
                        jobs,
                        again: *again,
                    })
                    .collect()
            }
            Self::Settle { endings, then } => {
                let fewer = without_each(endings).into_iter();
                let simpler = fewer.chain(nearer(endings)).map(|endings| Self::Settle {
                    endings,
                    then: then.clone(),
                });
                let parts = then.iter().flat_map(|claim| {
                    let alone = Self::Settle {
                        endings: endings.clone(),
                        then: None,
                    };
                    [alone, Self::Claim(claim.clone())]
                });
                simpler.chain(parts).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The endings with each that is of an older lease made to mean the next later one.
fn nearer(endings: &[EndingStep]) -> Vec<Vec<EndingStep>> {
    let older = (0..endings.len()).filter(|place| endings[*place].lease > 0);
    let nearer = |place: usize| {
        let mut nearer = endings.to_vec();
        nearer[place].lease -= 1;
        nearer
    };
    older.map(nearer).collect()
}

/// The list without each of its items in turn, as long as one is left.
fn without_each<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let places = if items.len() > 1 {
        0..items.len()
    } else {
        0..0
    };
    let without = |place: usize| [&items[..place], &items[place + 1..]].concat();
    places.map(without).collect()
}

/// A job to insert.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStep {
    /// Stands for the id.
    pub number: u8,
    /// The task.
    pub task: u8,
    /// The queue.
    pub queue: u8,
    /// The limit key.
    pub limit_key: Option<u8>,
    /// The priority.
    pub priority: i16,
    /// When it is due.
    pub due: Wait,
    /// In how many seconds it expires.
    pub expires: Option<i64>,
    /// How many seconds it asks to be kept.
    pub retention: Option<i64>,
    /// The keys it takes, no key twice.
    pub holds: Vec<HoldStep>,
}

/// A key that a job takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldStep {
    /// The key.
    pub key: u8,
    /// How long.
    pub length: Length,
    /// What happens on conflict, as an index of the three ways.
    pub conflict: usize,
}

/// How long a key is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Until the start.
    Started,
    /// Until the end.
    Finished,
    /// For so many seconds.
    For(i64),
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// At once.
    Now,
    /// In so many seconds.
    In(i64),
    /// So many seconds after the model began.
    At(i64),
}

/// A claim of one queue, since the order over several is the storage's own.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimStep {
    /// The queue.
    pub queue: u8,
    /// How many.
    pub count: usize,
    /// The known tasks.
    pub tasks: Vec<u8>,
    /// How many suspects.
    pub suspects: usize,
    /// For how many seconds.
    pub lease: i64,
}

/// An ending to write.
#[derive(Clone, Debug, PartialEq)]
pub struct EndingStep {
    /// Which of the leases ever given, counted from the latest.
    pub lease: usize,
    /// Whether a sweeper writes it.
    pub swept: bool,
    /// What it says. Due times are `Now` or `In` whole seconds.
    pub verdict: Verdict,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangeStep {
    /// Cancels.
    Cancel,
    /// Retries.
    Retry(Wait),
    /// Reschedules.
    Reschedule(Wait),
    /// Moves to a queue.
    Move(u8),
    /// Gives a priority.
    Priority(i16),
    /// Edits, if the revision is this one.
    Edit(Option<u64>),
    /// Expires.
    Expire,
}

/// Which jobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want {
    /// The one of this number.
    One(u8),
    /// Those in this state.
    In(State),
    /// Those in this queue.
    Queue(u8),
    /// Those whose own retention has passed.
    PastRetention,
    /// Those without one, but for this task, that ended so many seconds ago or earlier.
    Ended(i64, u8),
    /// All of them.
    All,
}

/// What a control is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A queue.
    Queue(u8),
    /// A task.
    Task(u8),
    /// A limit key.
    LimitKey(u8),
}

const NUMBERS: u8 = 12;
const TASKS: u8 = 3;
const QUEUES: u8 = 2;
const KEYS: u8 = 3;

/// Durations that meet each other, so that ends coincide.
fn seconds() -> impl Strategy<Value = i64> {
    select(vec![30, 60, 90, 120, 300])
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        4 => Just(Wait::Now),
        2 => seconds().prop_map(Wait::In),
        1 => seconds().prop_map(Wait::At),
    ]
}

fn when() -> impl Strategy<Value = When> {
    let later = seconds()
        .prop_map(|seconds| When::In(std::time::Duration::from_secs(seconds.unsigned_abs())));
    prop_oneof![2 => Just(When::Now), 1 => later]
}

fn length() -> impl Strategy<Value = Length> {
    prop_oneof![
        Just(Length::Finished),
        Just(Length::Started),
        seconds().prop_map(Length::For)
    ]
}

fn hold() -> impl Strategy<Value = HoldStep> {
    (0..KEYS, length(), 0..3_usize).prop_map(|(key, length, conflict)| HoldStep {
        key,
        length,
        conflict,
    })
}

fn job() -> impl Strategy<Value = JobStep> {
    let places = (
        0..NUMBERS,
        0..TASKS,
        0..QUEUES,
        option::weighted(0.3, 0..2_u8),
    );
    let times = (
        -1..=1_i16,
        wait(),
        option::weighted(0.3, seconds()),
        option::weighted(0.3, seconds()),
    );
    (places, times, vec(hold(), 0..3)).prop_map(
        |((number, task, queue, limit_key), times, mut holds)| {
            let (priority, due, expires, retention) = times;
            holds.sort_by_key(|hold| hold.key);
            holds.dedup_by_key(|hold| hold.key);
            JobStep {
                number,
                task,
                queue,
                limit_key,
                priority,
                due,
                expires,
                retention,
                holds,
            }
        },
    )
}

fn claim() -> impl Strategy<Value = ClaimStep> {
    let tasks = prop_oneof![
        4 => Just((0..TASKS).collect::<Vec<_>>()),
        1 => vec(0..TASKS, 0..2),
    ];
    (0..QUEUES, 0..5_usize, tasks, 0..3_usize, seconds()).prop_map(
        |(queue, count, tasks, suspects, lease)| ClaimStep {
            queue,
            count,
            tasks,
            suspects,
            lease,
        },
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Completed),
        3 => when().prop_map(|due| Verdict::Retry { due }),
        1 => when().prop_map(|due| Verdict::Snooze { due }),
        1 => Just(Verdict::Release),
        3 => when().prop_map(|due| Verdict::Lost { due }),
        1 => select(DeadReason::ALL.to_vec()).prop_map(|reason| Verdict::Dead { reason }),
        1 => Just(Verdict::Cancelled),
        1 => Just(Verdict::Expired),
    ]
}

/// Mostly one of the latest leases, which may be live.
fn lease() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..3_usize, 1 => 0..20_usize]
}

fn ending() -> impl Strategy<Value = EndingStep> {
    (lease(), any::<bool>(), verdict()).prop_map(|(lease, swept, verdict)| EndingStep {
        lease,
        swept,
        verdict,
    })
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        4 => (0..NUMBERS).prop_map(Want::One),
        1 => select(State::ALL.to_vec()).prop_map(Want::In),
        1 => (0..QUEUES).prop_map(Want::Queue),
        1 => Just(Want::PastRetention),
        1 => (seconds(), 0..TASKS).prop_map(|(age, except)| Want::Ended(age, except)),
        1 => Just(Want::All),
    ]
}

fn change() -> impl Strategy<Value = ChangeStep> {
    prop_oneof![
        2 => Just(ChangeStep::Cancel),
        4 => wait().prop_map(ChangeStep::Retry),
        1 => wait().prop_map(ChangeStep::Reschedule),
        1 => (0..QUEUES).prop_map(ChangeStep::Move),
        1 => (-1..=1_i16).prop_map(ChangeStep::Priority),
        1 => option::of(1..4_u64).prop_map(ChangeStep::Edit),
        1 => Just(ChangeStep::Expire),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (0..QUEUES).prop_map(Target::Queue),
        (0..TASKS).prop_map(Target::Task),
        (0..2_u8).prop_map(Target::LimitKey),
    ]
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Step> {
        // Before the first lease there is nothing to renew or to end.
        let attempts = if model.leases.is_empty() { 0 } else { 1 };
        prop_oneof![
            6 => (vec(job(), 1..4), any::<bool>()).prop_map(|(jobs, again)| Step::Insert { jobs, again }),
            6 => claim().prop_map(Step::Claim),
            2 * attempts => (lease(), seconds()).prop_map(|(lease, extend)| Step::Renew { lease, extend }),
            6 * attempts => (vec(ending(), 1..4), option::weighted(0.3, claim()))
                .prop_map(|(endings, then)| Step::Settle { endings, then }),
            3 => (want(), change(), 1..5_usize)
                .prop_map(|(target, change, limit)| Step::Change { target, change, limit }),
            // Which ones go first is the storage's choice, so it has none.
            2 => (want(), select(vec![0, 100])).prop_map(|(target, limit)| Step::Remove { target, limit }),
            1 => (target(), any::<bool>(), option::of(0..3_u32))
                .prop_map(|(about, paused, most)| Step::Control { about, paused, most }),
            4 => seconds().prop_map(Step::Advance),
        ]
        .boxed()
    }

    fn preconditions(model: &Self, step: &Step) -> bool {
        let attempts = matches!(step, Step::Renew { .. } | Step::Settle { .. });
        !(attempts && model.leases.is_empty())
    }

    fn apply(mut model: Self, step: &Step) -> Self {
        model.take(step);
        model
    }
}
