//! Finding out what a model path is.

use std::path::{Path, PathBuf};

use crate::error::CheckpointError;
use crate::gguf::GgufFile;
use crate::safetensors::SafetensorsIndex;

/// A model on disk.
#[derive(Debug)]
pub enum Checkpoint {
    /// One GGUF file holding weights, configuration, tokenizer and chat template.
    Gguf(GgufFile),
    /// A folder in Hugging Face's layout.
    HfFolder(HfFolder),
}

/// A folder with `config.json` and its companions. Files are opened when they are asked for.
#[derive(Debug, Clone)]
pub struct HfFolder {
    dir: PathBuf,
}

impl HfFolder {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a file in the folder, whether or not it exists.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Opens the weights.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file and the tensor concerned.
    pub fn safetensors(&self) -> Result<SafetensorsIndex, CheckpointError> {
        SafetensorsIndex::open(&self.dir)
    }
}

impl Checkpoint {
    /// Opens a `.gguf` file, a Hugging Face folder, or a folder that holds exactly one `.gguf` file.
    ///
    /// A folder with both is taken as a Hugging Face folder if it has safetensors weights.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`] saying what was looked for; format errors of a GGUF file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        if path.is_file() {
            return Ok(Self::Gguf(GgufFile::open(path)?));
        }
        if !path.is_dir() {
            return Err(nothing(path, "no such file or folder"));
        }
        let hf = || Self::HfFolder(HfFolder { dir: path.to_owned() });
        let described = path.join("config.json").is_file() || path.join("tokenizer.json").is_file();
        // Weights may come alone, for a model that is known already.
        if SafetensorsIndex::exists_in(path) {
            return Ok(hf());
        }
        let found = gguf_files(path)?;
        match found.as_slice() {
            [one] => Ok(Self::Gguf(GgufFile::open(one)?)),
            [] if described => Ok(hf()),
            [] => Err(nothing(path, "the folder has neither config.json nor a .gguf file")),
            many => {
                let names: Vec<_> =
                    many.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
                let what = format!(
                    "the folder has {} .gguf files ({}); name one of them instead",
                    many.len(),
                    names.join(", ")
                );
                Err(nothing(path, what))
            }
        }
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Gguf(file) => file.path(),
            Self::HfFolder(folder) => folder.dir(),
        }
    }
}

fn nothing(path: &Path, looked_for: impl Into<String>) -> CheckpointError {
    CheckpointError::NotACheckpoint { path: path.to_owned(), looked_for: looked_for.into() }
}

/// The `.gguf` files of a folder, sorted. Vision projectors (`mmproj…`) are no language models.
fn gguf_files(dir: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| CheckpointError::io(dir, e))? {
        let path = entry.map_err(|e| CheckpointError::io(dir, e))?.path();
        let projector = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("mmproj"));
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && path.is_file() && !projector {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
