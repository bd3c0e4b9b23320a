//! `majordomo job cancel`, `retry` and `delete`: of jobs named one by one, or of
//! all that match.

use std::collections::BTreeMap;

use majordomo::core::{Refusal, limits};
use majordomo::{Change, Changed, Client, Filter, JobId, Order, State, When};
use serde_json::{Value, json};

use crate::args::{Cancel, Chosen, Delete, Retry};
use crate::exit::{Exit, Problem};
use crate::output::Output;
use crate::plain;

/// Refuses to change jobs that nobody named.
pub(super) fn check(chosen: &Chosen) -> Result<(), Problem> {
    if chosen.ids.is_empty() && chosen.which.is_empty() && !chosen.all {
        return Err(Problem::usage("no job is named").hint("give ids, or say which with `--state`, `--task`, `--queue`, `--tag`, `--error`, or `--all`"));
    }
    Ok(())
}

/// Refuses also to cancel many without a yes.
pub(super) fn check_cancel(options: &Cancel) -> Result<(), Problem> {
    check(&options.chosen)?;
    check_many(&options.chosen, options.yes, "cancel many jobs")
}

/// Refuses also to delete many without a yes.
pub(super) fn check_delete(options: &Delete) -> Result<(), Problem> {
    check(&options.chosen)?;
    check_many(&options.chosen, options.yes, "delete many jobs for good")
}

/// Whatever is not named one by one may be many.
fn check_many(chosen: &Chosen, yes: bool, what: &str) -> Result<(), Problem> {
    if chosen.ids.is_empty() && !yes {
        return Err(Problem::usage(format!("this may {what}")).hint(
            "look at them with `majordomo job list` and the same options, then add `--yes`",
        ));
    }
    Ok(())
}

pub(super) async fn cancel(
    client: &Client,
    options: &Cancel,
    output: &Output,
) -> Result<Exit, Problem> {
    let filter = filter(&options.chosen, &[State::Pending, State::Running]);
    let told = change(client, &options.chosen.ids, &filter, &Change::Cancel).await?;
    told.show("cancelled", output)
}

pub(super) async fn retry(
    client: &Client,
    options: &Retry,
    output: &Output,
) -> Result<Exit, Problem> {
    let filter = filter(&options.chosen, &[State::Dead]);
    let due = options.after.map_or(When::Now, When::In);
    let told = change(client, &options.chosen.ids, &filter, &Change::Retry { due }).await?;
    told.show("pending again", output)
}

pub(super) async fn delete(
    client: &Client,
    options: &Delete,
    output: &Output,
) -> Result<Exit, Problem> {
    let ids = &options.chosen.ids;
    let finished: Vec<State> = State::ALL
        .into_iter()
        .filter(|state| state.is_finished())
        .collect();
    let mut told = Told::new(ids);
    if ids.is_empty() {
        let filter = filter(&options.chosen, &finished);
        told.done = client.remove(&filter).await?;
        return told.show("deleted", output);
    }
    for chunk in ids.chunks(limits::PAGE) {
        let found = client
            .find(
                &Filter::ids(chunk.iter().copied()),
                Order::default(),
                None,
                chunk.len(),
            )
            .await?;
        for job in found.items {
            // One by one, so that what is told of each is what happened to it.
            let removed = client.remove(&Filter::id(job.id)).await?;
            let changed = if removed > 0 {
                Changed::Done(job.state)
            } else {
                Changed::Refused(Refusal::State(job.state))
            };
            told.take(job.id, changed);
        }
    }
    told.show("deleted", output)
}

/// The jobs meant. Without any state it is those for which it makes sense.
fn filter(chosen: &Chosen, sensible: &[State]) -> Filter {
    if !chosen.ids.is_empty() {
        return Filter::ids(chosen.ids.iter().copied());
    }
    let mut filter = chosen.which.filter();
    if filter.states.is_empty() {
        filter.states = sensible.to_vec();
    }
    filter
}

async fn change(
    client: &Client,
    ids: &[JobId],
    filter: &Filter,
    change: &Change,
) -> Result<Told, Problem> {
    let mut told = Told::new(ids);
    let mut after = None;
    loop {
        let page = client
            .change_page(filter, change, after, limits::PAGE)
            .await?;
        for (id, changed) in page.items {
            told.take(id, changed);
        }
        after = page.next;
        if after.is_none() {
            return Ok(told);
        }
    }
}

/// What became of the jobs: of each one if they were named, else how many.
struct Told {
    named: Option<BTreeMap<JobId, Option<Changed>>>,
    done: u64,
    asked: u64,
    refused: u64,
}

impl Told {
    fn new(ids: &[JobId]) -> Self {
        let named = (!ids.is_empty()).then(|| ids.iter().map(|&id| (id, None)).collect());
        Self {
            named,
            done: 0,
            asked: 0,
            refused: 0,
        }
    }

    fn take(&mut self, id: JobId, changed: Changed) {
        match changed {
            Changed::Done(State::Running) => self.asked += 1,
            Changed::Done(_) => self.done += 1,
            Changed::Refused(_) => self.refused += 1,
        }
        if let Some(named) = &mut self.named {
            named.insert(id, Some(changed));
        }
    }

    fn show(&self, done: &str, output: &Output) -> Result<Exit, Problem> {
        match &self.named {
            Some(named) => self.show_each(named, done, output),
            None => self.show_counts(done, output),
        }
    }

    fn show_each(
        &self,
        named: &BTreeMap<JobId, Option<Changed>>,
        done: &str,
        output: &Output,
    ) -> Result<Exit, Problem> {
        let entries: Vec<(JobId, &str, String)> = named
            .iter()
            .map(|(id, changed)| match changed {
                None => (*id, "not_found", "there is no such job".to_owned()),
                Some(Changed::Refused(refusal)) => {
                    (*id, "refused", format!("left as it is: {refusal}"))
                }
                Some(Changed::Done(State::Running)) => {
                    (*id, "asked", "is running and was asked to stop".to_owned())
                }
                Some(Changed::Done(_)) => (*id, "done", done.to_owned()),
            })
            .collect();
        if output.is_table() {
            entries.iter().try_for_each(|(id, _, words)| {
                output.line(format_args!("{id}  {}", plain::line(words)))
            })?;
        } else {
            let values: Vec<Value> = entries
                .iter()
                .map(|(id, result, words)| json!({ "id": id, "result": result, "message": words }))
                .collect();
            output.json_list(&values)?;
        }
        let is_missing = named.values().any(Option::is_none);
        Ok(if is_missing {
            Exit::NotFound
        } else {
            self.exit()
        })
    }

    fn show_counts(&self, done: &str, output: &Output) -> Result<Exit, Problem> {
        if output.is_table() {
            let mut parts = vec![format!("{} {done}", self.done)];
            parts.extend(
                (self.asked > 0).then(|| format!("{} running and asked to stop", self.asked)),
            );
            parts.extend((self.refused > 0).then(|| format!("{} left as they are", self.refused)));
            output.line(parts.join(", "))?;
        } else {
            output.json(
                &json!({ "done": self.done, "asked": self.asked, "refused": self.refused }),
            )?;
        }
        Ok(self.exit())
    }

    fn exit(&self) -> Exit {
        if self.refused > 0 {
            Exit::Refused
        } else {
            Exit::Ok
        }
    }
}
