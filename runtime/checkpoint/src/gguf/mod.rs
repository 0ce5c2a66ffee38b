//! GGUF files, versions 2 and 3: metadata, tensor directory and tensor bytes. Opening a file checks all bounds.
//!
//! Layout (ggml's `docs/gguf.md`): magic, version, counts, metadata, tensor infos, padding to the alignment, data.
//! Tensors are as llama.cpp stores them. Compared with Hugging Face, the rows of `attn_q` and `attn_k` of the `llama`
//! architecture are permuted, and Gemma's norm weights have 1 added.

mod bits;
mod cursor;
pub mod dequant;
mod iq;
mod k_quants;
pub mod metadata;
mod part;
pub mod repack;
mod split;
mod ternary;
mod types;

use std::collections::HashMap;
use std::path::Path;

pub use metadata::{Metadata, MetadataValue};
pub use types::GgmlType;

use crate::error::CheckpointError;
use crate::mapped_file::FileBytes;
use part::{GgufPart, TensorInfo};

/// A tensor of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufTensor<'a> {
    /// The name in the file, such as `blk.0.attn_q.weight`.
    pub name: &'a str,
    /// Row-major shape as in Hugging Face; the file stores the dimensions in reverse.
    pub shape: &'a [usize],
    /// Element type.
    pub ggml_type: GgmlType,
    /// The bytes, whole blocks.
    pub data: &'a [u8],
}

/// An open GGUF file, or all files of a split model. Opening reads only headers; tensor pages are read on first access.
#[derive(Debug)]
pub struct GgufFile {
    /// The part that has the metadata.
    first: Box<GgufPart>,
    others: Vec<GgufPart>,
    /// Index of the part that holds each tensor; 0 is `first`.
    part_of: HashMap<String, usize>,
}

impl GgufFile {
    /// Opens a file and checks its header: every key, every array and the bounds of every tensor. The path of any part
    /// of a split model opens all of them.
    ///
    /// # Errors
    /// [`CheckpointError`] with the names of the file and of the invalid field, key or tensor, or of the missing part.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let mut parts = split::open_all(path)?.into_iter();
        let nothing = || CheckpointError::malformed(path, "split model", "a first part", "none");
        let first = parts.next().ok_or_else(nothing)?;
        let mut file = Self { first: Box::new(first), others: parts.collect(), part_of: HashMap::new() };
        let numbered = file.parts().enumerate();
        file.part_of =
            numbered.flat_map(|(number, part)| part.names.iter().map(move |n| (n.clone(), number))).collect();
        Ok(file)
    }

    fn parts(&self) -> impl Iterator<Item = &GgufPart> {
        std::iter::once(self.first.as_ref()).chain(&self.others)
    }

    /// The file; the first part of a split model.
    pub fn path(&self) -> &Path {
        self.first.path()
    }

    /// The file that holds a tensor, for error messages; the first file if the tensor does not exist.
    pub fn file_of(&self, name: &str) -> &Path {
        self.find(name).map_or(self.path(), |(part, ..)| part.path())
    }

    /// Number of files.
    pub fn num_parts(&self) -> usize {
        1 + self.others.len()
    }

    /// Format version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.first.version
    }

    /// Metadata look-ups.
    pub fn metadata(&self) -> Metadata<'_> {
        self.first.metadata()
    }

    /// Tensor names in the order of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts().flat_map(|part| part.names.iter().map(String::as_str))
    }

    /// Whether a tensor of this name exists.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.part_of.contains_key(name)
    }

    fn find(&self, name: &str) -> Option<(&GgufPart, &str, &TensorInfo)> {
        let part = match *self.part_of.get(name)? {
            0 => self.first.as_ref(),
            number => self.others.get(number - 1)?,
        };
        let (name, info) = part.tensors.get_key_value(name)?;
        Some((part, name, info))
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<GgufTensor<'_>, CheckpointError> {
        let missing =
            || CheckpointError::MissingTensor { path: self.path().to_owned(), tensor: name.to_owned() };
        let (part, name, info) = self.find(name).ok_or_else(missing)?;
        let data = part.file.bytes().get(info.bytes.clone()).ok_or_else(missing)?;
        Ok(GgufTensor { name, shape: &info.shape, ggml_type: info.ggml_type, data })
    }

    /// The bytes of a tensor, with their position in the file.
    pub fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        let (part, _, info) = self.find(name)?;
        part.file.part(info.bytes.clone())
    }
}
