//! Why a process cannot start or go on, and whose fault that is: the exit code says it (`docs/operations.md`).

use std::fmt;
use std::process::ExitCode;

/// A process ends. The text is one line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// The command line, a variable, or what they name (a model, a tokenizer, an adapter, a template) is wrong: 2.
    pub fn of_input(text: impl fmt::Display) -> Self {
        Failure { text: text.to_string(), exit_code: 2 }
    }

    /// Anything else, such as memory, a device, a socket or a thread: 1.
    pub fn of_system(text: impl fmt::Display) -> Self {
        Failure { text: text.to_string(), exit_code: 1 }
    }

    /// What the program's exit code is to be.
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

/// Logs why a process ended, if not because it was told to, and gives its exit code. `role` is as log lines name it.
pub fn exit(role: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{role} hit an exception: {failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}
