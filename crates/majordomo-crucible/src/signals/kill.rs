//! R13: the jobs of a killed worker run again after lease and sweep.
//!
//! The time depends on where in its heartbeat a worker was hit, so many are
//! killed, at random. Half of them are busy: beside their long jobs they claim
//! short ones all the time, so that some lease has always just begun. Only one
//! other worker is left to sweep and to take over, which is the slowest case.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use majordomo::core::EndingKind;
use majordomo::core::time::between;
use majordomo::{JobId, Timestamp};
use nix::sys::signal::Signal;

use super::crew::{BRISK, Crew, DEFAULTS, Hand, Terms, until};
use super::figures::Figures;
use super::hand::Shift;

/// How many long jobs each victim has. Only these are measured.
const LONG: usize = 20;
/// A long job does not end by itself; its second attempt is over at once.
const LONG_MILLIS: u64 = 600_000;
/// How many short ones a busy victim runs at once beside them.
const SHORT: usize = 2;
const SHORT_MILLIS: u64 = 400;

pub(super) async fn run(folder: &Path, brisk: bool) -> Result<Vec<Figures>> {
    let (terms, count, limit) = match brisk {
        true => (BRISK, 4, Duration::from_secs(8)),
        false => (DEFAULTS, 20, Duration::from_secs(40)),
    };
    let mut crew = Crew::new(folder, "kill").await?;
    let mut victims = Vec::new();
    for index in 0..count {
        victims.push(Victim::hire(&mut crew, index, terms).await?);
    }
    for victim in &mut victims {
        victim.settle_in(&mut crew, terms).await?;
    }
    let slots = Terms {
        concurrency: count * LONG,
        ..terms
    };
    let queues: Vec<String> = (0..count).map(long_queue).collect();
    let _rescuer = crew.hire("rescuer", &queues, slots)?;
    // Past the first heartbeat, from when on leases are of different ages.
    tokio::time::sleep(terms.heartbeat).await;
    let killed = kill_at_random(&victims, terms.heartbeat).await?;
    let long: Vec<JobId> = victims
        .iter()
        .flat_map(|victim| victim.long.clone())
        .collect();
    until("every long job has ended", 4 * terms.lease, async || {
        let all = crew.details(&long).await?;
        Ok(all.iter().all(|details| details.job.state.is_finished()))
    })
    .await?;
    // The short ones are of no interest now, but that none is lost.
    let queues: Vec<String> = (0..count).map(short_queue).collect();
    let _cleaner = crew.hire("cleaner", &queues, slots)?;
    crew.until_done(4 * terms.lease).await?;
    let [mut calm, mut busy] = [Vec::new(), Vec::new()];
    for (victim, at) in victims.iter().zip(killed) {
        let times = if victim.is_busy { &mut busy } else { &mut calm };
        times.extend(victim.times(&crew, at).await?);
    }
    let mut calm = Figures::of("from a kill to the next attempt", calm, 0.99, limit);
    calm.judge(&crew).await?;
    let mut busy = Figures::of("the same, of a worker that is claiming", busy, 0.99, limit);
    for victim in victims.iter().filter(|victim| victim.is_busy) {
        let lost = victim.lost(&crew).await?;
        busy.expect(lost > 0, || format!("{} was idle", victim.hand.name));
    }
    Ok(vec![calm, busy])
}

/// A worker that is going to be killed.
struct Victim {
    hand: Hand,
    index: usize,
    is_busy: bool,
    long: Vec<JobId>,
    short: Vec<JobId>,
}

impl Victim {
    async fn hire(crew: &mut Crew, index: usize, terms: Terms) -> Result<Self> {
        let (long, short) = (long_queue(index), short_queue(index));
        let jobs = (0..LONG).map(|_| shift(LONG_MILLIS));
        let jobs = crew.enqueue(&long, terms, jobs).await?;
        let slots = Terms {
            concurrency: LONG + SHORT,
            ..terms
        };
        Ok(Self {
            hand: crew.hire(&format!("victim-{index}"), &[long, short], slots)?,
            index,
            is_busy: index % 2 == 1,
            long: jobs,
            short: Vec::new(),
        })
    }

    /// Waits until it runs its long jobs, and gives it the short ones: if both
    /// came together, they would share the slots.
    async fn settle_in(&mut self, crew: &mut Crew, terms: Terms) -> Result<()> {
        crew.until_running(&self.hand, LONG).await?;
        if self.is_busy {
            let span = 4 * terms.heartbeat.as_millis() as u64;
            let jobs = (0..span / SHORT_MILLIS * SHORT as u64).map(|_| shift(SHORT_MILLIS));
            self.short = crew.enqueue(&short_queue(self.index), terms, jobs).await?;
        }
        Ok(())
    }

    /// How long after the kill each of its long jobs began again.
    async fn times(&self, crew: &Crew, killed: Timestamp) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for details in crew.details(&self.long).await? {
            let again = details.attempts.get(1);
            times.extend(again.map(|again| between(killed, again.started_at)));
        }
        Ok(times)
    }

    /// How many short jobs it had in hand when it was killed.
    async fn lost(&self, crew: &Crew) -> Result<usize> {
        let all = crew.details(&self.short).await?;
        let attempts = all.iter().flat_map(|details| &details.attempts);
        Ok(attempts
            .filter(|attempt| attempt.ending == Some(EndingKind::Lost))
            .count())
    }
}

/// Kills them one by one within `span`, and says when each was.
async fn kill_at_random(victims: &[Victim], span: Duration) -> Result<Vec<Timestamp>> {
    let began = tokio::time::Instant::now();
    let moment = |_| began + span.mul_f64(fastrand::f64());
    let mut turns: Vec<_> = (0..victims.len())
        .map(|index| (moment(index), index))
        .collect();
    turns.sort_unstable();
    let mut killed = vec![Timestamp::UNIX_EPOCH; victims.len()];
    for (moment, index) in turns {
        tokio::time::sleep_until(moment).await;
        killed[index] = victims[index].hand.send(Signal::SIGKILL)?;
    }
    Ok(killed)
}

fn shift(first: u64) -> Shift {
    Shift {
        first,
        again: 0,
        reports: false,
    }
}

fn long_queue(index: usize) -> String {
    format!("long-{index}")
}

fn short_queue(index: usize) -> String {
    format!("short-{index}")
}
