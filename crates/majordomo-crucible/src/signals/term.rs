//! R12: a worker that is told to stop claims nothing more, lets its jobs run on
//! for the drain time, gives back the rest without charge, and is gone within
//! two seconds more. A second signal ends it at once.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use majordomo::core::EndingKind;
use majordomo::{Details, JobId, State};
use nix::sys::signal::Signal;

use super::crew::{BRISK, Crew, DEFAULTS, Hand, Terms};
use super::figures::Figures;
use super::hand::Shift;

const QUEUE: &str = "default";
/// What a shutdown may take beyond the drain, and after a second signal.
const BEYOND: Duration = Duration::from_secs(2);
/// Jobs that come in after the signal.
const LATER: usize = 20;

pub(super) async fn run(folder: &Path, brisk: bool) -> Result<Vec<Figures>> {
    let (terms, count, longest) = match brisk {
        true => (BRISK, 200, 6_000),
        false => (DEFAULTS, 500, 60_000),
    };
    let drain = if brisk { 1 } else { 10 };
    let terms = Terms {
        concurrency: 500,
        drain: Duration::from_secs(drain),
        ..terms
    };
    let drained = once(folder, terms, count, longest).await?;
    let hurried = twice(folder, terms, count).await?;
    Ok(vec![drained, hurried])
}

/// One signal, to a worker with jobs of 0 to `longest` milliseconds.
async fn once(folder: &Path, terms: Terms, count: usize, longest: u64) -> Result<Figures> {
    let mut crew = Crew::new(folder, "once").await?;
    let shifts = (0..count).map(|_| shift(fastrand::u64(0..=longest)));
    let ids = crew.enqueue(QUEUE, terms, shifts).await?;
    let mut hand = crew.hire("once", &[QUEUE.to_owned()], terms)?;
    until_all_begun(&crew, &ids).await?;
    hand.send(Signal::SIGTERM)?;
    let exit = hand.end(terms.drain + 10 * BEYOND);
    let later = async {
        // The signal has certainly been heard by then.
        tokio::time::sleep(terms.drain / 2).await;
        crew.enqueue(QUEUE, terms, (0..LATER).map(|_| shift(0)))
            .await
    };
    let (exit, later) = tokio::join!(exit, later);
    let (limit, what) = (
        terms.drain + BEYOND,
        format!("exit after SIGTERM, {count} jobs, drain {:?}", terms.drain),
    );
    let mut figures = Figures::of(&what, vec![exit?], 1.0, limit);
    let left = crew.details(&ids).await?;
    let (done, back) = split(&left);
    println!("signals: after SIGTERM {done} of {count} jobs completed, {back} given back");
    figures.expect(done > 0 && back > 0, || {
        format!("{done} completed and {back} given back: both must occur")
    });
    expect_unharmed(&mut figures, &left);
    for details in crew.details(&later?).await? {
        figures.expect(details.job.token == 0, || {
            format!("job {} was claimed after the signal", details.job.id)
        });
    }
    finish(&mut figures, &crew, terms).await?;
    Ok(figures)
}

/// Two signals, to a worker whose jobs would go on for long.
async fn twice(folder: &Path, terms: Terms, count: usize) -> Result<Figures> {
    let mut crew = Crew::new(folder, "twice").await?;
    let ids = crew
        .enqueue(QUEUE, terms, (0..count).map(|_| shift(600_000)))
        .await?;
    let mut hand = crew.hire("twice", &[QUEUE.to_owned()], terms)?;
    until_all_begun(&crew, &ids).await?;
    hand.send(Signal::SIGTERM)?;
    // Two of one kind that come together are one: the first must have been taken.
    tokio::time::sleep(terms.drain / 4).await;
    let is_draining = crew.details(&ids).await?.iter().all(is_running);
    hand.send(Signal::SIGTERM)?;
    let exit = hand.end(terms.drain + 10 * BEYOND).await?;
    let what = format!("exit after a second SIGTERM, {count} jobs");
    let mut figures = Figures::of(&what, vec![exit], 1.0, BEYOND);
    figures.expect(is_draining, || {
        "it did not drain after the first".to_owned()
    });
    let left = crew.details(&ids).await?;
    expect_unharmed(&mut figures, &left);
    finish(&mut figures, &crew, terms).await?;
    Ok(figures)
}

fn shift(first: u64) -> Shift {
    Shift {
        first,
        again: 0,
        reports: false,
    }
}

fn is_running(details: &Details) -> bool {
    details.job.state == State::Running
}

async fn until_all_begun(crew: &Crew, ids: &[JobId]) -> Result<()> {
    super::crew::until("every job has begun", Duration::from_secs(60), async || {
        let all = crew.details(ids).await?;
        Ok(all.iter().all(|details| details.job.token > 0))
    })
    .await
}

/// How many have completed, and how many wait again.
fn split(all: &[Details]) -> (usize, usize) {
    let count = |state| {
        let is = |details: &&Details| details.job.state == state;
        all.iter().filter(is).count()
    };
    (count(State::Completed), count(State::Pending))
}

/// Each has completed, or was given back without a charge.
fn expect_unharmed(figures: &mut Figures, all: &[Details]) {
    for Details { job, attempts, .. } in all {
        let last = attempts.last().and_then(|attempt| attempt.ending);
        let is_well = match job.state {
            State::Completed => true,
            State::Pending => job.charged == 0 && last == Some(EndingKind::Released),
            _ => false,
        };
        figures.expect(is_well, || {
            format!(
                "job {} is {}, charged {}, its attempt {last:?}",
                job.id, job.state, job.charged
            )
        });
    }
}

/// Lets another worker finish what was given back.
async fn finish(figures: &mut Figures, crew: &Crew, terms: Terms) -> Result<()> {
    let _other: Hand = crew.hire("other", &[QUEUE.to_owned()], terms)?;
    crew.until_done(Duration::from_secs(60)).await?;
    figures.judge(crew).await
}
