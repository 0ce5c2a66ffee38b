//! The one error type of this crate. Every message names the file, and the key or tensor where there is one.

use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused to open, map or read a file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path is not a model in any form known here.
    #[error("{}: no model found: {looked_for}", path.display())]
    NotACheckpoint {
        /// The path as given.
        path: PathBuf,
        /// What was looked for and what was there instead.
        looked_for: String,
    },
    /// A file breaks its own format.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part of the file: a header field, a key, a tensor.
        place: String,
        /// What the format asks for.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// A tensor that is asked for is not in the checkpoint.
    #[error("{}: no tensor named `{tensor}`", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The name asked for.
        tensor: String,
    },
    /// A key that the model cannot do without is absent.
    #[error("{}: key `{key}` is missing (expected {expected})", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The absent key.
        key: String,
        /// What its value would have been.
        expected: &'static str,
    },
    /// A key has a value of the wrong type or out of its range.
    #[error("{}: key `{key}`: expected {expected}, found {found}", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What would have been valid.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// A well-formed file that asks for something not implemented.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported and what is.
        what: String,
    },
}

impl CheckpointError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(
        path: &Path,
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            place: place.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn wrong_key(
        path: &Path,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::WrongKey {
            path: path.to_owned(),
            key: key.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}
