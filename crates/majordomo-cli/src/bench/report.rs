//! The results of a bench, for programs and for people.

use serde::Serialize;

use crate::exit::Problem;
use crate::output::Output;

/// What was measured. What does not apply to the storage is null.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) storage: String,
    pub(super) durability: &'static str,
    pub(super) jobs: u32,
    pub(super) concurrency: usize,
    pub(super) producers: usize,
    pub(super) enqueue_single_per_s: f64,
    pub(super) enqueue_concurrent_per_s: f64,
    pub(super) enqueue_bulk_per_s: f64,
    pub(super) drain_per_s: f64,
    /// Jobs due in a year that lay beside those that were drained.
    pub(super) future: u32,
    /// How long a handler took on average, if it had work to do.
    pub(super) handler_ms: Option<f64>,
    /// The part of the slots' time that handlers filled; 1 is all of it.
    pub(super) slots_used: Option<f64>,
    pub(super) pickup_p50_ms: f64,
    pub(super) pickup_p99_ms: f64,
    pub(super) peak_rss_mib: Option<f64>,
    pub(super) storage_bytes_per_job: Option<f64>,
    /// While draining.
    pub(super) commits_per_job: Option<f64>,
    pub(super) raw_insert_per_s: Option<f64>,
    pub(super) raw_bulk_per_s: Option<f64>,
    pub(super) raw_cycle_per_s: Option<f64>,
}

impl Report {
    pub(super) fn show(&self, output: &Output) -> Result<(), Problem> {
        if !output.is_table() {
            return output.json(self);
        }
        output.line(format_args!(
            "{} jobs on {} ({}), version {}",
            self.jobs, self.storage, self.durability, self.version
        ))?;
        let mut table = output.table(&["WHAT", "RESULT", "RAW", "RATIO"]);
        for row in self.rows() {
            table.add_row(row);
        }
        output.line(table)
    }

    fn rows(&self) -> Vec<[String; 4]> {
        let mut rows = vec![
            rate(
                "enqueue, 1 caller",
                self.enqueue_single_per_s,
                self.raw_insert_per_s,
            ),
            rate(
                &format!("enqueue, {} callers", self.producers),
                self.enqueue_concurrent_per_s,
                self.raw_insert_per_s,
            ),
            rate(
                "enqueue in bulk",
                self.enqueue_bulk_per_s,
                self.raw_bulk_per_s,
            ),
            rate(
                &format!("drain, concurrency {}", self.concurrency),
                self.drain_per_s,
                self.raw_cycle_per_s,
            ),
        ];
        let others = [
            ("a handler took", self.handler_ms, "ms", 2),
            (
                "slots in use",
                self.slots_used.map(|used| used * 100.0),
                "%",
                1,
            ),
            ("pick-up, p50", Some(self.pickup_p50_ms), "ms", 2),
            ("pick-up, p99", Some(self.pickup_p99_ms), "ms", 2),
            ("peak memory", self.peak_rss_mib, "MiB", 1),
            ("storage", self.storage_bytes_per_job, "bytes a job", 0),
            ("commits while draining", self.commits_per_job, "a job", 4),
        ];
        for (what, value, unit, digits) in others {
            if let Some(value) = value {
                let result = format!("{value:.digits$} {unit}");
                rows.push([what.to_owned(), result, String::new(), String::new()]);
            }
        }
        rows
    }
}

fn rate(what: &str, rate: f64, raw: Option<f64>) -> [String; 4] {
    let shown = |rate: f64| format!("{rate:.0} /s");
    [
        what.to_owned(),
        shown(rate),
        raw.map(shown).unwrap_or_default(),
        raw.map(|raw| format!("{:.2}", rate / raw))
            .unwrap_or_default(),
    ]
}
