//! The tasks that jobs can be enqueued for without knowing Rust: the built-in
//! ones, and those that workers have registered in the storage.

use std::collections::BTreeMap;

use majordomo::TaskRecord;
use majordomo::url::StorageUrl;

use crate::exit::Problem;
use crate::tasks;

/// How alike two names must be for one to be meant by the other; 1 is the same.
const ALIKE: f64 = 0.7;

/// Looks a task up by its name, or an earlier name, among the built-in ones and those
/// that are registered in the storage.
pub(super) fn task(
    name: &str,
    registered: impl IntoIterator<Item = TaskRecord>,
    storage: &StorageUrl,
) -> Result<TaskRecord, Problem> {
    let mut known: BTreeMap<String, TaskRecord> = tasks::records()
        .into_iter()
        .map(|record| (record.name.clone(), record))
        .collect();
    for record in registered {
        known.insert(record.name.clone(), record);
    }
    if let Some(record) = known.remove(name) {
        return Ok(record);
    }
    if let Some(record) = known
        .values()
        .find(|record| record.aliases.iter().any(|alias| alias == name))
    {
        return Ok(record.clone());
    }
    Err(
        Problem::usage(format!("the task `{name}` is not known in `{storage}`"))
            .hint(advice(name, known.keys())),
    )
}

fn advice<'a>(name: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    let likeness =
        |candidate: &str| strsim::jaro_winkler(&candidate.to_lowercase(), &name.to_lowercase());
    let best = known
        .clone()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let meant = match best.filter(|best| likeness(best) >= ALIKE) {
        Some(best) => format!("did you mean `{best}`? "),
        None => String::new(),
    };
    let names: Vec<&str> = known.map(String::as_str).collect();
    format!(
        "{meant}the tasks are {}; a worker registers its own when it starts; `--force` enqueues it anyway",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_guessed_and_a_strange_one_is_not() {
        let known = [
            "noop".to_owned(),
            "send-welcome".to_owned(),
            "sleep".to_owned(),
        ];
        assert!(advice("Send_Welcom", known.iter()).starts_with("did you mean `send-welcome`?"));
        assert!(advice("slep", known.iter()).starts_with("did you mean `sleep`?"));
        assert!(
            advice("xyzzy", known.iter()).starts_with("the tasks are noop, send-welcome, sleep;")
        );
    }
}
