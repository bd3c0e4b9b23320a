//! How a command ends: the exit codes, and problems with their next step.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use majordomo::{Error, ErrorKind};

use crate::plain;

/// The exit codes, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed: the storage, or a job that ended otherwise than wanted.
    Failed = 1,
    /// Bad usage or input.
    Usage = 2,
    /// There is no such job or database.
    NotFound = 3,
    /// The state of a job does not allow it, or its key is held.
    Refused = 4,
}

impl Exit {
    const ALL: [Self; 5] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Refused,
    ];

    fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => {
                "something failed: the storage, or a job that ended otherwise than wanted"
            }
            Self::Usage => "bad usage or input",
            Self::NotFound => "no such job or database",
            Self::Refused => "refused: the job's state does not allow it, or its key is held",
        }
    }

    /// The list of them, for the help.
    pub(crate) fn list() -> String {
        let lines = Self::ALL.map(|exit| format!("  {}  {}", exit as u8, exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not be done.
#[derive(Debug)]
pub(crate) struct Problem {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Problem {
    /// Something failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The input is bad.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What was named is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// Adds the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells about it on standard error, and says how to exit.
    pub(crate) fn report(&self) -> Exit {
        if !self.message.is_empty() {
            warn("error", &self.message);
        }
        if let Some(hint) = &self.hint {
            warn("hint", hint);
        }
        self.exit
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }
}

/// A message on standard error, such as `hint: ...`. Further lines of it are indented.
pub(crate) fn warn(label: &str, message: &str) {
    use io::Write;
    // If nobody listens there, there is nobody to tell.
    let _ = writeln!(io::stderr(), "{label}: {}", plain::lines(message, 2));
}

/// Has panics told like everything else: their words may come from a payload.
pub(crate) fn tell_panics_plainly() {
    std::panic::set_hook(Box::new(|panic| {
        warn("panic", &panic.to_string());
        // Only there if RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            warn("backtrace", &backtrace.to_string());
        }
    }));
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Invalid | ErrorKind::TooLarge => Exit::Usage,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Conflict => Exit::Refused,
            _ => Exit::Failed,
        };
        let mut message = error.message().to_owned();
        // As the error itself shows it: what lies below that repeats it in other words.
        if let Some(source) = StdError::source(&error) {
            message.push_str(&format!(": {source}"));
        }
        Self {
            exit,
            message,
            hint: error.next_step().map(str::to_owned),
        }
    }
}

impl From<io::Error> for Problem {
    /// From writing to standard output. Whoever closed it has read enough.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "");
        }
        Self::failed(format!("cannot write to standard output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code_and_keeps_cause_and_hint() {
        let table = [
            (ErrorKind::Invalid, Exit::Usage),
            (ErrorKind::TooLarge, Exit::Usage),
            (ErrorKind::NotFound, Exit::NotFound),
            (ErrorKind::Conflict, Exit::Refused),
            (ErrorKind::Unavailable, Exit::Failed),
            (ErrorKind::Full, Exit::Failed),
            (ErrorKind::Incompatible, Exit::Failed),
            (ErrorKind::Corrupt, Exit::Failed),
        ];
        for (kind, exit) in table {
            let problem = Problem::from(Error::new(kind, "cannot").source("why").hint("do"));
            assert_eq!(problem.exit, exit);
            assert_eq!(problem.message, "cannot: why");
            assert_eq!(problem.hint.as_deref(), Some("do"));
        }
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        let problem = Problem::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((problem.exit, problem.message.as_str()), (Exit::Ok, ""));
    }
}
