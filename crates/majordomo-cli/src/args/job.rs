//! `majordomo job ..`

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use majordomo::{
    Backoff, Cursor, Direction, Filter, JobId, Keep, Order, OrderBy, Retention, State, Tags,
    Timestamp,
};
use serde_json::Value;

use super::value::{duration, entry, instant, keep, state};

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Enqueues a job of a task, or many, and prints the ids
    Enqueue(Box<Enqueue>),
    /// Lists jobs, the newest first
    List(Box<List>),
    /// Shows everything about a job
    Show {
        /// The job
        id: JobId,
    },
    /// Says why a job does not run, and what would move it on
    Explain {
        /// The job
        id: JobId,
    },
    /// Cancels jobs: pending ones at once, running ones by asking them to stop
    Cancel(Box<Cancel>),
    /// Runs finished jobs again, with all their attempts
    Retry(Box<Retry>),
    /// Deletes finished jobs
    Delete(Box<Delete>),
    /// Deletes finished jobs that were kept long enough, as every worker does by itself
    Prune(Prune),
}

/// `majordomo job enqueue`
#[derive(Debug, Args)]
pub(crate) struct Enqueue {
    /// The task: a built-in one (`noop`, `sleep`, `fail`) or one that a worker has registered
    pub(crate) task: String,
    /// The arguments as JSON, `@FILE` to read them from a file, `-` for standard input
    #[arg(allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,
    /// Enqueue it even if the task is unknown or the payload does not fit its schema
    #[arg(long)]
    pub(crate) force: bool,
    /// The queue; the task's unless given
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Higher goes first; the task's unless given
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) priority: Option<i16>,
    /// Not before this long from now
    #[arg(long = "in", value_name = "DURATION", value_parser = duration, conflicts_with = "at")]
    pub(crate) after: Option<Duration>,
    /// Not before this instant, in RFC 3339
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) at: Option<Timestamp>,
    /// It must not start later than this long from now
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "expires_at")]
    pub(crate) expires_in: Option<Duration>,
    /// It must not start at this instant or later, in RFC 3339
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(crate) expires_at: Option<Timestamp>,
    /// How many attempts it gets; the task's unless given
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<u32>,
    /// The same wait before each retry; the task's unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) backoff: Option<Duration>,
    /// How long an attempt may run; the task's unless given
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Only one unfinished job of the task may have this key; if there is one, it is named and the exit code is 4
    #[arg(long, value_name = "KEY")]
    pub(crate) unique: Option<String>,
    /// A tag besides the task's; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// An entry of the metadata, as KEY=VALUE; may be repeated
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = entry)]
    pub(crate) metadata: Vec<(String, Value)>,
    /// Who asks for it
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// For whom it is
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Its id; enqueueing the same id again stores nothing
    #[arg(long, conflicts_with = "count")]
    pub(crate) id: Option<JobId>,
    /// How many such jobs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) count: u32,
    /// Wait until they have ended, with `--wait=30s` no longer than that; the exit code is 1
    /// unless all have completed by then, and what has not ended stays
    // Given without a duration, it waits without a limit.
    #[arg(long, value_name = "DURATION", value_parser = duration, num_args = 0..=1, require_equals = true)]
    pub(crate) wait: Option<Option<Duration>>,
}

impl Enqueue {
    /// The wait before each retry, if it was given.
    pub(crate) fn backoff(&self) -> Option<Backoff> {
        self.backoff.map(Backoff::fixed)
    }
}

/// Which jobs, by what they have in common.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// In this state; may be repeated
    #[arg(long = "state", value_name = "STATE", value_parser = state())]
    pub(crate) states: Vec<State>,
    /// Of this task; may be repeated
    #[arg(long = "task", value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// In this queue; may be repeated
    #[arg(long = "queue", value_name = "QUEUE")]
    pub(crate) queues: Vec<String>,
    /// With this tag; may be repeated, and then with all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// With this text in the latest error
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
}

impl Which {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [
            self.tasks.is_empty(),
            self.queues.is_empty(),
            self.tags.is_empty(),
        ];
        self.states.is_empty() && lists.iter().all(|&empty| empty) && self.error.is_none()
    }

    /// The filter it stands for.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            states: self.states.clone(),
            tasks: self.tasks.clone(),
            queues: self.queues.clone(),
            tags: self.tags.iter().collect::<Tags>(),
            error_contains: self.error.clone(),
            ..Filter::all()
        }
    }
}

/// `majordomo job list`
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// By what they are ordered; `ended` lists only those that have
    #[arg(long, value_enum, default_value_t = By::Id)]
    order: By,
    /// Newest or latest first, as it is unless `--asc` is given
    #[arg(long, conflicts_with = "asc")]
    desc: bool,
    /// Oldest or earliest first
    #[arg(long)]
    asc: bool,
    /// Go on behind a page: the cursor that the page before ended with, in the same order
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    pub(crate) after: Option<Cursor>,
}

/// What jobs are ordered by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The id, which is about the time the job was made
    Id,
    /// The time from which it may run
    Due,
    /// The time it was stored
    Created,
    /// The time it ended
    Ended,
}

impl List {
    /// The order it stands for.
    pub(crate) fn order(&self) -> Order {
        let by = match self.order {
            By::Id => OrderBy::Id,
            By::Due => OrderBy::Due,
            By::Created => OrderBy::Created,
            By::Ended => OrderBy::Ended,
        };
        let direction = if self.asc && !self.desc {
            Direction::Ascending
        } else {
            Direction::Descending
        };
        Order { by, direction }
    }
}

/// Jobs to be changed: named one by one, or by what they have in common.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// The jobs; or say which by the options
    #[arg(value_name = "ID", conflicts_with_all = ["states", "tasks", "queues", "tags", "error", "all"])]
    pub(crate) ids: Vec<JobId>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// All jobs for which it makes sense
    #[arg(long, conflicts_with_all = ["states", "tasks", "queues", "tags", "error"])]
    pub(crate) all: bool,
}

/// `majordomo job cancel`
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Yes, cancel all that match the options
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `majordomo job retry`
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Not before this long from now
    #[arg(long = "in", value_name = "DURATION", value_parser = duration)]
    pub(crate) after: Option<Duration>,
}

/// `majordomo job delete`
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Yes, delete all that match the options
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `majordomo job prune`
#[derive(Clone, Debug, Args)]
pub(crate) struct Prune {
    /// How long completed jobs are kept, or `forever`; 7d unless given
    #[arg(long, value_name = "DURATION", value_parser = keep)]
    completed: Option<Keep>,
    /// How long dead jobs are kept, or `forever`; 90d unless given
    #[arg(long, value_name = "DURATION", value_parser = keep)]
    dead: Option<Keep>,
    /// How long cancelled jobs are kept, or `forever`; 7d unless given
    #[arg(long, value_name = "DURATION", value_parser = keep)]
    cancelled: Option<Keep>,
    /// How long expired jobs are kept, or `forever`; 7d unless given
    #[arg(long, value_name = "DURATION", value_parser = keep)]
    expired: Option<Keep>,
    /// Delete nothing, only tell how many it would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Yes, delete them for good
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}

impl Prune {
    /// How long jobs are kept that do not say so themselves.
    pub(crate) fn retention(&self) -> Retention {
        fn with(
            retention: Retention,
            keep: Option<Keep>,
            set: fn(Retention, Keep) -> Retention,
        ) -> Retention {
            match keep {
                Some(keep) => set(retention, keep),
                None => retention,
            }
        }
        let mut retention = Retention::default();
        retention = with(retention, self.completed, Retention::completed);
        retention = with(retention, self.dead, Retention::dead);
        retention = with(retention, self.cancelled, Retention::cancelled);
        with(retention, self.expired, Retention::expired)
    }
}
