//! Stores the demo's jobs, and follows them until all have ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use majordomo::core::{Inserted, limits};
use majordomo::{Client, Filter, NewJob, Order, OrderBy, State};

use super::bars::Bars;
use super::plan::{Kind, Plan, Planned};
use super::tasks::{Endless, Report};
use crate::exit::{Problem, warn};

/// How many jobs are stored in one write.
const BATCH: usize = 500;
/// The pause between two looks at what has ended.
const LOOK: Duration = Duration::from_millis(100);
/// If nothing ends for this long, something is wrong.
const STALL: Duration = Duration::from_secs(60);

/// Stores the jobs and follows them until all have ended. Answers with what was
/// said to the second job under the unique key.
pub(super) async fn drive(client: &Client, plan: &Plan, bars: &Bars) -> Result<Inserted, Problem> {
    let (many, single): (Vec<Planned>, Vec<Planned>) = plan
        .jobs
        .iter()
        .partition(|planned| matches!(planned.kind, Kind::Quick | Kind::Flaky | Kind::Doomed));
    let twin = store_single(client, plan, &single).await?;
    let all_stored = AtomicBool::new(false);
    let others = async {
        let tried = tokio::try_join!(
            store_many(client, plan, &many, &all_stored),
            watch_report(client, plan, bars),
            cancel_endless(client, plan),
        );
        match tried {
            Ok(_) => std::future::pending().await,
            Err(problem) => problem,
        }
    };
    tokio::select! {
        followed = follow(client, plan, bars, &all_stored) => followed?,
        problem = others => return Err(problem),
    }
    Ok(twin)
}

/// Stores the jobs that take longest, and the unique one with its twin, in one
/// write: so the first can't have ended before the second comes.
async fn store_single(
    client: &Client,
    plan: &Plan,
    single: &[Planned],
) -> Result<Inserted, Problem> {
    let mut jobs = single
        .iter()
        .map(|planned| plan.build(client, planned))
        .collect::<Result<Vec<NewJob>, _>>()?;
    jobs.push(plan.build_twin(client)?);
    let answers = client.insert(jobs).await?;
    answers
        .last()
        .copied()
        .ok_or_else(|| Problem::failed("the storage gave no answer to an insert"))
}

async fn store_many(
    client: &Client,
    plan: &Plan,
    many: &[Planned],
    all_stored: &AtomicBool,
) -> Result<(), Problem> {
    for batch in many.chunks(BATCH) {
        let jobs = batch
            .iter()
            .map(|planned| plan.build(client, planned))
            .collect::<Result<Vec<NewJob>, _>>()?;
        client.insert(jobs).await?;
    }
    all_stored.store(true, Ordering::SeqCst);
    Ok(())
}

async fn watch_report(client: &Client, plan: &Plan, bars: &Bars) -> Result<(), Problem> {
    let mut watch = client.handle::<Report>(plan.only(Kind::Report)).watch();
    while let Some(details) = watch.next().await? {
        if let Some(progress) = &details.job.progress {
            bars.report(progress);
        }
    }
    Ok(())
}

/// Cancels the endless job as soon as it is seen at work.
async fn cancel_endless(client: &Client, plan: &Plan) -> Result<(), Problem> {
    let handle = client.handle::<Endless>(plan.only(Kind::Endless));
    let mut watch = handle.watch();
    while let Some(details) = watch.next().await? {
        if details.job.state == State::Running && details.job.progress.is_some() {
            handle.cancel().await?;
            break;
        }
    }
    Ok(())
}

/// Reads which jobs have ended, each once, until none is left.
async fn follow(
    client: &Client,
    plan: &Plan,
    bars: &Bars,
    all_stored: &AtomicBool,
) -> Result<(), Problem> {
    let (mine, order) = (
        Filter::all().queue(&plan.queue),
        Order::ascending(OrderBy::Ended),
    );
    let unfinished = mine.clone().state(State::Pending).state(State::Running);
    let (mut after, mut last_news) = (None, Instant::now());
    loop {
        let is_whole = all_stored.load(Ordering::SeqCst);
        let is_over = client
            .find(&unfinished, Order::default(), None, 1)
            .await?
            .items
            .is_empty();
        let page = client.find(&mine, order, after, limits::PAGE).await?;
        page.items.iter().for_each(|job| bars.ended(&job.task));
        bars.pass();
        if let Some(last) = page.items.last() {
            (after, last_news) = (order.place(last), Instant::now());
        } else if is_whole && is_over {
            return Ok(());
        } else if last_news.elapsed() > STALL {
            warn(
                "error",
                &format!(
                    "no job has ended for {} s, so this is the end",
                    STALL.as_secs()
                ),
            );
            return Ok(());
        }
        if page.next.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
