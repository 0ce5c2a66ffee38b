//! Why a process cannot start or continue. The exit code distinguishes invalid input from other causes
//! (`docs/operations.md`).

use std::fmt;
use std::process::ExitCode;

/// Why a process ends. The text is one line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// Exit code 2: the command line, a variable or something they name (a model, a tokenizer, an adapter, a template)
    /// is invalid.
    pub fn of_input(text: impl fmt::Display) -> Self {
        Failure { text: text.to_string(), exit_code: 2 }
    }

    /// Exit code 1: anything else, such as memory, a device, a socket or a thread.
    pub fn of_system(text: impl fmt::Display) -> Self {
        Failure { text: text.to_string(), exit_code: 1 }
    }

    /// Exit code of the program.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Returns the exit code of a process; after a failure, also logs the reason. `role` is the name of the process in log
/// lines.
pub fn exit(role: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{role} hit an exception: {failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}
