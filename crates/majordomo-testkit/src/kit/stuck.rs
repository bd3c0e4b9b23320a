//! The error of a test whose jobs did not do what it waited for: it shows what
//! the storage holds, so that nobody has to add prints to find out.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use majordomo_core::{Details, Error, ErrorKind, Filter, JobId, Order, State, Timestamp};
use majordomo_engine::{Client, Report};

/// The most jobs that are shown.
const SHOWN: usize = 10;
/// The most log lines that are shown of each, the latest.
const LINES: usize = 5;
/// How long a storage that may be out of reach is asked for what to show.
const LOOK: Duration = Duration::from_secs(1);

/// What a test waited for did not happen. `Display` and `Debug` show why, what
/// the worker did so far, and the jobs with their attempts, errors and logs.
pub struct Stuck(Box<Scene>);

struct Scene {
    why: String,
    report: Option<Report>,
    now: Option<Timestamp>,
    jobs: Vec<Details>,
    more: bool,
    /// Why the jobs could not be shown.
    unseen: Option<String>,
    source: Option<Error>,
}

impl Stuck {
    /// Looks at the storage, and at this job first.
    pub(super) async fn at(
        jobs: &Client,
        why: String,
        report: Option<Report>,
        first: Option<JobId>,
    ) -> Self {
        let mut scene = Scene {
            why,
            report,
            now: None,
            jobs: Vec::new(),
            more: false,
            unseen: None,
            source: None,
        };
        let looking = tokio::time::timeout(LOOK, look(jobs, first)).await;
        match looking {
            Ok(Ok((now, found, more))) => {
                scene.now = Some(now);
                (scene.jobs, scene.more) = (found, more);
            }
            Ok(Err(error)) => scene.unseen = Some(error.to_string()),
            Err(_) => scene.unseen = Some(format!("the storage gave no answer in {LOOK:?}")),
        }
        Self(Box::new(scene))
    }

    /// The storage failed.
    pub(super) async fn failed(jobs: &Client, error: Error, report: Option<Report>) -> Self {
        let mut stuck = Self::at(jobs, "the storage failed".to_owned(), report, None).await;
        stuck.0.source = Some(error);
        stuck
    }

    /// What the worker did until then.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// The jobs that it shows.
    #[must_use]
    pub fn jobs(&self) -> &[Details] {
        &self.0.jobs
    }

    /// The storage's error, if that is why.
    #[must_use]
    pub fn storage_error(&self) -> Option<&Error> {
        self.0.source.as_ref()
    }
}

/// The time, and the jobs that say most: the one in question, then unfinished
/// ones, then those that ended badly, then the others.
async fn look(
    client: &Client,
    first: Option<JobId>,
) -> majordomo_core::Result<(Timestamp, Vec<Details>, bool)> {
    let storage = client.storage();
    let now = storage.now().await?;
    let mut ids: Vec<JobId> = first.into_iter().collect();
    for state in [
        State::Running,
        State::Pending,
        State::Dead,
        State::Expired,
        State::Cancelled,
        State::Completed,
    ] {
        let filter = Filter::all().state(state);
        let page = storage
            .find(&filter, Order::default(), None, SHOWN + 1)
            .await?;
        let found = page.items.iter().map(|job| job.id);
        ids.extend(found.filter(|id| Some(*id) != first));
    }
    let more = ids.len() > SHOWN;
    ids.truncate(SHOWN);
    let found = storage.get(&ids).await?;
    Ok((now, found.into_iter().flatten().collect(), more))
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scene = &*self.0;
        f.write_str(&scene.why)?;
        if let Some(source) = &scene.source {
            write!(f, ": {source}")?;
        }
        if let Some(report) = &scene.report {
            write!(f, "\nthe worker so far: {report}")?;
        }
        if let Some(unseen) = &scene.unseen {
            return write!(f, "\nthe jobs can't be shown: {unseen}");
        }
        if let Some(now) = scene.now {
            write!(f, "\nit is {now} by the storage's clock; its jobs:")?;
        }
        if scene.jobs.is_empty() {
            f.write_str(" none")?;
        }
        scene.jobs.iter().try_for_each(|job| show(f, job))?;
        if scene.more {
            f.write_str("\n- and more")?;
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, details: &Details) -> fmt::Result {
    let job = &details.job;
    let (id, task, queue, state) = (job.id, &job.task, &job.queue, job.state);
    write!(f, "\n- job {id} of `{task}` in `{queue}`: {state}")?;
    if let Some(reason) = job.dead_reason {
        write!(f, " ({reason})")?;
    }
    write!(f, ", {} of {} attempts", job.charged, job.max_attempts)?;
    if state == State::Pending {
        write!(f, ", due {}", job.due)?;
    }
    if let Some(lease) = &job.lease {
        write!(f, ", leased by `{}` until {}", lease.worker, lease.expires)?;
    }
    for attempt in &details.attempts {
        match &attempt.ending {
            Some(ending) => write!(f, "\n    attempt {}: {ending}", attempt.token)?,
            None => write!(f, "\n    attempt {}: not over", attempt.token)?,
        }
        if let Some(error) = &attempt.error {
            write!(f, ": {error}")?;
        }
    }
    let from = details.log.len().saturating_sub(LINES);
    details.log[from..]
        .iter()
        .try_for_each(|line| write!(f, "\n    log: {}: {}", line.level, line.message))
}

impl fmt::Debug for Stuck {
    /// As a person reads it, since a test that unwraps prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Stuck {}

impl From<Stuck> for Error {
    fn from(stuck: Stuck) -> Self {
        let kind = stuck
            .storage_error()
            .map_or(ErrorKind::Conflict, Error::kind);
        Self::new(kind, stuck.to_string())
    }
}
