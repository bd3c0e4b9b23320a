//! Runs the real binary in a folder of its own. Every wait has an end.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of this"
)]
#![allow(clippy::unwrap_used, reason = "this is a part of tests")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No command takes longer, however slow the machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A folder with a database `jobs.db` in it.
pub struct Place {
    folder: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command that is running.
pub struct Started {
    child: Child,
    what: String,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs a command on `jobs.db`, unless it names another storage.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Done {
        self.start(&arguments).end()
    }

    /// Runs a command that must end well, and reads its JSON.
    pub fn json<const N: usize>(&self, arguments: [&str; N]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        self.start(&all).end().ok().json()
    }

    /// Runs a command with text on its standard input.
    pub fn run_with_input<const N: usize>(&self, arguments: [&str; N], input: &str) -> Done {
        let mut started = self.start(&arguments);
        let mut pipe = started.child.stdin.take().unwrap();
        let input = input.to_owned();
        // The command may end without reading all of it.
        let writer = thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
        let done = started.end();
        writer.join().unwrap();
        done
    }

    pub fn start(&self, arguments: &[&str]) -> Started {
        let mut command = self.command();
        command.args(arguments);
        Started::new(command, arguments.join(" "))
    }

    /// The binary with a clean environment, in this folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_majordomo"));
        for name in ["RUST_LOG", "NO_COLOR", "CARGO_PKG_NAME"] {
            command.env_remove(name);
        }
        command
            .current_dir(self.folder.path())
            .env("MAJORDOMO_STORAGE", "sqlite:jobs.db");
        command
    }

    /// Enqueues one job and returns its id.
    pub fn enqueue<const N: usize>(&self, arguments: [&str; N]) -> String {
        let mut all = vec!["job", "enqueue"];
        all.extend(arguments);
        self.start(&all).end().ok().stdout.trim().to_owned()
    }

    /// Everything about a job.
    pub fn show(&self, id: &str) -> Value {
        self.json(["job", "show", id])
    }

    pub fn state(&self, id: &str) -> String {
        self.show(id)["job"]["state"].as_str().unwrap().to_owned()
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Started {
    pub fn new(mut command: Command, what: String) -> Self {
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            child: command.spawn().unwrap(),
            what,
        }
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub fn end(mut self) -> Done {
        drop(self.child.stdin.take());
        let stdout = read(self.child.stdout.take().unwrap());
        let stderr = read(self.child.stderr.take().unwrap());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > LIMIT {
                self.child.kill().unwrap();
                panic!(
                    "`majordomo {}` did not end within {LIMIT:?}: {}",
                    self.what,
                    stderr.join().unwrap()
                );
            }
            thread::sleep(Duration::from_millis(5));
        };
        Done {
            code: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    }
}

impl Done {
    /// It must have ended well.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It must have failed with this code and these words.
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no {word:?} in {:?}",
                self.stderr
            );
        }
        assert!(self.stderr.starts_with("error: "), "{:?}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{:?}", self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

/// Overwrites four bytes of a file, as SQLite writes numbers in its header.
pub fn patch(path: &Path, offset: usize, number: u32) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset..offset + 4].copy_from_slice(&number.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}
