//! GGUF files, version 2 and 3: metadata, tensor directory and tensor bytes, all bounds checked when opened.
//!
//! Layout (ggml's `docs/gguf.md`): magic, version, counts, metadata, tensor infos, padding to the alignment, data.
//! Tensor bytes are as llama.cpp stores them: the rows of `attn_q` and `attn_k` of the `llama` architecture are
//! permuted against Hugging Face's, and Gemma's norm weights have 1 added.

mod cursor;
pub mod dequant;
mod k_quants;
pub mod metadata;
mod types;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

pub use metadata::{Metadata, MetadataValue};
pub use types::GgmlType;

use crate::error::CheckpointError;
use crate::mapped_file::{FileBytes, MappedFile};
use cursor::Cursor;

/// Alignment of tensor data when `general.alignment` does not say otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A tensor of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufTensor<'a> {
    /// The name in the file, such as `blk.0.attn_q.weight`.
    pub name: &'a str,
    /// Row-major shape, as Hugging Face has it (the file's own order is the reverse).
    pub shape: &'a [usize],
    /// Element type.
    pub ggml_type: GgmlType,
    /// The bytes, whole blocks.
    pub data: &'a [u8],
}

#[derive(Debug)]
struct TensorInfo {
    shape: Vec<usize>,
    ggml_type: GgmlType,
    bytes: Range<usize>,
}

/// An open GGUF file. Only its header has been read; tensor pages are read when touched.
#[derive(Debug)]
pub struct GgufFile {
    file: MappedFile,
    version: u32,
    values: HashMap<String, MetadataValue>,
    tensors: HashMap<String, TensorInfo>,
    names: Vec<String>,
}

impl GgufFile {
    /// Opens a file and checks its header: every key, every array and the bounds of every tensor.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file and the field, key or tensor that breaks the format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
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
        refuse_split(path, &values)?;
        Ok(Self { file, version, values, tensors, names })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Format version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Metadata look-ups.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata { path: self.file.path(), bytes: self.file.bytes(), values: &self.values }
    }

    /// Tensor names in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether a tensor of this name exists.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>, CheckpointError> {
        let missing =
            || CheckpointError::MissingTensor { path: self.path().to_owned(), tensor: name.to_owned() };
        let (name, info) = self.tensors.get_key_value(name).ok_or_else(missing)?;
        let data = self.file.bytes().get(info.bytes.clone()).ok_or_else(missing)?;
        Ok(GgufTensor { name, shape: &info.shape, ggml_type: info.ggml_type, data })
    }

    /// Where a tensor is in the file.
    pub fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        self.file.part(self.tensors.get(name)?.bytes.clone())
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

/// Refuses a count that cannot fit in the rest of the file, before anything is reserved for it.
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

fn refuse_split(path: &Path, values: &HashMap<String, MetadataValue>) -> Result<(), CheckpointError> {
    match (Metadata { path, bytes: &[], values }).opt_u64("split.count")? {
        Some(count) if count > 1 => Err(CheckpointError::Unsupported {
            path: path.to_owned(),
            what: format!(
                "one of {count} parts of a split model; only whole GGUF files are read (join the parts with \
                 `llama-gguf-split --merge`)"
            ),
        }),
        _ => Ok(()),
    }
}
