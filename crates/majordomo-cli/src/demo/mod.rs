//! `majordomo demo`: a worker, some thousand jobs, and a look at what became of them.

mod bars;
mod drive;
mod plan;
mod summary;
mod tasks;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use majordomo::core::time;
use majordomo::url::StorageUrl;
use majordomo::{Between, Change, Client, Filter, Running, State, Worker, shutdown};

use crate::args::{Demo, Global};
use crate::exit::{Exit, Problem, warn};
use crate::open::{self, Missing};
use crate::output::Output;
use bars::Bars;
use plan::{Kind, Plan};
use summary::Summary;
use tasks::App;
use verdict::Seen;

/// How many jobs run at once.
const CONCURRENCY: usize = 32;
/// The jobs of a run that ended this long ago may go.
const OLD: Duration = Duration::from_secs(3600);

pub(crate) async fn run(options: &Demo, global: &Global, output: &Output) -> Result<Exit, Problem> {
    let url = if global.storage_given {
        open::url(global)?
    } else {
        own_file()
    };
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
        driven = drive::drive(&client, &plan, &bars) => driven,
        () = shutdown::signal() => {
            bars.finish();
            return Err(interrupted(&client, &plan, running).await?);
        }
    };
    let took = began.elapsed();
    bars.finish();
    running.stop();
    running.wait().await?;
    let seen = Seen {
        twin: Some(driven?),
        late_calls: app.late_calls.load(Ordering::SeqCst),
    };
    let rows = verdict::rows(&client, &plan, &seen).await?;
    Summary {
        plan: &plan,
        url: &url,
        rows: &rows,
        took,
    }
    .show(&client, output)
    .await
}

/// A file that is still there afterwards, for a closer look. Runs share it, and
/// tell their jobs apart by the queue.
fn own_file() -> StorageUrl {
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("USERNAME"))
        .unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = if user.is_empty() {
        "majordomo-demo.db".to_owned()
    } else {
        format!("majordomo-demo-{user}.db")
    };
    StorageUrl::Sqlite {
        path: std::env::temp_dir().join(name),
        relaxed: false,
    }
}

/// Removes sample jobs of earlier runs, so that the file does not grow for ever.
async fn remove_old(client: &Client) -> Result<(), Problem> {
    let now = client.storage().now().await?;
    let to = time::from_micros(now.as_microsecond().saturating_sub(time::micros_of(OLD)));
    let filter = Filter {
        tasks: Kind::ALL.map(|kind| kind.task().to_owned()).to_vec(),
        ended: Between {
            from: None,
            to: Some(to),
        },
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

/// Drains, and cancels what is left, so that no job of this run ever runs again.
async fn interrupted(
    client: &Client,
    plan: &Plan,
    mut running: Running,
) -> Result<Problem, Problem> {
    warn(
        "interrupted",
        "running jobs may finish; press Ctrl-C again to end at once",
    );
    running.stop();
    tokio::select! {
        () = shutdown::signal() => running.stop_now(),
        ended = running.wait() => ended?,
    }
    running.wait().await?;
    let left = client
        .change(
            &Filter::all().queue(&plan.queue).state(State::Pending),
            &Change::Cancel,
        )
        .await?;
    let message = format!(
        "the demo was interrupted; {} of its jobs had not started and are cancelled",
        left.changed
    );
    Ok(Problem::failed(message))
}
