//! One GGUF file: its header, which is read and checked on opening, and the positions of its tensors.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::cursor::Cursor;
use super::metadata::{self, Metadata, MetadataValue};
use super::types::{self, GgmlType};
use crate::error::CheckpointError;
use crate::mapped_file::MappedFile;

/// Alignment of tensor data if `general.alignment` is absent.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Where a tensor is in its file.
#[derive(Debug)]
pub(super) struct TensorInfo {
    pub(super) shape: Vec<usize>,
    pub(super) ggml_type: GgmlType,
    pub(super) bytes: Range<usize>,
}

/// An open file. Only its header has been read.
#[derive(Debug)]
pub(super) struct GgufPart {
    pub(super) file: MappedFile,
    pub(super) version: u32,
    values: HashMap<String, MetadataValue>,
    pub(super) tensors: HashMap<String, TensorInfo>,
    /// In the order of the file.
    pub(super) names: Vec<String>,
}

impl GgufPart {
    /// Opens a file and checks its header: every key, every array and the bounds of every tensor.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = MappedFile::open(path)?;
        let bytes = file.bytes();
        let mut c = Cursor::new(path, bytes);
        let version = read_version(&mut c, path)?;
        let tensor_count = c.u64(&|| "tensor count".into())?;
        let value_count = c.u64(&|| "metadata count".into())?;
        check_count(path, "metadata count", value_count, 13, c.remaining())?;
        let mut values = HashMap::with_capacity(value_count as usize);
        for i in 0..value_count {
            let key = c.string(&|| format!("name of metadata entry {i} of {value_count}"))?;
            let value = read_value_once(&mut c, path, key, &values)?;
            values.insert(key.to_owned(), value);
        }
        let alignment = read_alignment(path, &values)?;
        check_count(path, "tensor count", tensor_count, 24, c.remaining())?;
        let mut infos = Vec::with_capacity(tensor_count as usize);
        for i in 0..tensor_count {
            infos.push(read_tensor_info(&mut c, path, i)?);
        }
        let data_start = (c.position() as u64).next_multiple_of(alignment);
        let mut tensors = HashMap::with_capacity(infos.len());
        let mut names = Vec::with_capacity(infos.len());
        for info in infos {
            let RawTensorInfo { name, shape, ggml_type, offset, size } = info;
            let bytes = place_tensor(path, &name, data_start, alignment, offset, size, bytes.len())?;
            if tensors.insert(name.clone(), TensorInfo { shape, ggml_type, bytes }).is_some() {
                return Err(CheckpointError::malformed(path, format!("tensor `{name}`"), "one entry", "two"));
            }
            names.push(name);
        }
        Ok(Self { file, version, values, tensors, names })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn metadata(&self) -> Metadata<'_> {
        Metadata { path: self.file.path(), bytes: self.file.bytes(), values: &self.values }
    }
}

fn read_version(c: &mut Cursor<'_>, path: &Path) -> Result<u32, CheckpointError> {
    let magic = c.u32(&|| "magic".into())?.to_le_bytes();
    if &magic != b"GGUF" {
        let found = magic.escape_ascii().to_string();
        return Err(CheckpointError::malformed(path, "magic", "a GGUF file (`GGUF`)", format!("`{found}`")));
    }
    match c.u32(&|| "version".into())? {
        version @ 2..=3 => Ok(version),
        swapped if matches!(swapped.swap_bytes(), 2..=3) => Err(CheckpointError::malformed(
            path,
            "version",
            "a little-endian file",
            "a big-endian file (convert it with gguf-convert-endian)",
        )),
        other => Err(CheckpointError::malformed(path, "version", "2 or 3", other.to_string())),
    }
}

/// Returns an error if the rest of the file cannot hold `count` entries, before memory is reserved for them.
fn check_count(
    path: &Path,
    place: &str,
    count: u64,
    least_size: u64,
    left: usize,
) -> Result<(), CheckpointError> {
    let room = left as u64 / least_size;
    if count > room {
        let expected = format!("at most {room} (the file has {left} bytes left)");
        return Err(CheckpointError::malformed(path, place, expected, count.to_string()));
    }
    Ok(())
}

fn read_value_once(
    c: &mut Cursor<'_>,
    path: &Path,
    key: &str,
    seen: &HashMap<String, MetadataValue>,
) -> Result<MetadataValue, CheckpointError> {
    if seen.contains_key(key) {
        return Err(CheckpointError::malformed(path, format!("metadata key `{key}`"), "one entry", "two"));
    }
    metadata::read_value(c, path, key)
}

fn read_alignment(path: &Path, values: &HashMap<String, MetadataValue>) -> Result<u64, CheckpointError> {
    let key = "general.alignment";
    let Some(value) = (Metadata { path, bytes: &[], values }).opt_u64(key)? else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    if value.is_power_of_two() && (8..=1 << 20).contains(&value) {
        Ok(value)
    } else {
        Err(CheckpointError::wrong_key(path, key, "a power of two from 8 to 1048576", value.to_string()))
    }
}

struct RawTensorInfo {
    name: String,
    shape: Vec<usize>,
    ggml_type: GgmlType,
    offset: u64,
    size: usize,
}

fn read_tensor_info(c: &mut Cursor<'_>, path: &Path, index: u64) -> Result<RawTensorInfo, CheckpointError> {
    let name = c.string(&|| format!("name of tensor {index}"))?.to_owned();
    let place = || format!("tensor `{name}`");
    let dims = c.u32(&place)?;
    if !(1..=4).contains(&dims) {
        return Err(CheckpointError::malformed(path, place(), "1 to 4 dimensions", dims.to_string()));
    }
    let mut shape = Vec::with_capacity(dims as usize);
    for _ in 0..dims {
        let dim = c.u64(&place)?;
        shape.push(usize::try_from(dim).map_err(|_| {
            CheckpointError::malformed(path, place(), "a dimension that fits", dim.to_string())
        })?);
    }
    let id = c.u32(&place)?;
    let ggml_type = GgmlType::from_id(id).ok_or_else(|| {
        let readable = GgmlType::ALL.map(GgmlType::name).join(", ");
        let found = format!("{} (type {id})", types::unreadable_name(id));
        CheckpointError::malformed(path, place(), format!("one of the types {readable}"), found)
    })?;
    let offset = c.u64(&place)?;
    let row = shape.first().copied().unwrap_or(0);
    let size = shape
        .iter()
        .try_fold(1_usize, |n, d| n.checked_mul(*d))
        .filter(|_| row.is_multiple_of(ggml_type.block_len()))
        .and_then(|n| ggml_type.bytes_for(n))
        .ok_or_else(|| {
            let expected = format!("rows of whole {ggml_type} blocks of {} elements", ggml_type.block_len());
            CheckpointError::malformed(path, place(), expected, format!("dimensions {shape:?}"))
        })?;
    shape.reverse();
    Ok(RawTensorInfo { name, shape, ggml_type, offset, size })
}

fn place_tensor(
    path: &Path,
    name: &str,
    data_start: u64,
    alignment: u64,
    offset: u64,
    size: usize,
    file_len: usize,
) -> Result<Range<usize>, CheckpointError> {
    let place = || format!("tensor `{name}`");
    if !offset.is_multiple_of(alignment) {
        let expected = format!("an offset that is a multiple of {alignment}");
        return Err(CheckpointError::malformed(path, place(), expected, offset.to_string()));
    }
    let start = data_start.checked_add(offset).and_then(|s| usize::try_from(s).ok());
    let range = start.and_then(|s| Some(s..s.checked_add(size)?)).filter(|r| r.end <= file_len);
    range.ok_or_else(|| {
        CheckpointError::malformed(
            path,
            place(),
            format!("{size} bytes at offset {}", u128::from(data_start) + u128::from(offset)),
            format!("a file of {file_len} bytes (truncated or corrupt)"),
        )
    })
}
