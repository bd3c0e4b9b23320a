//! Counts tests from what `cargo test` prints, so that the last line can say how
//! many there were, and so that a test that was passed over is noticed.

use anyhow::{Result, ensure};

/// How many tests ran, over all programs of a `cargo test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) ignored: usize,
}

impl Tally {
    /// Takes in a line; only those that open with `test result:` count.
    pub(crate) fn hear(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// Refuses a run without tests, and one that passed over some.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.passed > 0,
            "no test ran: `cargo test` printed no result that counts"
        );
        ensure!(
            self.ignored == 0,
            "{} tests are ignored: a test runs or it goes",
            self.ignored
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_over_programs() {
        let mut tally = Tally::default();
        tally.hear("running 3 tests");
        tally.hear("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        tally.hear("test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 1.50s");
        assert_eq!(
            tally,
            Tally {
                passed: 43,
                ignored: 1
            }
        );
    }

    #[test]
    fn a_run_without_tests_or_with_ignored_ones_is_refused() {
        assert!(Tally::default().check().is_err());
        assert!(
            Tally {
                passed: 5,
                ignored: 1
            }
            .check()
            .is_err()
        );
        assert!(
            Tally {
                passed: 5,
                ignored: 0
            }
            .check()
            .is_ok()
        );
    }
}
