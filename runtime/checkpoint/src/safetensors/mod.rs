//! Safetensors weights of a Hugging Face folder: one file, or shards with an index.

mod files;
mod shard;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use ::safetensors::Dtype;
pub use files::weight_files;

use crate::error::CheckpointError;
use crate::json::{self, JsonFile};
use crate::mapped_file::FileBytes;
use crate::quantization::Quantization;
use shard::Shard;

/// File name of weights in one file.
pub const SINGLE_FILE: &str = "model.safetensors";
/// File name of the index of sharded weights.
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

/// All tensors of a folder, memory-mapped. Opening checks the header and length of every shard.
#[derive(Debug)]
pub struct SafetensorsIndex {
    dir: PathBuf,
    shards: Vec<Shard>,
    /// Index of the shard that holds each tensor, sorted by tensor name.
    tensors: BTreeMap<String, usize>,
    quantization: Option<Quantization>,
}

impl SafetensorsIndex {
    /// Whether `dir` has safetensors weights.
    pub fn exists_in(dir: &Path) -> bool {
        let some =
            |found: Result<Vec<String>, CheckpointError>| found.map_or(true, |files| !files.is_empty());
        dir.join(SINGLE_FILE).is_file() || dir.join(INDEX_FILE).is_file() || some(files_without_index(dir))
    }

    /// Opens `model.safetensors`; without it, the shards that `model.safetensors.index.json` names; without that, all
    /// safetensors files of the folder.
    ///
    /// # Errors
    /// [`CheckpointError`] with the name of the file and, if it concerns one, the tensor.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let dir = dir.as_ref();
        let single = dir.join(SINGLE_FILE);
        let index = dir.join(INDEX_FILE);
        let quantization = Quantization::from_config(&dir.join("config.json"))?;
        if single.is_file() {
            return Ok(Self { quantization, ..Self::single(&single)? });
        }
        if index.is_file() {
            return Ok(Self { quantization, ..Self::open_sharded(dir, &index)? });
        }
        let files = files_without_index(dir)?;
        if files.is_empty() {
            return Err(CheckpointError::NotACheckpoint {
                path: dir.to_owned(),
                looked_for: format!(
                    "neither {SINGLE_FILE} nor {INDEX_FILE} is there, nor another .safetensors file with weights"
                ),
            });
        }
        Ok(Self { quantization, ..Self::without_index(dir, &files)? })
    }

    /// Opens one file by its path.
    ///
    /// # Errors
    /// Same as [`SafetensorsIndex::open`].
    pub fn single(path: &Path) -> Result<Self, CheckpointError> {
        let shard = Shard::open(path)?;
        let tensors = shard.names().map(|n| (n, 0)).collect();
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { dir, shards: vec![shard], tensors, quantization: None })
    }

    /// Opens the shards that an index names. The contents of the shards count, not the index: indices of edited
    /// checkpoints name tensors that no longer exist.
    fn open_sharded(dir: &Path, index: &Path) -> Result<Self, CheckpointError> {
        let value = json::read(index)?;
        let map = JsonFile::new(index, &value).required_object("weight_map")?;
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut shards = Vec::new();
        for (tensor, file) in map {
            let key = || format!("weight_map.{tensor}");
            let name = file.as_str().ok_or_else(|| {
                CheckpointError::wrong_key(index, key(), "a file name", json::shorten(file))
            })?;
            // A name with a folder in it could point outside the checkpoint.
            if Path::new(name).file_name() != Some(std::ffi::OsStr::new(name)) {
                return Err(CheckpointError::wrong_key(index, key(), "a file name without folders", name));
            }
            if numbers.contains_key(name) {
                continue;
            }
            let path = dir.join(name);
            if !path.is_file() {
                return Err(CheckpointError::malformed(
                    &path,
                    format!("tensor `{tensor}`"),
                    format!("this shard, which {} names", index.display()),
                    "no such file",
                ));
            }
            numbers.insert(name, shards.len());
            shards.push(Shard::open(&path)?);
        }
        let mut tensors = BTreeMap::new();
        for (number, shard) in shards.iter().enumerate() {
            for name in shard.names() {
                // If several shards hold a tensor, the index decides.
                let meant = map.get(&name).and_then(|file| numbers.get(file.as_str()?));
                if meant == Some(&number) || !tensors.contains_key(&name) {
                    tensors.insert(name, number);
                }
            }
        }
        let absent: Vec<&String> = map.keys().filter(|name| !tensors.contains_key(*name)).collect();
        if let Some(first) = absent.first() {
            tracing::warn!(
                "{}: {} of {} tensors are in no shard, the first is {first}",
                index.display(),
                absent.len(),
                map.len()
            );
        }
        Ok(Self { dir: dir.to_owned(), shards, tensors, quantization: None })
    }

    /// Opens weight files that no index lists.
    fn without_index(dir: &Path, files: &[String]) -> Result<Self, CheckpointError> {
        let mut shards: Vec<Shard> = Vec::with_capacity(files.len());
        let mut tensors: BTreeMap<String, usize> = BTreeMap::new();
        for file in files {
            let shard = Shard::open(&dir.join(file))?;
            for name in shard.names() {
                if let Some(before) = tensors.get(&name).and_then(|number| shards.get(*number)) {
                    return Err(CheckpointError::malformed(
                        shard.path(),
                        format!("tensor `{name}`"),
                        format!("one entry in the files of a folder without {INDEX_FILE}"),
                        format!("another in {}", before.path().display()),
                    ));
                }
                tensors.insert(name, shards.len());
            }
            shards.push(shard);
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

    /// The quantisation scheme, if the matrices are quantised.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.quantization.as_ref()
    }

    /// Bits per number, if numbers are packed into words.
    pub fn packed_bits(&self) -> Option<usize> {
        match self.quantization()? {
            Quantization::Awq { .. } => Some(4),
            Quantization::Gptq { bits, .. } | Quantization::CompressedTensors { bits } => Some(*bits),
            Quantization::Fp8 { .. } => None,
        }
    }

    /// Whether a tensor of this name exists.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether the matrix `module.weight` exists, plain or packed.
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

    /// The bytes of a tensor, with their position in the file.
    pub fn part(&self, name: &str) -> Option<FileBytes<'_>> {
        self.tensors.get(name).and_then(|n| self.shards.get(*n))?.part(name)
    }

    /// The file that holds a tensor, for error messages.
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        self.tensors.get(name).and_then(|n| self.shards.get(*n)).map(Shard::path)
    }
}

/// The weight files of a folder without `model.safetensors` and index.
fn files_without_index(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    let io = |e| CheckpointError::io(dir, e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    weight_files(&names)
        .map_err(|looked_for| CheckpointError::NotACheckpoint { path: dir.to_owned(), looked_for })
}
