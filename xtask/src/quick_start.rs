//! The README's quick start as a new user meets it: a fresh program in an empty
//! folder, with the first block pasted in, compiled and run.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::proofs::Bench;

/// The most lines of its own that the quick start may have, blank ones aside.
const LINES: usize = 20;

/// Pastes, builds and runs it, and compares what it prints.
pub(crate) fn quick_start(bench: &Bench) -> Result<()> {
    let readme = std::fs::read_to_string(bench.root.join("README.md"))
        .context("could not read README.md")?;
    let program = first_block(&readme).context("README.md has no block of Rust")?;
    let lines = program
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    ensure!(
        lines <= LINES,
        "the quick start has {lines} lines, the most are {LINES}"
    );

    let manifest = format!(
        "[package]\nname = \"quick-start\"\nedition = \"2024\"\n\n[dependencies]\n\
         majordomo = {{ path = {:?} }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n[workspace]\n",
        bench.root.join("crates/majordomo")
    );
    std::fs::create_dir_all(bench.folder.join("src"))?;
    std::fs::write(bench.folder.join("Cargo.toml"), manifest)?;
    std::fs::write(bench.folder.join("src/main.rs"), program)?;
    // The versions that are tested, and that are there already.
    std::fs::copy(
        bench.root.join("Cargo.lock"),
        bench.folder.join("Cargo.lock"),
    )?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["run", "--quiet"])
        .current_dir(&bench.folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = build
        .output()
        .context("could not start `cargo run` on the quick start")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the quick start ended with {}: {printed}",
        output.status
    );
    ensure!(
        printed == "hello, ann\n",
        "the quick start printed `{printed}` instead of a greeting"
    );
    ensure!(
        bench.folder.join("jobs.db").is_file(),
        "the quick start left no `jobs.db` behind"
    );
    println!("{lines} lines, and they greet ann");
    Ok(())
}

fn first_block(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```rust")?;
    let (_, body) = rest.split_once('\n')?;
    body.split_once("```").map(|(block, _)| block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_is_what_is_pasted() {
        let text = "# A\n```sh\nls\n```\n```rust,no_run\nfn main() {}\n```\n```rust\nother\n```\n";
        assert_eq!(first_block(text), Some("fn main() {}\n"));
        assert_eq!(first_block("nothing"), None);
    }
}
