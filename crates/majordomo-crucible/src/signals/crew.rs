//! The processes of a trial, the storage they share, and what can be asked of both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use majordomo::core::limits;
use majordomo::url::StorageUrl;
use majordomo::{Client, Details, Filter, JobId, NewJob, Order, State, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hand::Shift;

/// The settings of a hand; those of a worker by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
    pub(super) heartbeat: Duration,
    pub(super) sweep: Duration,
    pub(super) drain: Duration,
    /// The first wait of the jobs' backoff.
    pub(super) backoff: Duration,
}

/// The defaults of workers and jobs.
pub(super) const DEFAULTS: Terms = Terms {
    concurrency: 64,
    lease: Duration::from_secs(30),
    heartbeat: Duration::from_secs(10),
    sweep: Duration::from_secs(5),
    drain: Duration::from_secs(30),
    backoff: Duration::from_secs(5),
};

/// All times a tenth of the defaults.
pub(super) const BRISK: Terms = Terms {
    concurrency: 64,
    lease: Duration::from_secs(3),
    heartbeat: Duration::from_secs(1),
    sweep: Duration::from_millis(500),
    drain: Duration::from_secs(3),
    backoff: Duration::from_millis(500),
};

/// One storage, and hands to work on it.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) jobs: Client,
    pub(super) enqueued: BTreeSet<JobId>,
    storage: String,
    folder: PathBuf,
}

impl Crew {
    /// Opens a new SQLite file in `folder`.
    pub(super) async fn new(folder: &Path, name: &str) -> Result<Self> {
        let storage = format!(
            "sqlite:{}",
            folder.join(name).with_extension("db").display()
        );
        let url: StorageUrl = storage.parse()?;
        Ok(Self {
            jobs: Client::shared(url.open().await?).patience(Duration::from_secs(60)),
            enqueued: BTreeSet::new(),
            storage,
            folder: folder.to_owned(),
        })
    }

    /// Starts a hand that takes from these queues.
    pub(super) fn hire(&self, name: &str, queues: &[String], terms: Terms) -> Result<Hand> {
        let diary = self.folder.join(name).with_extension("diary");
        let time = |time: Duration| humantime::format_duration(time).to_string();
        let settings = [
            ("--storage", self.storage.clone()),
            ("--name", name.to_owned()),
            ("--concurrency", terms.concurrency.to_string()),
            ("--lease", time(terms.lease)),
            ("--heartbeat", time(terms.heartbeat)),
            ("--sweep", time(terms.sweep)),
            ("--drain", time(terms.drain)),
        ];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("hand").arg("--diary").arg(&diary);
        for (setting, value) in settings {
            command.args([setting, &value]);
        }
        for queue in queues {
            command.args(["--queue", queue]);
        }
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start a worker")?;
        Ok(Hand {
            name: name.to_owned(),
            process,
            diary,
        })
    }

    /// Enqueues shifts.
    pub(super) async fn enqueue(
        &mut self,
        queue: &str,
        terms: Terms,
        shifts: impl IntoIterator<Item = Shift>,
    ) -> Result<Vec<JobId>> {
        let backoff = majordomo::Backoff {
            delays: majordomo::core::backoff::Delays::Exponential {
                first: terms.backoff,
                factor: 2.0,
            },
            ..majordomo::Backoff::default()
        };
        let build = |shift| {
            let job = self.jobs.enqueue(shift).queue(queue);
            job.backoff(backoff.clone()).build()
        };
        let new: Vec<NewJob> = shifts.into_iter().map(build).collect::<Result<_, _>>()?;
        let ids: Vec<JobId> = new.iter().map(|job| job.id).collect();
        self.jobs.insert(new).await?;
        self.enqueued.extend(&ids);
        Ok(ids)
    }

    /// Waits until this hand runs so many jobs.
    pub(super) async fn until_running(&self, hand: &Hand, count: usize) -> Result<()> {
        let filter = Filter {
            worker: Some(hand.name.clone()),
            ..Filter::all().state(State::Running)
        };
        let limit = Duration::from_secs(60);
        until(
            &format!("{} runs {count} jobs", hand.name),
            limit,
            async || {
                let page = self
                    .jobs
                    .find(&filter, Order::default(), None, limits::PAGE)
                    .await?;
                Ok(page.items.len() >= count)
            },
        )
        .await
    }

    /// Waits until every job has ended.
    pub(super) async fn until_done(&self, limit: Duration) -> Result<()> {
        let unfinished = Filter::all().state(State::Pending).state(State::Running);
        until("every job has ended", limit, async || {
            let page = self
                .jobs
                .find(&unfinished, Order::default(), None, 1)
                .await?;
            Ok(page.items.is_empty())
        })
        .await
    }

    /// These jobs with their histories. One that is lost is an error.
    pub(super) async fn details(&self, ids: &[JobId]) -> Result<Vec<Details>> {
        let mut all = Vec::with_capacity(ids.len());
        for page in ids.chunks(limits::PAGE) {
            for (id, details) in page.iter().zip(self.jobs.storage().get(page).await?) {
                all.push(details.with_context(|| format!("job {id} is lost"))?);
            }
        }
        Ok(all)
    }
}

/// Asks again and again, up to `limit`.
pub(super) async fn until(
    what: &str,
    limit: Duration,
    holds: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let began = Instant::now();
    while !holds().await? {
        ensure!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A worker process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) name: String,
    process: Child,
    diary: PathBuf,
}

impl Hand {
    /// Sends a signal, and says when.
    pub(super) fn send(&self, signal: Signal) -> Result<Timestamp> {
        let id = i32::try_from(self.process.id()).context("a process id out of range")?;
        let at = Timestamp::now();
        kill(Pid::from_raw(id), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))?;
        Ok(at)
    }

    /// Waits for the process to end by itself, and says how long that took.
    pub(super) async fn end(&mut self, limit: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "{} ended with {status}", self.name);
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < limit,
                "{} has not ended within {limit:?}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Which attempts, by job and token, were told that their lease is lost, and when.
    pub(super) fn told(&self) -> Result<Vec<(JobId, u64, Timestamp)>> {
        let text = std::fs::read_to_string(&self.diary).unwrap_or_default();
        let entry = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [at, id, token] = words[..] else {
                anyhow::bail!("`{line}` is no entry of a diary");
            };
            let at = Timestamp::from_microsecond(at.parse()?)?;
            Ok((id.parse()?, token.parse()?, at))
        };
        // A line that is still being written has no end yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(entry).collect()
    }

    /// How many endings it was told to be refused.
    pub(super) fn refused(&self) -> usize {
        let log = std::fs::read_to_string(self.diary.with_extension("log")).unwrap_or_default();
        let lines = log.lines().filter(|line| line.contains("refused endings"));
        let jobs = lines.filter_map(|line| {
            let (_, jobs) = line.split_once("jobs=")?;
            jobs.split_whitespace().next()?.parse::<usize>().ok()
        });
        jobs.sum()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // Best effort: one that has ended can't be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
