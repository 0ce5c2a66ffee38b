//! GGUF files, version 2 and 3: metadata, tensor directory and tensor bytes, all bounds checked when opened.
//!
//! Layout (ggml's `docs/gguf.md`): magic, version, counts, metadata, tensor infos, padding to the alignment, data.
//! Tensor bytes are as llama.cpp stores them: the rows of `attn_q` and `attn_k` of the `llama` architecture are
//! permuted against Hugging Face's, and Gemma's norm weights have 1 added.

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
    /// Row-major shape, as Hugging Face has it (the file's own order is the reverse).
    pub shape: &'a [usize],
    /// Element type.
    pub ggml_type: GgmlType,
    /// The bytes, whole blocks.
    pub data: &'a [u8],
}

/// An open GGUF file, or all files of a model that is split into several. Only headers have been read; tensor pages are
/// read when touched.
#[derive(Debug)]
pub struct GgufFile {
    /// The one that has the metadata.
    first: Box<GgufPart>,
    others: Vec<GgufPart>,
    /// Numbers of the parts that hold the tensors: 0 for the first.
    part_of: HashMap<String, usize>,
}

impl GgufFile {
    /// Opens a file and checks its header: every key, every array and the bounds of every tensor. The path of a part of
    /// a split model, whichever, opens all of them.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file and the field, key or tensor that breaks the format, or the part that is
    /// missing.
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

    /// The file, of a split model the first part.
    pub fn path(&self) -> &Path {
        self.first.path()
    }

    /// The file that holds a tensor, for messages; the first one for a tensor that does not exist.
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

    /// Where a tensor is in its file.
    pub fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        let (part, _, info) = self.find(name)?;
        part.file.part(info.bytes.clone())
    }
}
