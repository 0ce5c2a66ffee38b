//! Errors of loading and running models.

use std::path::PathBuf;

use sglang_process::failure::Failure;

/// A failure of this crate. The text is one line and names the file, tensor, flag or field.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the checkpoint is unreadable or invalid.
    #[error(transparent)]
    Checkpoint(#[from] sglang_checkpoint::CheckpointError),
    /// A tensor is missing or does not fit the configuration.
    #[error("{}: tensor {tensor}: expected {expected}, found {found}", file.display())]
    Tensor {
        /// File or folder of the weights.
        file: PathBuf,
        /// Name of the tensor in that file.
        tensor: String,
        /// Expected shape or type.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The architecture is not supported.
    #[error("{}: architecture {found} is not supported; supported: {supported}", file.display())]
    Architecture {
        /// File or folder of the model.
        file: PathBuf,
        /// Architecture in the checkpoint.
        found: String,
        /// Supported architectures, separated by commas.
        supported: String,
    },
    /// A field of the configuration has an invalid or unsupported value.
    #[error("{}: {field}: {why}", file.display())]
    Config {
        /// File or folder of the model.
        file: PathBuf,
        /// Field of the configuration.
        field: String,
        /// What is wrong and what would be valid.
        why: String,
    },
    /// The value of a flag is invalid or cannot be applied.
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
    /// The weights are released (`/release_memory_occupation`).
    #[error("the weights are released; /resume_memory_occupation takes them back")]
    Released,
    /// One of the project's kernels rejected its arguments.
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
    /// Keeps only the first line; the rest of libtorch's text is a C++ backtrace.
    fn from(e: tch::TchError) -> Self {
        let text = e.to_string();
        Self::Torch(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, ModelError>;
