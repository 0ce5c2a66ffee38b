//! What every process of a server needs: its arguments, log lines in the reference's format, start-up reports to the
//! launcher, control words from it, heartbeats, the listening socket, and termination signals.
//!
//! A process that the launcher starts inherits file descriptors, whose numbers are in environment variables
//! (`docs/operations.md` describes the protocol). In a process started by hand, without them, the same calls do nothing
//! and say so in their result.

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
/// Environment variable with the descriptor for the process's start-up report.
pub const READY_FD: &str = "SGLANG_READY_FD";
/// Environment variable with the descriptor from which a process reads control words.
pub const CONTROL_FD: &str = "SGLANG_CONTROL_FD";
/// Environment variable with the descriptor of the process's heartbeat page.
pub const HEARTBEAT_FD: &str = "SGLANG_HEARTBEAT_FD";
/// Environment variable with the number of this life of the process. It is larger than the numbers of all lives, of any
/// process, that the launcher started before.
pub const LIFE: &str = "SGLANG_LIFE";
