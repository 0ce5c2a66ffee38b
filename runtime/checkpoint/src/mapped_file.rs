//! A read-only memory-mapped file that knows its path for error messages, and parts of it.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::CheckpointError;

/// Bytes per thread for which reading with another thread pays off.
const PER_THREAD: usize = 2 << 20;
/// Most threads; more do not make memory faster.
const MOST_THREADS: usize = 4;

/// The bytes of a file. Pages are read on first access.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    file: File,
    map: Mmap,
}

impl MappedFile {
    /// Maps `path`. Fails if the file cannot be opened or is empty.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::io(path, source);
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() || meta.len() == 0 {
            let found = if meta.is_file() { "an empty file" } else { "something that is not a file" };
            return Err(CheckpointError::malformed(path, "content", "model data", found));
        }
        // SAFETY: the mapping is private and read-only. Truncating a checkpoint while it is mapped would cause a fault,
        // as in every loader that maps files. Replacing a file by rename, which is usual, leaves the mapped inode
        // intact.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { path: path.to_owned(), file, map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// A part of the file; `None` if the file is shorter.
    pub(crate) fn part(&self, range: Range<usize>) -> Option<FileBytes<'_>> {
        let bytes = self.bytes().get(range.clone())?;
        Some(FileBytes { file: self, start: range.start, bytes })
    }
}

/// A part of a checkpoint file.
#[derive(Debug, Clone, Copy)]
pub struct FileBytes<'a> {
    file: &'a MappedFile,
    start: usize,
    bytes: &'a [u8],
}

impl<'a> FileBytes<'a> {
    /// The mapped bytes. Reading them makes them resident until [`Self::release`].
    pub fn mapped(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the part is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A range of this part; `None` if this part is shorter.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let bytes = self.bytes.get(range.clone())?;
        Some(Self { bytes, start: self.start + range.start, ..*self })
    }

    /// Copies the bytes into `target`, which must have the same length, with several threads if there are many bytes.
    /// Reads the file instead of its mapping, so that only `target` becomes resident.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] with the name of the file, also if the file has become shorter.
    pub fn read_into(&self, target: &mut [u8]) -> Result<(), CheckpointError> {
        let read = |target: &mut [u8], at: usize| self.file.file.read_exact_at(target, at as u64);
        if target.len() != self.len() {
            let wrong =
                io::Error::new(io::ErrorKind::InvalidInput, "memory of another length than the tensor");
            return Err(CheckpointError::io(self.file.path(), wrong));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (target.len() / PER_THREAD).min(cores).clamp(1, MOST_THREADS);
        let piece = target.len().div_ceil(threads).max(1);
        let result = std::thread::scope(|scope| {
            let mut pieces = target.chunks_mut(piece).zip((self.start..).step_by(piece));
            let first = pieces.next();
            let others: Vec<_> = pieces.map(|(target, at)| scope.spawn(move || read(target, at))).collect();
            let mut result = first.map_or(Ok(()), |(target, at)| read(target, at));
            for other in others {
                let panicked = || Err(io::Error::other("a reading thread panicked"));
                result = result.and(other.join().unwrap_or_else(|_| panicked()));
            }
            result
        });
        result.map_err(|e| CheckpointError::io(self.file.path(), e))
    }

    /// Releases the memory that the mapping's pages take. The bytes can be read again.
    pub fn release(&self) {
        // SAFETY: the mapping is a read-only view of a file and is never written to, so a dropped page is read from the
        // file again.
        let advised = unsafe {
            self.file.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.start, self.len())
        };
        if let Err(error) = advised {
            tracing::debug!("{}: pages could not be released: {error}", self.file.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_whole_by_one_thread_and_by_several() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        let content: Vec<u8> = (0..9_000_001_u32).map(|i| (i * 7 + i / 255) as u8).collect();
        std::fs::write(&path, &content).expect("written");
        let file = MappedFile::open(&path).expect("mapped");
        for range in [0..content.len(), 3..5, 17..8_388_700, 5..5] {
            let part = file.part(range.clone()).expect("inside");
            let mut target = vec![0; part.len()];
            part.read_into(&mut target).expect("read");
            assert!(target == content[range.clone()] && target == part.mapped(), "{range:?}");
            part.release();
            assert!(target == part.mapped(), "{range:?} after its release");
        }
        assert!(file.part(5..content.len() + 1).is_none());
        let part = file.part(10..30).expect("inside");
        assert_eq!(part.slice(5..10).expect("inside").mapped(), &content[15..20]);
        assert!(part.read_into(&mut [0; 3]).is_err());
    }

    #[test]
    fn reading_a_file_that_became_shorter_is_an_error() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        std::fs::write(&path, vec![1; 100_000]).expect("written");
        let file = MappedFile::open(&path).expect("mapped");
        File::options().write(true).open(&path).and_then(|f| f.set_len(10)).expect("cut");
        let error =
            file.part(0..100_000).expect("inside").read_into(&mut vec![0; 100_000]).expect_err("short");
        assert!(error.to_string().contains(path.to_str().expect("text")), "{error}");
    }
}
