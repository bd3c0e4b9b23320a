//! R5: a worker that was frozen beyond its lease can change nothing when it goes
//! on, and its attempts hear within a heartbeat that their lease is lost.
//!
//! Half of its jobs come to their end while it is frozen, so it has stale
//! endings to write; the others go on and report their token as progress.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use majordomo::core::EndingKind;
use majordomo::core::time::between;
use majordomo::{Details, JobId};
use nix::sys::signal::Signal;

use super::crew::{BRISK, Crew, DEFAULTS, Terms, until};
use super::figures::Figures;
use super::hand::Shift;

const QUEUE: &str = "default";
/// How many jobs of each sort are frozen in a round.
const JOBS: usize = 10;
/// How long the second attempts take: they run while the stale worker goes on.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(folder: &Path, brisk: bool) -> Result<Vec<Figures>> {
    let (terms, rounds) = match brisk {
        true => (BRISK, 2),
        false => (DEFAULTS, 5),
    };
    let mut crew = Crew::new(folder, "stop").await?;
    let (mut told, mut stale, mut refused) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let frozen = freeze(&mut crew, terms, round).await?;
        told.extend(frozen.told);
        stale.extend(frozen.stale);
        refused += frozen.refused;
    }
    println!("signals: {refused} stale endings were tried and refused in {rounds} rounds");
    let what = "from SIGCONT to a cancelled attempt";
    let mut figures = Figures::of(what, told, 1.0, terms.heartbeat);
    figures.expect(refused > 0, || "no stale ending was tried".to_owned());
    figures.judge(&crew).await?;
    figures.stale(stale);
    Ok(vec![figures])
}

/// What became of one freeze.
struct Frozen {
    /// How long after it went on each attempt was told.
    told: Vec<Duration>,
    /// Stale writes that were accepted.
    stale: Vec<String>,
    /// Stale endings that were refused.
    refused: usize,
}

async fn freeze(crew: &mut Crew, terms: Terms, round: usize) -> Result<Frozen> {
    let queues = [QUEUE.to_owned()];
    let victim = crew.hire(&format!("victim-{round}"), &queues, terms)?;
    let endless = crew
        .enqueue(QUEUE, terms, shifts(Duration::from_secs(600)))
        .await?;
    // These end half a lease after they began, when their worker is frozen.
    let ending = crew.enqueue(QUEUE, terms, shifts(terms.lease / 2)).await?;
    crew.until_running(&victim, 2 * JOBS).await?;
    victim.send(Signal::SIGSTOP)?;
    let _rescuer = crew.hire(&format!("rescuer-{round}"), &queues, terms)?;
    let all: Vec<JobId> = endless.iter().chain(&ending).copied().collect();
    until("every job is taken over", terms.lease * 4, async || {
        let all = crew.details(&all).await?;
        Ok(all.iter().all(|details| details.job.token == 2))
    })
    .await?;
    let thawed = victim.send(Signal::SIGCONT)?;
    until("every stale attempt is told", terms.lease, async || {
        Ok(victim.told()?.len() >= endless.len())
    })
    .await?;
    crew.until_done(terms.lease).await?;
    // What the victim still has to write, it writes within a heartbeat.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = victim.told()?;
    let times = told.iter().map(|(_, _, at)| between(thawed, *at)).collect();
    let mut stale = Vec::new();
    for details in crew.details(&all).await? {
        stale.extend(stale_writes(&details)?);
    }
    Ok(Frozen {
        told: times,
        stale,
        refused: victim.refused(),
    })
}

fn shifts(first: Duration) -> impl Iterator<Item = Shift> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    (0..JOBS).map(move |_| Shift {
        first: millis(first),
        again: millis(AGAIN),
        reports: true,
    })
}

/// What the first attempt of this job wrote after the second had begun.
fn stale_writes(details: &Details) -> Result<Vec<String>> {
    let id = details.job.id;
    let [first, second] = &details.attempts[..] else {
        return Ok(vec![format!(
            "job {id} has {} attempts, not 2",
            details.attempts.len()
        )]);
    };
    let mut stale = Vec::new();
    if first.ending != Some(EndingKind::Lost) {
        stale.push(format!("job {id}: its lost attempt is {:?}", first.ending));
    }
    let output = details
        .output
        .as_ref()
        .context("a completed job has an output")?;
    if output.as_u64() != Some(second.token) {
        stale.push(format!("job {id}: its output is that of attempt {output}"));
    }
    let late = details
        .history
        .iter()
        .filter(|report| report.at >= second.started_at && report.note.as_deref() == Some("1"));
    stale.extend(late.map(|report| format!("job {id}: a stale report at {}", report.at)));
    Ok(stale)
}
