//! One safetensors file.

use std::path::Path;

use ::safetensors::tensor::{Metadata, SafeTensorError, SafeTensors};

use super::TensorView;
use crate::error::CheckpointError;
use crate::mapped_file::{FileBytes, MappedFile};

/// Size of the length field before the JSON header.
const LENGTH_BYTES: usize = 8;

#[derive(Debug)]
pub(super) struct Shard {
    file: MappedFile,
    metadata: Metadata,
    data_start: usize,
}

impl Shard {
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = MappedFile::open(path)?;
        let (header, metadata) = SafeTensors::read_metadata(file.bytes()).map_err(|e| explain(&file, e))?;
        Ok(Self { file, metadata, data_start: LENGTH_BYTES + header })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.metadata.offset_keys().into_iter()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let info = self.metadata.info(name)?;
        Some(TensorView { dtype: info.dtype, shape: &info.shape, data: self.part(name)?.mapped() })
    }

    pub(super) fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        let (start, end) = self.metadata.info(name)?.data_offsets;
        self.file.part(self.data_start + start..self.data_start + end)
    }
}

/// Turns a parse error into one that names the invalid part; for a truncated file, the first incomplete tensor.
fn explain(file: &MappedFile, error: SafeTensorError) -> CheckpointError {
    let (path, bytes) = (file.path(), file.bytes());
    let header = bytes.first_chunk::<LENGTH_BYTES>().map(|b| u64::from_le_bytes(*b));
    let Some(header) = header.and_then(|n| usize::try_from(n).ok()) else {
        let found = format!("a file of {} bytes", bytes.len());
        return CheckpointError::malformed(path, "header length", "8 bytes", found);
    };
    let json = header.checked_add(LENGTH_BYTES).and_then(|end| bytes.get(LENGTH_BYTES..end));
    let Some(json) = json else {
        let found = format!("a file of {} bytes (truncated, or not safetensors)", bytes.len());
        return CheckpointError::malformed(path, "header", format!("{header} bytes of JSON"), found);
    };
    if let (SafeTensorError::MetadataIncompleteBuffer, Ok(metadata)) =
        (&error, serde_json::from_slice::<Metadata>(json))
    {
        let have = bytes.len() - LENGTH_BYTES - header;
        let first_cut = metadata
            .offset_keys()
            .into_iter()
            .filter_map(|name| metadata.info(&name).map(|info| (info.data_offsets.1, name)))
            .find(|(end, _)| *end > have);
        let place = first_cut.as_ref().map_or("data".into(), |(_, name)| format!("tensor `{name}`"));
        let expected = first_cut.map_or(metadata.data_len(), |(end, _)| end);
        return CheckpointError::malformed(
            path,
            place,
            format!("data up to byte {expected} after the header"),
            format!("{have} bytes (truncated or corrupt)"),
        );
    }
    CheckpointError::malformed(path, "header", "valid safetensors metadata", error.to_string())
}
