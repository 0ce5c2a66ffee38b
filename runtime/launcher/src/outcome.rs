//! How a run ends: the line that says it and the exit code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use sglang_hub::HubError;

use crate::child::Death;
use crate::role::Role;

/// The server never got as far as having processes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(
        "--model-path {0}: there is no such folder or file; give a checkpoint folder, a GGUF file, or a repository of the \
         hub (org/name)"
    )]
    NoModel(String),
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file of `--ssl-…` cannot be used.
    #[error("{0}")]
    Tls(String),
    #[error("{0}={1}: expected a number of seconds")]
    BadEnvironment(&'static str, String),
    #[error("--host {0}: {1}; give an address of this machine, such as 127.0.0.1 or 0.0.0.0")]
    BadHost(String, std::io::Error),
    #[error("port {} of {} is already in use; choose another with --port, or end the process that listens there",
        .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("--ipc-dir {0}: {1}")]
    IpcDir(PathBuf, String),
    #[error("cannot start the {role}: {1}: {2}", role = .0.name())]
    Spawn(Role, PathBuf, std::io::Error),
    #[error("{0} failed: {1}")]
    System(&'static str, std::io::Error),
}

impl LaunchError {
    /// 2 where the command line or the environment is wrong, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            LaunchError::Hub(
                HubError::RepositoryNotFound { .. }
                | HubError::RevisionNotFound { .. }
                | HubError::NoModel { .. },
            ) => 2,
            LaunchError::NoModel(_)
            | LaunchError::Tls(_)
            | LaunchError::BadEnvironment(..)
            | LaunchError::BadHost(..) => 2,
            _ => 1,
        }
    }
}

/// How a run with processes ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A process said that it cannot start.
    StartFailed(Role, String),
    /// A process ended before it was ready, without saying why.
    DiedBeforeReady(Role, Death),
    /// Not every process was ready in time: which, after how long, and the last phase it reported.
    StartTimedOut(Role, Duration, Option<String>),
    /// The warm-up request was not answered well.
    WarmupFailed(String),
    /// A process ended while the server was running.
    Died(Role, Death),
    /// SIGTERM, and every running request has finished.
    Drained,
    /// SIGTERM, and some had not finished when their time was over.
    DrainTimedOut(Duration),
    /// A signal that asks for an end at once.
    Interrupted(Signal),
    /// SIGTERM before the server was up.
    StoppedBeforeUp,
}

impl Outcome {
    /// 0: SIGTERM. 1: could not start. 3: a process died at run time. 128 + n: signal n asked for an end at once.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Outcome::Drained | Outcome::DrainTimedOut(_) | Outcome::StoppedBeforeUp => 0,
            Outcome::StartFailed(..)
            | Outcome::DiedBeforeReady(..)
            | Outcome::StartTimedOut(..)
            | Outcome::WarmupFailed(_) => 1,
            Outcome::Died(..) => 3,
            Outcome::Interrupted(signal) => u8::try_from(*signal as i32).unwrap_or(0).saturating_add(128),
        }
    }

    /// Logs the one line that says what happened.
    pub(crate) fn log(&self) {
        match self {
            Outcome::StartFailed(role, error) => tracing::error!("the {} cannot start: {error}", role.name()),
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
            Outcome::Died(role, death) => tracing::error!("the {} {death}; the server ends", role.name()),
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
