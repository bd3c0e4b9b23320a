//! The rig: starts workers, enqueues jobs, and does harm until all have ended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use majordomo::url::StorageUrl;
use majordomo::{Client, Filter, JobId, Order, State};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::RunArgs;
use crate::check::check;
use crate::work::{LEASE, Labour, Poison, SWEEP};

/// One harm in this many is a stop beyond the lease instead of a kill.
const STOPS: usize = 5;

/// Runs the rig and fails if anything is wrong.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let storage = match &args.storage {
        Some(url) => url.clone(),
        None => format!("sqlite:{}", folder.path().join("crucible.db").display()),
    };
    let url: StorageUrl = storage.parse()?;
    ensure!(
        url != StorageUrl::Memory,
        "the memory storage can't be shared by processes: name another one"
    );
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!(
        "crucible: {} jobs, {} workers on {url}, harm every {:?}, seed {seed}",
        args.jobs, args.workers, args.every
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let jobs = Client::shared(url.open().await?).patience(Duration::from_secs(60));
        let mut fleet = Fleet::new(&storage, folder.path(), args.workers, seed)?;
        let enqueued = enqueue(&jobs, args.jobs, &mut fleet.random).await?;
        let began = Instant::now();
        let harmed = until_done(&jobs, &mut fleet, args, began).await;
        let stale = fleet.end()?;
        let harm = harmed?;
        let verdict = check(&jobs, &enqueued).await?;
        println!(
            "crucible: {} kills, {} stops beyond the lease in {:.1?}",
            harm.kills,
            harm.stops,
            began.elapsed()
        );
        println!("crucible: {verdict}");
        println!("crucible: {stale} times a worker was told that its lease is lost");
        for wrong in verdict.wrong.iter().take(20) {
            eprintln!("wrong: {wrong}");
        }
        ensure!(
            verdict.wrong.is_empty(),
            "{} things are wrong (seed {seed})",
            verdict.wrong.len()
        );
        ensure!(
            harm.kills > 0 && verdict.lost_attempts > 0,
            "no harm was done, so nothing is shown: use more jobs"
        );
        ensure!(
            verdict.poisoned > 0,
            "the poisonous job was never found out"
        );
        println!("crucible: 0 lost, 0 stale writes accepted, every job in one final state");
        Ok(())
    })
}

struct Harm {
    kills: usize,
    stops: usize,
}

/// Enqueues the jobs, one of which is poison.
async fn enqueue(
    jobs: &Client,
    count: usize,
    random: &mut fastrand::Rng,
) -> anyhow::Result<BTreeSet<JobId>> {
    let mut enqueued = BTreeSet::new();
    while enqueued.len() + 1 < count {
        let size = 500.min(count - 1 - enqueued.len());
        let batch: Vec<Labour> = (0..size)
            .map(|_| Labour {
                millis: random.u64(0..120),
            })
            .collect();
        enqueued.extend(
            jobs.enqueue_many(batch)
                .await?
                .iter()
                .map(majordomo::Handle::id),
        );
    }
    enqueued.insert(jobs.enqueue(Poison).priority(1).await?.id());
    Ok(enqueued)
}

async fn until_done(
    jobs: &Client,
    fleet: &mut Fleet,
    args: &RunArgs,
    began: Instant,
) -> anyhow::Result<Harm> {
    let mut harm = Harm { kills: 0, stops: 0 };
    let unfinished = Filter::all().state(State::Pending).state(State::Running);
    loop {
        tokio::time::sleep(args.every).await;
        fleet.wake_stopped()?;
        fleet.replace_dead()?;
        if jobs
            .find(&unfinished, Order::default(), None, 1)
            .await?
            .items
            .is_empty()
        {
            return Ok(harm);
        }
        if began.elapsed() > args.within {
            bail!("jobs are still unfinished after {:?}", args.within);
        }
        if fleet.random.usize(..STOPS) == 0 {
            harm.stops += usize::from(fleet.stop_one()?);
        } else {
            harm.kills += usize::from(fleet.kill_one()?);
        }
    }
}

/// The worker processes.
struct Fleet {
    storage: String,
    log: PathBuf,
    workers: Vec<Member>,
    started: usize,
    random: fastrand::Rng,
}

struct Member {
    process: Child,
    stopped: Option<Instant>,
}

impl Fleet {
    fn new(storage: &str, folder: &Path, count: usize, seed: u64) -> anyhow::Result<Self> {
        let random = fastrand::Rng::with_seed(seed);
        let log = folder.join("workers.log");
        let mut fleet = Self {
            storage: storage.to_owned(),
            log,
            workers: Vec::new(),
            started: 0,
            random,
        };
        for _ in 0..count {
            let member = fleet.start()?;
            fleet.workers.push(member);
        }
        Ok(fleet)
    }

    fn start(&mut self) -> anyhow::Result<Member> {
        self.started += 1;
        let process = Command::new(std::env::current_exe()?)
            .args([
                "worker",
                "--storage",
                &self.storage,
                "--name",
                &format!("worker-{}", self.started),
                "--log",
            ])
            .arg(&self.log)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a worker")?;
        Ok(Member {
            process,
            stopped: None,
        })
    }

    /// Kills one that is not stopped; another takes its place at the next turn.
    fn kill_one(&mut self) -> anyhow::Result<bool> {
        let index = self.random.usize(..self.workers.len());
        let member = &mut self.workers[index];
        if member.stopped.is_some() {
            return Ok(false);
        }
        member.process.kill()?;
        Ok(true)
    }

    /// Stops one beyond its lease, unless another is stopped already.
    fn stop_one(&mut self) -> anyhow::Result<bool> {
        if self.workers.iter().any(|member| member.stopped.is_some()) {
            return Ok(false);
        }
        let index = self.random.usize(..self.workers.len());
        let member = &mut self.workers[index];
        if member.process.try_wait()?.is_some() {
            return Ok(false);
        }
        signal(&member.process, Signal::SIGSTOP)?;
        member.stopped = Some(Instant::now());
        Ok(true)
    }

    /// Lets those go on whose jobs were taken over meanwhile.
    fn wake_stopped(&mut self) -> anyhow::Result<()> {
        for member in &mut self.workers {
            if member
                .stopped
                .is_some_and(|since| since.elapsed() > LEASE + 2 * SWEEP + Duration::from_secs(1))
            {
                signal(&member.process, Signal::SIGCONT)?;
                member.stopped = None;
            }
        }
        Ok(())
    }

    fn replace_dead(&mut self) -> anyhow::Result<()> {
        for index in 0..self.workers.len() {
            if self.workers[index].process.try_wait()?.is_some() {
                self.workers[index] = self.start()?;
            }
        }
        Ok(())
    }

    /// Asks all to stop, and says how often they were told that a lease was lost.
    fn end(&mut self) -> anyhow::Result<usize> {
        for member in &mut self.workers {
            // One that is gone by itself needs no signal.
            let _ = signal(&member.process, Signal::SIGCONT);
            let _ = signal(&member.process, Signal::SIGTERM);
        }
        for member in &mut self.workers {
            member.process.wait()?;
        }
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let told = ["refused endings", "the lease is lost"];
        Ok(log
            .lines()
            .filter(|line| told.iter().any(|words| line.contains(words)))
            .count())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &mut self.workers {
            // Best effort: whoever ended by itself can't be killed.
            let _ = member.process.kill();
            let _ = member.process.wait();
        }
    }
}

fn signal(process: &Child, signal: Signal) -> anyhow::Result<()> {
    let id = i32::try_from(process.id()).context("a process id out of range")?;
    kill(Pid::from_raw(id), signal).with_context(|| format!("cannot send {signal} to a worker"))
}
