//! Safetensors files of a Hugging Face folder: one file, or shards with an index.

mod shard;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use ::safetensors::Dtype;

use crate::error::CheckpointError;
use crate::json::{self, JsonFile};
use crate::mapped_file::FileBytes;
use crate::quantization::Quantization;
use shard::Shard;

/// The single-file name.
pub const SINGLE_FILE: &str = "model.safetensors";
/// The index of a sharded checkpoint.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// A tensor of a safetensors file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorView<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Row-major shape.
    pub shape: &'a [usize],
    /// The bytes, little endian, row-major.
    pub data: &'a [u8],
}

/// All tensors of a folder, memory-mapped. Opening checks every shard's header and length.
#[derive(Debug)]
pub struct SafetensorsIndex {
    dir: PathBuf,
    shards: Vec<Shard>,
    /// Tensor name to shard number, in name order.
    tensors: BTreeMap<String, usize>,
    quantization: Option<Quantization>,
}

impl SafetensorsIndex {
    /// Whether `dir` has safetensors weights.
    pub fn exists_in(dir: &Path) -> bool {
        dir.join(SINGLE_FILE).is_file() || dir.join(INDEX_FILE).is_file()
    }

    /// Opens `model.safetensors`, or else the shards named by `model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file, and the tensor where one is concerned.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let dir = dir.as_ref();
        let single = dir.join(SINGLE_FILE);
        let index = dir.join(INDEX_FILE);
        let quantization = Quantization::from_config(&dir.join("config.json"))?;
        if single.is_file() {
            return Ok(Self { quantization, ..Self::single(&single)? });
        }
        if !index.is_file() {
            return Err(CheckpointError::NotACheckpoint {
                path: dir.to_owned(),
                looked_for: format!("neither {SINGLE_FILE} nor {INDEX_FILE} is there"),
            });
        }
        Ok(Self { quantization, ..Self::open_sharded(dir, &index)? })
    }

    /// Opens one file by its path.
    ///
    /// # Errors
    /// As of [`SafetensorsIndex::open`].
    pub fn single(path: &Path) -> Result<Self, CheckpointError> {
        let shard = Shard::open(path)?;
        let tensors = shard.names().map(|n| (n, 0)).collect();
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { dir, shards: vec![shard], tensors, quantization: None })
    }

    fn open_sharded(dir: &Path, index: &Path) -> Result<Self, CheckpointError> {
        let value = json::read(index)?;
        let map = JsonFile::new(index, &value).required_object("weight_map")?;
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut shards = Vec::new();
        let mut tensors = BTreeMap::new();
        for (tensor, file) in map {
            let key = format!("weight_map.{tensor}");
            let name = file
                .as_str()
                .ok_or_else(|| CheckpointError::wrong_key(index, &key, "a file name", json::shorten(file)))?;
            // A name with a folder in it could point outside the checkpoint.
            if Path::new(name).file_name() != Some(std::ffi::OsStr::new(name)) {
                return Err(CheckpointError::wrong_key(index, &key, "a file name without folders", name));
            }
            let number = match numbers.get(name) {
                Some(number) => *number,
                None => {
                    let path = dir.join(name);
                    if !path.is_file() {
                        return Err(CheckpointError::malformed(
                            &path,
                            format!("tensor `{tensor}`"),
                            format!("this shard, which {} names", index.display()),
                            "no such file",
                        ));
                    }
                    shards.push(Shard::open(&path)?);
                    numbers.insert(name, shards.len() - 1);
                    shards.len() - 1
                }
            };
            if !shards.get(number).is_some_and(|s: &Shard| s.has(tensor)) {
                return Err(CheckpointError::MissingTensor { path: dir.join(name), tensor: tensor.clone() });
            }
            tensors.insert(tensor.clone(), number);
        }
        Ok(Self { dir: dir.to_owned(), shards, tensors, quantization: None })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tensor names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How the matrices are stored, when they are quantised.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.quantization.as_ref()
    }

    /// Whether a tensor of this name exists.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether the matrix `module.weight` exists, as it is or packed.
    pub fn has_matrix(&self, module: &str) -> bool {
        ["weight", "qweight", "weight_packed"].iter().any(|part| self.has_tensor(&format!("{module}.{part}")))
    }

    /// A tensor by name.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>, CheckpointError> {
        self.tensors
            .get(name)
            .and_then(|n| self.shards.get(*n))
            .and_then(|shard| shard.tensor(name))
            .ok_or_else(|| CheckpointError::MissingTensor { path: self.dir.clone(), tensor: name.to_owned() })
    }

    /// Where a tensor is in its file.
    pub fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        self.tensors.get(name).and_then(|n| self.shards.get(*n))?.part(name)
    }

    /// The file that holds a tensor, for error messages.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.tensors.get(name).and_then(|n| self.shards.get(*n)).map(Shard::path)
    }
}
