//! The project's own commands, reached as `cargo xtask <command>`.
//!
//! [`commands`] is everything a person or CI can ask for; [`tidy`] holds the
//! rules of the house, and [`proofs`] the programs that try the built command.

mod commands;
mod crash;
mod documented;
mod house;
mod layers;
mod packages;
mod proofs;
mod quick_start;
mod source;
mod steps;
mod tally;
mod tidy;

use std::process::ExitCode;

use crate::commands::COMMANDS;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next();
    let rest: Vec<String> = words.collect();
    let Some(command) = COMMANDS
        .iter()
        .find(|command| Some(command.name) == name.as_deref())
    else {
        if let Some(name) = name {
            eprintln!("error: there is no command `{name}`\n");
        }
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    match (command.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("Usage: cargo xtask <command>\n\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<8} {}\n", command.name, command.about));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_lists_every_command() {
        let usage = usage();
        for command in COMMANDS {
            assert!(
                usage.contains(command.name) && usage.contains(command.about),
                "{usage}"
            );
        }
    }
}
