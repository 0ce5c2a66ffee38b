//! Bounds-checked little-endian reading of a GGUF header.

use std::ops::Range;
use std::path::Path;

use crate::error::CheckpointError;

/// A position in the bytes of a file. Every read checks bounds; its error names the field that was being read.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Skips `len` bytes and returns their range.
    pub(super) fn skip(
        &mut self,
        len: u64,
        place: &dyn Fn() -> String,
    ) -> Result<Range<usize>, CheckpointError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        match end {
            Some(end) if end <= self.bytes.len() => {
                let range = self.at..end;
                self.at = end;
                Ok(range)
            }
            _ => Err(CheckpointError::malformed(
                self.path,
                place(),
                format!("{len} bytes at offset {}", self.at),
                format!("the end of the file at {} (truncated or corrupt)", self.bytes.len()),
            )),
        }
    }

    fn array<const N: usize>(&mut self, place: &dyn Fn() -> String) -> Result<[u8; N], CheckpointError> {
        let range = self.skip(N as u64, place)?;
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[range]);
        Ok(out)
    }

    pub(super) fn u8(&mut self, place: &dyn Fn() -> String) -> Result<u8, CheckpointError> {
        Ok(self.array::<1>(place)?[0])
    }

    pub(super) fn u16(&mut self, place: &dyn Fn() -> String) -> Result<u16, CheckpointError> {
        Ok(u16::from_le_bytes(self.array(place)?))
    }

    pub(super) fn u32(&mut self, place: &dyn Fn() -> String) -> Result<u32, CheckpointError> {
        Ok(u32::from_le_bytes(self.array(place)?))
    }

    pub(super) fn u64(&mut self, place: &dyn Fn() -> String) -> Result<u64, CheckpointError> {
        Ok(u64::from_le_bytes(self.array(place)?))
    }

    /// A string: 64-bit length, then UTF-8.
    pub(super) fn string(&mut self, place: &dyn Fn() -> String) -> Result<&'a str, CheckpointError> {
        let len = self.u64(place)?;
        let range = self.skip(len, place)?;
        std::str::from_utf8(&self.bytes[range])
            .map_err(|e| CheckpointError::malformed(self.path, place(), "UTF-8 text", e.to_string()))
    }
}
