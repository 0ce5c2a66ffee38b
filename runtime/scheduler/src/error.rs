//! Why the scheduler process cannot start or go on.

/// An error of the scheduler process.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A link cannot be opened.
    #[error(transparent)]
    Ipc(#[from] sglang_ipc::IpcError),
    /// The system refused a thread or runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A setting the planner cannot work with.
    #[error(transparent)]
    Planner(#[from] sglang_planner::PlannerError),
    /// The model file or folder cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] sglang_checkpoint::CheckpointError),
    /// The model or its tokenizer cannot be loaded.
    #[error("{0}")]
    Model(String),
    /// The model gave up for good.
    #[error(transparent)]
    Worker(#[from] sglang_proto::worker::WorkerError),
    /// `--ipc-dir` is missing.
    #[error("--ipc-dir is needed when a process is started by hand; it names the folder of the sockets")]
    NoIpcDir,
}
