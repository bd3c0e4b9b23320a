//! The bench: it says what it measured, and leaves nothing behind.

mod common;

use common::Place;
use serde_json::Value;

const RATES: [&str; 4] = [
    "enqueue_single_per_s",
    "enqueue_concurrent_per_s",
    "enqueue_bulk_per_s",
    "drain_per_s",
];
const RAW: [&str; 3] = ["raw_insert_per_s", "raw_bulk_per_s", "raw_cycle_per_s"];

fn number(report: &Value, key: &str) -> f64 {
    report[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} is no number: {report}"))
}

/// What holds for every storage.
fn check(report: &Value) {
    for key in RATES {
        assert!(number(report, key) > 0.0, "{key}: {report}");
    }
    let (p50, p99) = (
        number(report, "pickup_p50_ms"),
        number(report, "pickup_p99_ms"),
    );
    assert!(0.0 < p50 && p50 <= p99, "{report}");
    assert_eq!(number(report, "jobs"), 200.0);
    assert_eq!(number(report, "concurrency"), 512.0);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let peak = &report["peak_rss_mib"];
    assert!(peak.is_null() || peak.as_f64() > Some(1.0), "{report}");
}

fn files(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path(".")).expect("the folder is there");
    entries
        .map(|entry| entry.expect("it can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_bench_in_memory_has_no_file_to_tell_of() {
    let place = Place::new();
    let report = place.json([
        "bench",
        "--storage",
        "memory:",
        "--jobs",
        "200",
        "--samples",
        "20",
        "--raw",
    ]);
    check(&report);
    assert_eq!(
        (&report["storage"], &report["durability"]),
        (&Value::from("memory:"), &Value::from("volatile"))
    );
    for key in RAW
        .iter()
        .chain(&["storage_bytes_per_job", "commits_per_job"])
    {
        assert!(
            report.get(key).is_some_and(Value::is_null),
            "{key}: {report}"
        );
    }
    assert!(files(&place).is_empty());
}

#[test]
fn a_bench_on_sqlite_works_beside_the_file_and_removes_what_it_made() {
    let place = Place::new();
    let kept = place.enqueue(["noop"]);
    let before = std::fs::read(place.path("jobs.db")).unwrap();
    let report = place.json(["bench", "--jobs", "200", "--samples", "20", "--raw"]);
    check(&report);
    assert_eq!(report["storage"], "sqlite:jobs.db-bench");
    assert_eq!(report["durability"], "power_loss");
    for key in RAW {
        assert!(number(&report, key) > 0.0, "{key}: {report}");
    }
    // A job has an id, two names and some times, and ends in some transaction.
    let bytes = number(&report, "storage_bytes_per_job");
    assert!((100.0..10_000.0).contains(&bytes), "{report}");
    let commits = number(&report, "commits_per_job");
    assert!(commits > 0.0 && commits <= 3.0, "{report}");
    assert_eq!(files(&place), ["jobs.db"]);
    assert_eq!(std::fs::read(place.path("jobs.db")).unwrap(), before);
    assert_eq!(place.state(&kept), "pending");
}

#[test]
fn without_raw_there_is_nothing_to_compare_with() {
    let place = Place::new();
    let report = place.json([
        "bench",
        "--storage",
        "sqlite:b.db?durability=relaxed",
        "--jobs",
        "200",
        "--samples",
        "1",
        "--producers",
        "3",
        "--concurrency",
        "1",
    ]);
    assert_eq!(report["durability"], "process_crash");
    assert_eq!(number(&report, "producers"), 3.0);
    assert!(RAW.iter().all(|key| report[key].is_null()), "{report}");
}

#[test]
fn people_get_a_table_with_the_ratio_to_the_raw_loop() {
    let place = Place::new();
    let shown = place
        .run(["bench", "--jobs", "200", "--samples", "2", "--raw"])
        .ok()
        .stdout;
    for words in [
        "200 jobs on sqlite:jobs.db-bench (power_loss)",
        "RATIO",
        "drain, concurrency 512",
        "enqueue, 64 callers",
        "pick-up, p99",
        "bytes a job",
    ] {
        assert!(shown.contains(words), "no {words:?} in {shown}");
    }
}

#[test]
fn a_file_that_is_in_the_way_is_refused_and_left_alone() {
    let place = Place::new();
    place.write("jobs.db-bench", b"mine");
    place
        .run(["bench", "--jobs", "200"])
        .fails(1, &["jobs.db-bench", "hint: another bench is at work"]);
    assert_eq!(std::fs::read(place.path("jobs.db-bench")).unwrap(), b"mine");
    place
        .run(["bench", "--jobs", "5", "--storage", "memory:"])
        .code
        .filter(|code| *code == 2)
        .expect("too few jobs are bad usage");
}

#[test]
fn a_bench_with_work_and_with_jobs_for_later_tells_how_full_the_slots_were() {
    let place = Place::new();
    let report = place.json([
        "bench",
        "--jobs",
        "200",
        "--samples",
        "5",
        "--work",
        "1ms",
        "--future",
        "300",
        "--concurrency",
        "16",
    ]);
    assert_eq!(number(&report, "future"), 300.0);
    assert!(number(&report, "handler_ms") >= 1.0, "{report}");
    let used = number(&report, "slots_used");
    assert!(0.0 < used && used <= 1.0, "{report}");
}
