//! The processes of a server.

use std::path::PathBuf;

/// A process that the launcher starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs the model.
    Scheduler,
    /// Turns token ids into text.
    Detokenizer,
    /// Speaks HTTP.
    TokenizerManager,
}

impl Role {
    /// In the order of starting: the scheduler has most to do.
    pub(crate) const ALL: [Role; 3] = [Role::Scheduler, Role::Detokenizer, Role::TokenizerManager];

    /// As log lines name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Scheduler => "scheduler",
            Role::Detokenizer => "detokenizer",
            Role::TokenizerManager => "tokenizer-manager",
        }
    }

    /// The environment variable that names the program, if it is set.
    pub(crate) fn variable(self) -> Option<&'static str> {
        let variable = match self {
            Role::Scheduler => "SGLANG_SCHEDULER_BIN",
            Role::Detokenizer => "SGLANG_DETOKENIZER_BIN",
            Role::TokenizerManager => "SGLANG_TOKENIZER_MANAGER_BIN",
        };
        std::env::var_os(variable).map(|_| variable)
    }

    /// The program: what its variable names, else the file `sglang-<name>` beside the launcher's own.
    pub(crate) fn program(self) -> std::io::Result<PathBuf> {
        if let Some(path) = self.variable().and_then(std::env::var_os) {
            return Ok(path.into());
        }
        Ok(std::env::current_exe()?.with_file_name(format!("sglang-{}", self.name())))
    }
}
