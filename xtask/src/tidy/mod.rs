//! The rules of the house. Each is a small function from the house to what is
//! wrong with it, and each is tried on a house that breaks it.

mod clock;
mod commands;
mod docs;
mod floors;
mod guests;
mod manifests;
mod modules;
mod places;
mod secrets;
mod shape;
mod toolchain;
mod words;

use std::fmt;

use crate::house::House;

/// Something to put right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// `path:line`.
    pub(crate) place: String,
    /// What is wrong, and what to do about it.
    pub(crate) what: String,
}

impl Problem {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A rule with its name.
pub(crate) type Rule = (&'static str, fn(&House) -> Vec<Problem>);

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    ("the table of floors is sound", floors::table_is_sound),
    (
        "every crate has its place",
        floors::every_crate_has_its_place,
    ),
    ("imports run downward", floors::imports_run_downward),
    ("core takes few guests", floors::core_takes_few_guests),
    (
        "what a crate must not know",
        floors::nothing_unwanted_is_reached,
    ),
    (
        "pure modules stay below the contract",
        modules::pure_modules_stay_pure,
    ),
    (
        "one place reads the clock",
        clock::one_place_reads_the_clock,
    ),
    (
        "files say what they hold",
        shape::files_open_with_what_they_hold,
    ),
    ("files stay short", shape::files_stay_short),
    ("nothing is left undone", words::nothing_is_left_undone),
    ("nothing is ignored", words::no_example_is_ignored),
    ("nothing is unsafe", words::nothing_is_unsafe),
    ("manifests inherit", manifests::members_inherit),
    (
        "folders are named after crates",
        manifests::folders_are_named_after_crates,
    ),
    (
        "published crates are described",
        manifests::published_crates_are_described,
    ),
    ("one version for all", manifests::one_version_for_all),
    (
        "licence texts are there",
        manifests::licence_texts_are_there,
    ),
    ("guests have fit licences", guests::licences_are_allowed),
    ("guests come from the registry", guests::sources_are_allowed),
    ("unwelcome guests stay out", guests::banned_crates_stay_out),
    ("one minimum Rust version", toolchain::one_minimum_version),
    (
        "the compiler is new enough",
        toolchain::compiler_is_new_enough,
    ),
    ("no paths of one machine", secrets::no_machine_paths),
    ("no secrets", secrets::no_secrets),
    (
        "examples in the docs are compiled",
        docs::rust_blocks_are_compiled,
    ),
    (
        "links in the docs lead somewhere",
        docs::links_lead_somewhere,
    ),
    (
        "tests that the docs name are there",
        docs::tests_that_are_named_exist,
    ),
    (
        "CI runs what the README says",
        commands::ci_runs_what_the_readme_says,
    ),
    (
        "commands of xtask in the docs exist",
        commands::xtask_commands_exist,
    ),
];

/// What a look at the house found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    /// Worth a second look, but not wrong.
    pub(crate) notes: Vec<Problem>,
}

/// Applies all rules.
pub(crate) fn look_at(house: &House) -> Report {
    let mut problems = Vec::new();
    for (name, rule) in RULES {
        problems.extend(rule(house).into_iter().map(|mut problem| {
            problem.what.push_str(&format!(" [{name}]"));
            problem
        }));
    }
    Report {
        problems,
        notes: shape::long_files(house),
    }
}

/// The problems as lines, for tests of rules.
#[cfg(test)]
fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::root;

    #[test]
    fn this_house_is_tidy() {
        let report = look_at(&House::read(&root()).unwrap());
        assert!(
            report.problems.is_empty(),
            "\n{}\n",
            told(&report.problems).join("\n")
        );
    }

    #[test]
    fn a_problem_names_its_place_and_the_rule() {
        let house = House::of(&[("crates/a/src/lib.rs", "fn a() { todo!() }")]);
        let told = told(&look_at(&house).problems);
        let line = told
            .iter()
            .find(|line| line.contains("[nothing is left undone]"));
        assert!(
            line.is_some_and(|line| line.starts_with("crates/a/src/lib.rs:1: ")),
            "{told:#?}"
        );
    }
}
