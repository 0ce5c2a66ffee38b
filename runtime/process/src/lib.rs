//! What every process of a server needs from its surroundings: its arguments, log lines in the reference's form, the
//! report to the launcher that it is ready, the launcher's words to it, signs of life, its listening socket, and
//! termination signals.
//!
//! A process that the launcher starts inherits some file descriptors, whose numbers are in the environment
//! (`docs/operations.md` has the protocol). Started by hand without them, the same calls do nothing and say so.

pub mod control;
pub mod ending;
pub mod env;
pub mod failure;
pub mod heartbeat;
mod inherited;
pub mod ipc_folder;
pub mod listen;
pub mod logging;
pub mod peer;
pub mod ready;
pub mod signals;
pub mod start;

/// Environment variable with the descriptor of the listening TCP socket (tokenizer manager only).
pub const LISTEN_FD: &str = "SGLANG_LISTEN_FD";
/// Environment variable with the descriptor to which a process writes its start-up report.
pub const READY_FD: &str = "SGLANG_READY_FD";
/// Environment variable with the descriptor from which a process reads the launcher's words.
pub const CONTROL_FD: &str = "SGLANG_CONTROL_FD";
/// Environment variable with the descriptor of the page in which a process shows signs of life.
pub const HEARTBEAT_FD: &str = "SGLANG_HEARTBEAT_FD";
/// Environment variable with the number of this life of the process: larger than that of every life that the launcher
/// started before, of any process.
pub const LIFE: &str = "SGLANG_LIFE";
