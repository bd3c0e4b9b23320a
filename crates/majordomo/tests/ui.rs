//! What the derive takes, and what it says about what it refuses.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test -p majordomo --test ui`,
//! and read the new texts.

#[test]
fn mistakes_are_named_where_they_are_and_good_tasks_compile_without_a_warning() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass.rs");
    for mistake in [
        "backoff",
        "durations",
        "kinds",
        "names",
        "numbers",
        "syntax",
        "twice",
        "unique",
        "unknown_key",
    ] {
        cases.compile_fail(format!("tests/ui/{mistake}.rs"));
    }
}

/// Nothing that a task needs can be found missing at run time, or at the start.
#[test]
fn g65_gx26_a_worker_without_what_a_task_needs_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/missing_dependency.rs");
}
