//! The error of this crate.

use std::path::Path;

/// A file of the `--ssl-…` flags cannot be used. The text is one line that names the flag and the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag} {path}: {why}")]
pub struct TlsError {
    /// The flag without dashes.
    pub flag: &'static str,
    /// The file.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

impl TlsError {
    pub(crate) fn new(flag: &'static str, path: &Path, why: impl ToString) -> Self {
        Self { flag, path: path.display().to_string(), why: why.to_string() }
    }
}
