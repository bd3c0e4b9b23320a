//! `majordomo queue ..` and `majordomo task ..`

use std::time::Duration;

use clap::{Args, Subcommand};
use majordomo::{Timestamp, When};

use super::value::{duration, instant};

/// What to do with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Lists queues: what is allowed, what runs, what waits, and who takes from them
    List,
    #[command(flatten)]
    Change(Change),
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Lists tasks: who provides them, when that was last seen, and what waits for them
    List,
    #[command(flatten)]
    Change(Change),
}

/// What to do with one of them.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Starts nothing more until it is resumed; what runs may end
    Pause(Pause),
    /// Ends a pause
    Resume {
        /// Its name
        name: String,
    },
    /// Sets how many jobs run at once at most, over all workers
    Limit {
        /// Its name
        name: String,
        /// How many; with 0 nothing more starts
        jobs: u32,
    },
    /// Ends the limit
    Unlimit {
        /// Its name
        name: String,
    },
}

/// `pause`
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// Its name
    pub(crate) name: String,
    /// Why, and by whom
    #[arg(long, default_value = "")]
    pub(crate) note: String,
    /// Resume it by itself at this instant, in RFC 3339
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    until: Option<Timestamp>,
    /// Resume it by itself after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "until")]
    lasting: Option<Duration>,
}

impl Pause {
    /// When it ends by itself, if it does.
    pub(crate) fn until(&self) -> Option<When> {
        self.until
            .map(When::At)
            .or_else(|| self.lasting.map(When::In))
    }
}

impl Change {
    /// What is changed.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Pause(pause) => &pause.name,
            Self::Resume { name } | Self::Limit { name, .. } | Self::Unlimit { name } => name,
        }
    }
}
