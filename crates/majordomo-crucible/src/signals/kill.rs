//! R13: the jobs of a killed worker run again after lease and sweep.
//!
//! The time depends on where in its heartbeat a worker was hit, so many are
//! killed, at random. Half of them are busy: beside their long jobs they claim
//! short ones all the time, so that some lease has always just begun. Only one
//! other worker is left to sweep and to take over, which is the slowest case.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use majordomo::core::time::between;
use majordomo::{JobId, Timestamp};
use nix::sys::signal::Signal;

use super::crew::{BRISK, Crew, DEFAULTS, Terms, until};
use super::figures::Figures;
use super::hand::Shift;

/// How many long jobs each worker has.
const LONG: usize = 20;
/// How many short ones a busy worker runs at once beside them, and how long each takes.
const SHORT: usize = 2;
const SHORT_MILLIS: u64 = 400;

pub(super) async fn run(folder: &Path, brisk: bool) -> Result<Vec<Figures>> {
    // Long enough that no long job ends by itself.
    let (terms, victims, limit) = match brisk {
        true => (BRISK, 4, Duration::from_secs(8)),
        false => (DEFAULTS, 20, Duration::from_secs(40)),
    };
    let mut crew = Crew::new(folder, "kill").await?;
    let (mut hired, mut queues) = (Vec::new(), Vec::new());
    let mut measured: Vec<JobId> = Vec::new();
    for index in 0..victims {
        let own = [format!("long-{index}"), format!("short-{index}")];
        measured.extend(crew.enqueue(&own[0], terms, long()).await?);
        let slots = Terms {
            concurrency: LONG + SHORT,
            ..terms
        };
        hired.push((
            index % 2 == 1,
            crew.hire(&format!("victim-{index}"), &own, slots)?,
        ));
        queues.push(own);
    }
    for (index, (is_busy, hand)) in hired.iter().enumerate() {
        crew.until_running(hand, LONG).await?;
        if *is_busy {
            // Only now, or they would share the slots with the long ones.
            let short = short(4 * terms.heartbeat);
            crew.enqueue(&queues[index][1], terms, short).await?;
        }
    }
    let (queues, short_queues): (Vec<_>, Vec<_>) = queues
        .into_iter()
        .map(|[long, short]| (long, short))
        .unzip();
    let slots = Terms {
        concurrency: victims * LONG,
        ..terms
    };
    let _rescuer = crew.hire("rescuer", &queues, slots)?;
    // Past the first heartbeat, from when on leases are of different ages.
    tokio::time::sleep(terms.heartbeat).await;
    let killed = kill_at_random(&mut hired, terms.heartbeat).await?;
    let done = async || {
        let all = crew.details(&measured).await?;
        Ok(all.iter().all(|details| details.job.state.is_finished()))
    };
    until("every long job has ended", 4 * terms.lease, done).await?;
    // The short ones are of no interest now but that none may be lost.
    let _cleaner = crew.hire("cleaner", &short_queues, slots)?;
    crew.until_done(4 * terms.lease).await?;
    let [mut calm, mut busy] = [Vec::new(), Vec::new()];
    for details in crew.details(&measured).await? {
        for pair in details.attempts.windows(2) {
            let of_victim = killed.iter().find(|killed| killed.name == pair[0].worker);
            if let Some(victim) = of_victim {
                let times = if victim.is_busy { &mut busy } else { &mut calm };
                times.push(between(victim.at, pair[1].started_at));
            }
        }
    }
    let mut calm = Figures::of("from a kill to the next attempt", calm, 0.99, limit);
    calm.judge(&crew).await?;
    let busy = Figures::of("the same, of a worker that is claiming", busy, 0.99, limit);
    Ok(vec![calm, busy])
}

struct Killed {
    name: String,
    is_busy: bool,
    at: Timestamp,
}

/// Kills all of them within `span`.
async fn kill_at_random(
    hired: &mut Vec<(bool, super::crew::Hand)>,
    span: Duration,
) -> Result<Vec<Killed>> {
    let mut moments: Vec<Duration> = hired
        .iter()
        .map(|_| span.mul_f64(fastrand::f64()))
        .collect();
    moments.sort_unstable();
    fastrand::shuffle(hired);
    let began = tokio::time::Instant::now();
    let mut killed = Vec::new();
    for ((is_busy, hand), moment) in hired.drain(..).zip(moments) {
        tokio::time::sleep_until(began + moment).await;
        killed.push(Killed {
            name: hand.name.clone(),
            is_busy,
            at: hand.send(Signal::SIGKILL)?,
        });
    }
    Ok(killed)
}

fn long() -> impl Iterator<Item = Shift> {
    // Ten minutes, or the attempt after the kill, which is over at once.
    (0..LONG).map(|_| Shift {
        first: 600_000,
        again: 0,
        reports: false,
    })
}

/// Enough short jobs to be busy for this long.
fn short(span: Duration) -> impl Iterator<Item = Shift> {
    let count = span.as_millis() as usize / SHORT_MILLIS as usize * SHORT;
    (0..count).map(|_| Shift {
        first: SHORT_MILLIS,
        again: 0,
        reports: false,
    })
}
