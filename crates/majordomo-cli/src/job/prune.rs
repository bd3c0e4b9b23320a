//! `majordomo job prune`: deletes finished jobs that were kept long enough, by the
//! same rule as the workers' own pruner.

use majordomo::core::limits;
use majordomo::{Client, Order, Retention, pruner};
use serde_json::json;

use crate::args::Prune;
use crate::exit::{Exit, Problem};
use crate::output::Output;

/// Refuses to delete many without a yes, and times that make no sense.
pub(super) fn check(options: &Prune) -> Result<(), Problem> {
    options.retention().check()?;
    if !options.yes && !options.dry_run {
        return Err(Problem::usage("this may delete many jobs for good")
            .hint("say `--dry-run` with the same options to see how many, then `--yes` instead"));
    }
    Ok(())
}

pub(super) async fn run(
    client: &Client,
    options: &Prune,
    output: &Output,
) -> Result<Exit, Problem> {
    let retention = options.retention();
    let (count, told) = if options.dry_run {
        (count(client, &retention).await?, "would be deleted")
    } else {
        let pruned = pruner::prune(&**client.storage(), &retention).await?;
        (pruned.removed, "deleted")
    };
    if output.is_table() {
        output.line(format_args!("{count} {told}"))?;
    } else {
        output.json(&json!({ "done": count, "dry_run": options.dry_run }))?;
    }
    Ok(Exit::Ok)
}

/// How many jobs a prune would delete now.
async fn count(client: &Client, retention: &Retention) -> Result<u64, Problem> {
    let now = client.storage().now().await?;
    let mut count = 0;
    for rule in retention.rules(now) {
        let mut after = None;
        loop {
            let page = client
                .find(&rule, Order::default(), after, limits::PAGE)
                .await?;
            count += page.items.len() as u64;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(count)
}
