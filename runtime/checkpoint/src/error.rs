//! The error type of this crate. Every message names the file and, if there is one, the key or tensor.

use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system could not open, map or read a file.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The path is not a model in a known format.
    #[error("{}: no model found: {looked_for}", path.display())]
    NotACheckpoint {
        /// The path as given.
        path: PathBuf,
        /// What was looked for and what was found.
        looked_for: String,
    },
    /// A file violates its format.
    #[error("{}: {place}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part of the file: a header field, a key, a tensor.
        place: String,
        /// What the format requires.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// The checkpoint lacks a requested tensor.
    #[error("{}: no tensor named `{tensor}`", path.display())]
    MissingTensor {
        /// The file or folder.
        path: PathBuf,
        /// The requested name.
        tensor: String,
    },
    /// A required key is absent.
    #[error("{}: key `{key}` is missing (expected {expected})", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The missing key.
        key: String,
        /// What its value should be.
        expected: &'static str,
    },
    /// The value of a key has the wrong type or is out of range.
    #[error("{}: key `{key}`: expected {expected}, found {found}", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What would be valid.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// The file is valid, but needs a feature that is not implemented.
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
