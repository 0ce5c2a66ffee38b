//! Why a model could not be set up, or a step not be computed.

use std::path::PathBuf;

use sglang_process::failure::Failure;

/// A failure of this crate. The text is one line and names the file, tensor, flag or field.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The checkpoint's files could not be read or understood.
    #[error(transparent)]
    Checkpoint(#[from] sglang_checkpoint::CheckpointError),
    /// A tensor is missing or not what the configuration says.
    #[error("{}: tensor {tensor}: expected {expected}, found {found}", file.display())]
    Tensor {
        /// File or folder of the weights.
        file: PathBuf,
        /// Name of the tensor in that file.
        tensor: String,
        /// Shape or type that the configuration asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// No model of this name is built in.
    #[error("{}: architecture {found} is not supported; supported: {supported}", file.display())]
    Architecture {
        /// File or folder of the model.
        file: PathBuf,
        /// Name in the checkpoint.
        found: String,
        /// Names of the registry, separated by commas.
        supported: String,
    },
    /// The configuration asks for something that the model's code does not do.
    #[error("{}: {field}: {why}", file.display())]
    Config {
        /// File or folder of the model.
        file: PathBuf,
        /// Field of the configuration.
        field: String,
        /// What is wrong and what would be valid.
        why: String,
    },
    /// A flag cannot be honoured.
    #[error("--{flag}{}{value}: {why}", if value.is_empty() { "" } else { " " })]
    Option {
        /// Long name of the flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is wrong and what would be valid.
        why: String,
    },
    /// A LoRA adapter cannot be served.
    #[error("{0}")]
    Adapter(String),
    /// The weights have been given back to the system (`/release_memory_occupation`).
    #[error("the weights are released; /resume_memory_occupation takes them back")]
    Released,
    /// One of the project's own kernels refused its input.
    #[error("kernel: {0}")]
    Kernel(String),
    /// libtorch reported an error.
    #[error("libtorch: {0}")]
    Torch(String),
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Released | ModelError::Kernel(_) | ModelError::Torch(_) => Failure::of_system(error),
            ModelError::Checkpoint(_)
            | ModelError::Tensor { .. }
            | ModelError::Architecture { .. }
            | ModelError::Config { .. }
            | ModelError::Option { .. }
            | ModelError::Adapter(_)
            | ModelError::Io { .. } => Failure::of_input(error),
        }
    }
}

impl From<tch::TchError> for ModelError {
    /// Keeps the first line: the rest of libtorch's text is a C++ backtrace.
    fn from(e: tch::TchError) -> Self {
        let text = e.to_string();
        Self::Torch(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, ModelError>;
