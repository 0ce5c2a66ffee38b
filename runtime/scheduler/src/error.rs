//! Errors that end the scheduler process.

use sglang_planner::PlannerError;
use sglang_process::failure::Failure;

/// An error of the scheduler process.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A link cannot be opened.
    #[error(transparent)]
    Ipc(#[from] sglang_ipc::IpcError),
    /// The system cannot start a thread or the async runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A setting of the planner is invalid.
    #[error(transparent)]
    Planner(#[from] PlannerError),
    /// The model file or folder cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] sglang_checkpoint::CheckpointError),
    /// Tokenizer or template cannot be read or do not fit the model.
    #[error("{0}")]
    Tokenizer(String),
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(#[from] Failure),
    /// The model failed permanently.
    #[error(transparent)]
    Worker(#[from] sglang_proto::worker::WorkerError),
    /// `--ipc-dir` is missing.
    #[error("--ipc-dir is needed when a process is started by hand; it names the folder of the sockets")]
    NoIpcDir,
}

impl From<SchedulerError> for Failure {
    fn from(error: SchedulerError) -> Self {
        match error {
            SchedulerError::Model(failure) => failure,
            SchedulerError::Planner(PlannerError::InvalidConfig { .. })
            | SchedulerError::Checkpoint(_)
            | SchedulerError::Tokenizer(_)
            | SchedulerError::NoIpcDir => Failure::of_input(error),
            SchedulerError::Ipc(_)
            | SchedulerError::Thread(_)
            | SchedulerError::Planner(_)
            | SchedulerError::Worker(_) => Failure::of_system(error),
        }
    }
}
