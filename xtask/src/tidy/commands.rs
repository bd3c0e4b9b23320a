//! The README tells people how to test, CI does just that, and the commands the
//! documents name exist. Those of `majordomo` itself are tried by a proof.

use super::Problem;
use crate::commands::COMMANDS;
use crate::documented;
use crate::house::House;

/// How the project is tested.
const TEST: &str = "cargo xtask test";

/// CI's script ends with the README's test command.
pub(super) fn ci_runs_what_the_readme_says(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !house
        .source("README.md")
        .is_some_and(|source| source.lines().any(|(_, line)| line.contains(TEST)))
    {
        problems.push(Problem::new(
            "README.md:1",
            format!("say that `{TEST}` tests everything"),
        ));
    }
    let last = house
        .source(".ci/run")
        .and_then(|source| source.text.lines().rfind(|line| !line.trim().is_empty()));
    if last != Some(TEST) {
        problems.push(Problem::new(
            ".ci/run:1",
            format!("end with `{TEST}`, the README's test command"),
        ));
    }
    problems
}

/// `cargo xtask` in the documents is followed by a command that it has.
pub(super) fn xtask_commands_exist(house: &House) -> Vec<Problem> {
    let documented = documented::of_xtask(house).into_iter();
    let unknown = documented.filter(|found| {
        !COMMANDS
            .iter()
            .any(|command| command.name == found.subcommand)
    });
    unknown
        .map(|found| {
            Problem::new(
                found.place,
                format!("there is no `cargo xtask {}`", found.subcommand),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn ci_that_does_something_else_is_noticed() {
        let good = House::of(&[
            ("README.md", "```sh\ncargo xtask test\n```"),
            (".ci/run", "apt\ncargo xtask test\n"),
        ]);
        assert_eq!(ci_runs_what_the_readme_says(&good), []);
        let bad = House::of(&[
            ("README.md", "cargo test"),
            (".ci/run", "# cargo xtask test\ncargo test\n"),
        ]);
        assert_eq!(
            told(&ci_runs_what_the_readme_says(&bad)),
            [
                "README.md:1: say that `cargo xtask test` tests everything",
                ".ci/run:1: end with `cargo xtask test`, the README's test command",
            ]
        );
    }

    #[test]
    fn a_command_that_xtask_does_not_have_is_noticed() {
        let house = House::of(&[(
            "CONTRIBUTING.md",
            "```sh\ncargo xtask tidy\ncargo xtask polish\n```",
        )]);
        assert_eq!(
            told(&xtask_commands_exist(&house)),
            ["CONTRIBUTING.md:3: there is no `cargo xtask polish`"]
        );
    }
}
