//! Time belongs to the storage, and a storage without a server takes its clock
//! from outside. So one file reads the machine's clock, and tests can hand in
//! another. Ids are the exception: the time in them is only good for sorting.

use super::Problem;
use crate::house::House;

/// Folders in which the clock is not read.
const FOLDERS: &[&str] = &["crates/majordomo-core/src/", "crates/majordomo-sqlite/src/"];

/// Calls that read the clock, each with the file that may make it.
const READS: &[(&str, &str)] = &[
    ("Timestamp::now(", "crates/majordomo-core/src/clock.rs"),
    ("SystemTime::now(", "crates/majordomo-core/src/clock.rs"),
    ("Zoned::now(", "crates/majordomo-core/src/clock.rs"),
    ("::now_v7(", "crates/majordomo-core/src/id.rs"),
];

/// Core and the storages read the clock in one place.
pub(super) fn one_place_reads_the_clock(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &house.sources {
        if !FOLDERS.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        for (line, code) in source.library_code() {
            for (call, home) in READS {
                if source.path != *home && code.contains(call) {
                    let what = format!(
                        "`{call}..)` may only be called in {home}: take a `Clock`, or a time, as an argument"
                    );
                    problems.push(Problem::new(format!("{}:{line}", source.path), what));
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn a_second_reader_of_the_clock_is_refused() {
        let house = House::of(&[
            (
                "crates/majordomo-core/src/clock.rs",
                "let now = Timestamp::now();\nUuid::now_v7();",
            ),
            ("crates/majordomo-core/src/id.rs", "Uuid::now_v7()"),
            (
                "crates/majordomo-sqlite/src/lib.rs",
                "// SystemTime::now()\nstd::time::SystemTime::now();\n#[cfg(test)]\nmod tests { fn a() { SystemTime::now(); } }",
            ),
            ("crates/majordomo-engine/src/lib.rs", "Timestamp::now()"),
        ]);
        let told = told(&one_place_reads_the_clock(&house));
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(told[0].starts_with("crates/majordomo-core/src/clock.rs:2: `::now_v7(..)` may only be called in crates/majordomo-core/src/id.rs"));
        assert!(told[1].starts_with("crates/majordomo-sqlite/src/lib.rs:2: `SystemTime::now(..)`"));
    }
}
