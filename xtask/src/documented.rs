//! The commands that the documents tell people to type, so that rules and proofs
//! can hold them against the commands that exist.

use crate::house::House;

/// A command in a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Documented {
    /// `path:line`.
    pub(crate) place: String,
    /// The first word after the program.
    pub(crate) subcommand: String,
}

/// The subcommands of `majordomo` in all documents, also where it is typed as
/// `cargo run --`.
pub(crate) fn of_majordomo(house: &House) -> Vec<Documented> {
    find(house, |words| match words {
        ["majordomo", rest @ ..] => rest.first().copied(),
        ["cargo", "run", rest @ ..] => {
            let dashes = rest.iter().position(|word| *word == "--")?;
            let another = ["-p", "--package", "--example", "--bin", "--manifest-path"];
            let is_ours = !rest[..dashes].iter().any(|word| another.contains(word));
            rest.get(dashes + 1).copied().filter(|_| is_ours)
        }
        _ => None,
    })
}

/// The commands of `cargo xtask` in all documents.
pub(crate) fn of_xtask(house: &House) -> Vec<Documented> {
    find(house, |words| match words {
        ["cargo", "xtask", rest @ ..] => rest.first().copied(),
        _ => None,
    })
}

/// Looks through the shell blocks of all documents. `subcommand` picks the word
/// from a command; options before it hide it.
fn find(
    house: &House,
    subcommand: impl for<'a> Fn(&[&'a str]) -> Option<&'a str>,
) -> Vec<Documented> {
    let mut found = Vec::new();
    for source in house
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".md"))
    {
        let mut block: Option<&str> = None;
        for (number, line) in source.lines() {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                block = if block.is_some() {
                    None
                } else {
                    Some(info.trim())
                };
                continue;
            }
            for words in commands(block, line) {
                if let Some(word) =
                    subcommand(&words).filter(|word| word.starts_with(char::is_alphabetic))
                {
                    let place = format!("{}:{number}", source.path);
                    found.push(Documented {
                        place,
                        subcommand: word.to_owned(),
                    });
                }
            }
        }
    }
    found
}

/// The commands on a line of a block: what follows `$ ` in a console, the whole
/// line in a shell script, cut at pipes and the like, without assignments before.
fn commands<'a>(block: Option<&str>, line: &'a str) -> Vec<Vec<&'a str>> {
    let typed = match block {
        Some("console") => line.trim_start().strip_prefix("$ "),
        Some("sh" | "bash" | "shell") => Some(line.trim_start().trim_start_matches("$ ")),
        _ => None,
    };
    let typed = typed
        .unwrap_or_default()
        .split(" #")
        .next()
        .unwrap_or_default();
    let words = |part: &'a str| {
        part.split_whitespace()
            .skip_while(|word| word.contains('='))
            .collect()
    };
    typed.split(['|', ';', '&']).map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subcommands(found: Vec<Documented>) -> Vec<String> {
        found
            .into_iter()
            .map(|command| format!("{} {}", command.place, command.subcommand))
            .collect()
    }

    #[test]
    fn commands_are_found_in_shell_blocks_only() {
        let house = House::of(&[(
            "README.md",
            "majordomo prose\n```sh\nmajordomo jobs --state dead # majordomo comment\nA=1 majordomo work & majordomo watch\nmajordomo --help\n# majordomo hush\n```\n```console\n$ cargo run --release -- demo | tee log\nmajordomo output\n$ cargo run --example a -- b\n```\n```rust\nmajordomo code\n```",
        )]);
        assert_eq!(
            subcommands(of_majordomo(&house)),
            [
                "README.md:3 jobs",
                "README.md:4 work",
                "README.md:4 watch",
                "README.md:9 demo"
            ]
        );
    }

    #[test]
    fn commands_of_xtask_are_found() {
        let house = House::of(&[(
            "CONTRIBUTING.md",
            "```sh\ncargo xtask check\ncargo test\n```",
        )]);
        assert_eq!(subcommands(of_xtask(&house)), ["CONTRIBUTING.md:2 check"]);
    }
}
