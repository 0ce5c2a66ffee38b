//! How a run ends: its last log line and its exit code.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use sglang_hub::HubError;
use sglang_process::listen::ListenError;

use crate::child::Death;
use crate::role::Role;

/// Why a run ended before it started processes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(
        "--model-path {0}: there is no such folder or file; give a checkpoint folder, a GGUF file, or a repository of the \
         hub (org/name)"
    )]
    NoModel(String),
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file of `--ssl-…` is unusable.
    #[error("{0}")]
    Tls(String),
    #[error("{0}={1}: expected a number of seconds")]
    BadEnvironment(&'static str, String),
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The folder of `--ipc-dir` is unusable.
    #[error("--ipc-dir {0}: {1}")]
    BadIpcDir(PathBuf, String),
    #[error("--ipc-dir {0}: another running server uses this folder; name another, or end that server")]
    IpcDirInUse(PathBuf),
    #[error("there is no folder for the sockets between the processes; tried {0}; name one with --ipc-dir")]
    NoIpcDir(String),
    #[error("cannot start the {role}: {}{}: {source}", variable.map(|v| format!("{v}=")).unwrap_or_default(),
        program.display())]
    Spawn {
        role: Role,
        /// The variable that names the program, if it is set.
        variable: Option<&'static str>,
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("{0} failed: {1}")]
    System(&'static str, std::io::Error),
}

impl LaunchError {
    /// 2 if the command line or the environment is invalid, otherwise 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            LaunchError::Hub(error) if error.is_of_input() => 2,
            LaunchError::Spawn { variable: Some(_), .. } => 2,
            LaunchError::NoModel(_)
            | LaunchError::Tls(_)
            | LaunchError::BadEnvironment(..)
            | LaunchError::Listen(ListenError::BadHost(..))
            | LaunchError::BadIpcDir(..) => 2,
            _ => 1,
        }
    }
}

/// How a run with processes ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A process reported that it cannot start: its role, the reason and its exit code.
    StartFailed(Role, String, u8),
    /// A process ended before it was ready, without reporting why.
    DiedBeforeReady(Role, Death),
    /// A process was not ready in time: its role, the time limit, and the last phase it reported.
    StartTimedOut(Role, Duration, Option<String>),
    /// The warm-up request failed.
    WarmupFailed(String),
    /// A process ended while the server was up, and is not restarted: its role, how it ended, and the number of
    /// restarts within the given time, if there were any.
    Died(Role, String, Option<(usize, Duration)>),
    /// SIGTERM; all running requests have finished.
    Drained,
    /// SIGTERM; some requests did not finish within this time.
    DrainTimedOut(Duration),
    /// A signal that requests an immediate end.
    Interrupted(Signal),
    /// SIGTERM before the server was up.
    StoppedBeforeUp,
}

impl Outcome {
    /// 0: SIGTERM. 1: could not start. 2: the command line, a variable or something they name is invalid. 3: a process
    /// died at run time and was not restarted. 128 + n: signal n requested an immediate end.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Outcome::Drained | Outcome::DrainTimedOut(_) | Outcome::StoppedBeforeUp => 0,
            Outcome::StartFailed(_, _, code) => *code,
            Outcome::DiedBeforeReady(_, Death::Code(2)) => 2,
            Outcome::DiedBeforeReady(..) | Outcome::StartTimedOut(..) | Outcome::WarmupFailed(_) => 1,
            Outcome::Died(..) => 3,
            Outcome::Interrupted(signal) => u8::try_from(*signal as i32).unwrap_or(0).saturating_add(128),
        }
    }

    /// Logs one line that says what happened.
    pub(crate) fn log(&self) {
        match self {
            Outcome::StartFailed(role, error, _) => {
                tracing::error!("the {} cannot start: {error}", role.name())
            }
            Outcome::DiedBeforeReady(role, death) => {
                tracing::error!("the {} {death} before it was ready; the server ends", role.name());
            }
            Outcome::StartTimedOut(role, after, phase) => {
                let last = phase
                    .as_deref()
                    .map(|p| format!("; its last finished part was: {p}"))
                    .unwrap_or_default();
                tracing::error!("the {} was not ready after {} s{last}", role.name(), after.as_secs_f64());
            }
            Outcome::WarmupFailed(why) => {
                tracing::error!("the warm-up request failed: {why}; the server ends")
            }
            Outcome::Died(role, how, None) => tracing::error!("the {role} {how}; the server ends"),
            Outcome::Died(role, how, Some((restarts, window))) => tracing::error!(
                "the {role} {how}, after {restarts} restarts within {} s (--max-restarts, --restart-window); the server ends",
                window.as_secs_f64()
            ),
            Outcome::Drained => {
                tracing::info!("SIGTERM: running requests have finished and all processes have ended")
            }
            Outcome::DrainTimedOut(after) => tracing::warn!(
                "SIGTERM: some requests had not finished after {} s; all processes were ended",
                after.as_secs_f64()
            ),
            Outcome::Interrupted(signal) => tracing::info!("{signal}: all processes have been ended at once"),
            Outcome::StoppedBeforeUp => {
                tracing::info!("SIGTERM during start-up: all processes have been ended")
            }
        }
    }
}
