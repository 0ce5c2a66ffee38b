//! Look-ups of GGUF metadata keys without their architecture prefix.

use crate::error::CheckpointError;
use crate::gguf::GgufFile;

/// Metadata whose keys begin with the architecture, such as `llama.block_count`.
pub(super) struct Keys<'a> {
    pub(super) file: &'a GgufFile,
    pub(super) arch: &'a str,
}

impl Keys<'_> {
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    pub(super) fn opt_u64(&self, key: &str) -> Result<Option<u64>, CheckpointError> {
        self.file.metadata().opt_u64(&self.name(key))
    }

    pub(super) fn u64(&self, key: &str) -> Result<u64, CheckpointError> {
        self.file.metadata().u64(&self.name(key))
    }

    pub(super) fn opt_f64(&self, key: &str) -> Result<Option<f64>, CheckpointError> {
        self.file.metadata().opt_f64(&self.name(key))
    }

    pub(super) fn f64(&self, key: &str) -> Result<f64, CheckpointError> {
        self.file.metadata().f64(&self.name(key))
    }
}
