//! Errors of loading and using a tokenizer.

use std::path::{Path, PathBuf};

use sglang_checkpoint::CheckpointError;

/// Errors of this crate, except those of chat templates.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A tokenizer file is missing or invalid.
    #[error("{}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be valid.
        what: String,
    },
    /// A text cannot be encoded.
    #[error("the tokenizer cannot encode the text: {0}")]
    Encode(String),
}

impl TokenizerError {
    pub(crate) fn invalid(path: &Path, what: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), what: what.into() }
    }
}
