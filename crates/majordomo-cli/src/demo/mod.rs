//! `majordomo demo`: a worker, some thousand jobs, and a look at what became of them.

mod bars;
mod plan;
mod summary;
mod tasks;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use majordomo::core::{Inserted, limits, time};
use majordomo::url::StorageUrl;
use majordomo::{Between, Change, Client, Filter, NewJob, Order, OrderBy, Running, State, Worker, shutdown};

use crate::args::{Demo, Global};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::Output;
use bars::Bars;
use plan::{Kind, Plan, Planned};
use summary::Summary;
use tasks::{App, Endless, Report};
use verdict::Seen;

/// How many jobs run at once.
const CONCURRENCY: usize = 32;
/// How many jobs are stored in one write.
const BATCH: usize = 500;
/// The pause between two looks at what has ended.
const LOOK: Duration = Duration::from_millis(100);
/// If nothing ends for this long, something is wrong.
const STALL: Duration = Duration::from_secs(60);
/// The jobs of a run that ended this long ago may go.
const OLD: Duration = Duration::from_secs(3600);

pub(crate) async fn run(options: &Demo, global: &Global, output: &mut Output) -> Result<Exit, Problem> {
    let url = if global.storage_given { open::url(global)? } else { own_file() };
    let client = open::client(&url, Missing::Make).await?;
    let plan = Plan::new(options.jobs);
    if !options.keep {
        remove_old(&client).await?;
    }
    let app = Arc::new(App::default());
    let mut running = worker(&client, &app, &plan).start().await?;
    summary::opening(&client, running.name(), &plan, output)?;
    let began = Instant::now();
    let bars = Bars::new(&plan, output.is_colored());
    let driven = tokio::select! {
        driven = drive(&client, &plan, &bars) => driven,
        () = shutdown::signal() => {
            bars.finish();
            return Err(interrupted(&client, &plan, running).await?);
        }
    };
    let took = began.elapsed();
    bars.finish();
    running.stop();
    running.wait().await?;
    let seen = Seen { twin: Some(driven?), late_calls: app.late_calls.load(Ordering::SeqCst) };
    let rows = verdict::rows(&client, &plan, &seen).await?;
    Summary { plan: &plan, url: &url, rows: &rows, took }.show(&client, output).await
}

/// A file that is still there afterwards, for a closer look. Runs share it, and
/// tell their jobs apart by the queue.
fn own_file() -> StorageUrl {
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME")).unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = if user.is_empty() { "majordomo-demo.db".to_owned() } else { format!("majordomo-demo-{user}.db") };
    StorageUrl::Sqlite { path: std::env::temp_dir().join(name), relaxed: false }
}

/// Removes sample jobs of earlier runs, so that the file does not grow for ever.
async fn remove_old(client: &Client) -> Result<(), Problem> {
    let now = client.storage().now().await?;
    let to = time::from_micros(now.as_microsecond().saturating_sub(time::micros_of(OLD)));
    let filter = Filter {
        tasks: Kind::ALL.map(|kind| kind.task().to_owned()).to_vec(),
        ended: Between { from: None, to: Some(to) },
        ..Filter::all().tag("demo")
    };
    client.remove(&filter).await?;
    Ok(())
}

fn worker(client: &Client, app: &Arc<App>, plan: &Plan) -> Worker<App> {
    tasks::handle(Worker::shared(client, Arc::clone(app)))
        .queue(&plan.queue)
        .concurrency(CONCURRENCY)
        // So that the job that expires is found soon after.
        .sweep(Duration::from_millis(500))
        .drain(Duration::from_secs(2))
}

/// Stores the jobs and follows them until all have ended. Answers with what was
/// said to the second job under the unique key.
async fn drive(client: &Client, plan: &Plan, bars: &Bars) -> Result<Inserted, Problem> {
    let (many, single): (Vec<Planned>, Vec<Planned>) =
        plan.jobs.iter().partition(|planned| matches!(planned.kind, Kind::Quick | Kind::Flaky | Kind::Doomed));
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
async fn store_single(client: &Client, plan: &Plan, single: &[Planned]) -> Result<Inserted, Problem> {
    let mut jobs = single.iter().map(|planned| plan.build(client, planned)).collect::<Result<Vec<NewJob>, _>>()?;
    jobs.push(plan.build_twin(client)?);
    let answers = client.insert(jobs).await?;
    answers.last().copied().ok_or_else(|| Problem::failed("the storage gave no answer to an insert"))
}

async fn store_many(client: &Client, plan: &Plan, many: &[Planned], all_stored: &AtomicBool) -> Result<(), Problem> {
    for batch in many.chunks(BATCH) {
        let jobs = batch.iter().map(|planned| plan.build(client, planned)).collect::<Result<Vec<NewJob>, _>>()?;
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
async fn follow(client: &Client, plan: &Plan, bars: &Bars, all_stored: &AtomicBool) -> Result<(), Problem> {
    let (mine, order) = (Filter::all().queue(&plan.queue), Order::ascending(OrderBy::Ended));
    let unfinished = mine.clone().state(State::Pending).state(State::Running);
    let (mut after, mut last_news) = (None, Instant::now());
    loop {
        let is_whole = all_stored.load(Ordering::SeqCst);
        let is_over = client.find(&unfinished, Order::default(), None, 1).await?.items.is_empty();
        let page = client.find(&mine, order, after, limits::PAGE).await?;
        page.items.iter().for_each(|job| bars.ended(&job.task));
        bars.pass();
        if let Some(last) = page.items.last() {
            (after, last_news) = (order.place(last), Instant::now());
        } else if is_whole && is_over {
            return Ok(());
        } else if last_news.elapsed() > STALL {
            warn("error", &format!("no job has ended for {} s, so this is the end", STALL.as_secs()));
            return Ok(());
        }
        if page.next.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Drains, and cancels what is left, so that no job of this run ever runs again.
async fn interrupted(client: &Client, plan: &Plan, mut running: Running) -> Result<Problem, Problem> {
    warn("interrupted", "running jobs may finish; press Ctrl-C again to end at once");
    running.stop();
    tokio::select! {
        () = shutdown::signal() => running.stop_now(),
        ended = running.wait() => ended?,
    }
    running.wait().await?;
    let left = client.change(&Filter::all().queue(&plan.queue).state(State::Pending), &Change::Cancel).await?;
    let message = format!("the demo was interrupted; {} of its jobs had not started and are cancelled", left.changed);
    Ok(Problem::failed(message))
}
