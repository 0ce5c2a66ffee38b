//! A read-only memory-mapped file that remembers its path for error messages.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::CheckpointError;

/// The bytes of a file. Pages are read when they are touched.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps `path`. Fails when it cannot be opened or is empty.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::io(path, source);
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() || meta.len() == 0 {
            let found = if meta.is_file() { "an empty file" } else { "something that is not a file" };
            return Err(CheckpointError::malformed(path, "content", "model data", found));
        }
        // SAFETY: the mapping is private and read-only. A checkpoint that is truncated while it is served would
        // fault, as in every loader that maps files; replacing a file by rename, the usual way, leaves the mapped
        // inode whole.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}
