//! Inside core, the rules about jobs stand below the storage contract: they are
//! values and functions, and know no place that keeps them.

use super::Problem;
use crate::house::House;

const FOLDER: &str = "crates/majordomo-core/src/";

/// Upper modules of core, each with those that may import it besides itself.
/// Every other module is pure.
const UPPER: &[(&str, &[&str])] = &[("storage", &["lib", "memory"]), ("memory", &["lib"])];

/// Only the modules named above import the contract and what stands on it.
/// Names from the crate's root are refused as well, because they hide where a
/// thing comes from.
pub(super) fn pure_modules_stay_pure(house: &House) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &house.sources {
        let Some(path) = source.path.strip_prefix(FOLDER) else {
            continue;
        };
        let module = path.split(['/', '.']).next().unwrap_or(path);
        let code: Vec<(usize, &str)> = source.library_code().collect();
        let mut imports = imports(&code, CRATE);
        // In a file right under `src`, `super` may be the crate as well.
        if !path.contains('/') {
            let through_super = self::imports(&code, "super::").into_iter();
            imports.extend(
                through_super.filter(|(_, name)| UPPER.iter().any(|(upper, _)| upper == name)),
            );
        }
        for (line, import) in imports {
            let upper = UPPER.iter().find(|(name, _)| *name == import);
            let what = match upper {
                Some((name, above)) if *name != module && !above.contains(&module) => {
                    format!(
                        "`{module}` must not import `{name}`: the rule belongs above the contract, or the type below it"
                    )
                }
                None if import.starts_with(char::is_uppercase) => {
                    format!("`{import}` is imported from the crate's root: name its module")
                }
                _ => continue,
            };
            problems.push(Problem::new(format!("{}:{line}", source.path), what));
        }
    }
    problems
}

const CRATE: &str = "crate::";

/// The names that follow `root` with their lines, groups in braces opened.
fn imports(code: &[(usize, &str)], root: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    // Inside `root{..}`: how many braces are open.
    let mut depth = 0;
    for (number, line) in code {
        let mut rest = *line;
        if depth == 0 {
            match rest.find(root) {
                Some(at) => rest = &rest[at..],
                None => continue,
            }
        }
        let mut expects_name = depth == 1;
        while !rest.is_empty() {
            if depth == 0 {
                let Some(at) = rest.find(root) else {
                    break;
                };
                rest = &rest[at + root.len()..];
                expects_name = true;
            }
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !word.is_empty() {
                rest = &rest[word.len()..];
                if expects_name {
                    names.push((*number, word));
                }
                expects_name = false;
                continue;
            }
            let Some(c) = rest.chars().next() else { break };
            rest = &rest[c.len_utf8()..];
            match c {
                '{' if depth > 0 || expects_name => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' if depth == 1 => expects_name = true,
                _ => {}
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::told;

    #[test]
    fn imports_are_found_in_every_spelling() {
        let code = [
            (1, "use crate::job::{Job, NewJob};"),
            (2, "use crate::{limits, storage::{Claim, Beat},"),
            (3, "    memory};"),
            (4, "fn f(x: crate::id::JobId) -> crate::Error {}"),
            (5, "use std::fmt::{self, Debug};"),
        ];
        let names: Vec<(usize, String)> = imports(&code, CRATE);
        let names: Vec<(usize, &str)> = names
            .iter()
            .map(|(line, name)| (*line, name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                (1, "job"),
                (2, "limits"),
                (2, "storage"),
                (3, "memory"),
                (4, "id"),
                (4, "Error")
            ]
        );
    }

    #[test]
    fn a_rule_that_knows_the_contract_is_refused() {
        let house = House::of(&[
            (
                "crates/majordomo-core/src/ending.rs",
                "//! [`crate::Storage`]\nuse crate::storage::Claim;\nuse crate::Memory;\nuse super::{memory, State};",
            ),
            (
                "crates/majordomo-core/src/storage.rs",
                "use crate::memory::Memory;",
            ),
            (
                "crates/majordomo-core/src/memory/claim.rs",
                "use crate::storage::Claim;\nuse crate::memory::Shelf;",
            ),
            (
                "crates/majordomo-core/src/lib.rs",
                "pub use crate::memory::Memory;",
            ),
            (
                "crates/majordomo-core/src/job.rs",
                "#[cfg(test)]\nmod tests { use crate::memory::Memory; }",
            ),
            (
                "crates/majordomo-engine/src/lib.rs",
                "use crate::storage::Claim;",
            ),
        ]);
        assert_eq!(
            told(&pure_modules_stay_pure(&house)),
            [
                "crates/majordomo-core/src/ending.rs:2: `ending` must not import `storage`: the rule belongs above the contract, or the type below it",
                "crates/majordomo-core/src/ending.rs:3: `Memory` is imported from the crate's root: name its module",
                "crates/majordomo-core/src/ending.rs:4: `ending` must not import `memory`: the rule belongs above the contract, or the type below it",
                "crates/majordomo-core/src/storage.rs:1: `storage` must not import `memory`: the rule belongs above the contract, or the type below it",
            ]
        );
    }
}
