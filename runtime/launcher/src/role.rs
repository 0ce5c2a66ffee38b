//! The programs of the server's processes.

use std::path::PathBuf;

pub(crate) use sglang_process::peer::Peer as Role;

/// The environment variable that replaces the program of a process, if it is set.
pub(crate) fn variable(role: Role) -> Option<&'static str> {
    let variable = match role {
        Role::Scheduler => "SGLANG_SCHEDULER_BIN",
        Role::Detokenizer => "SGLANG_DETOKENIZER_BIN",
        Role::TokenizerManager => "SGLANG_TOKENIZER_MANAGER_BIN",
    };
    std::env::var_os(variable).map(|_| variable)
}

/// The program of a process: the one that its variable names, otherwise `sglang-<name>` beside the launcher's program.
pub(crate) fn program(role: Role) -> std::io::Result<PathBuf> {
    if let Some(path) = variable(role).and_then(std::env::var_os) {
        return Ok(path.into());
    }
    Ok(std::env::current_exe()?.with_file_name(format!("sglang-{}", role.name())))
}
