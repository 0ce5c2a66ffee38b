//! Opens a model path and detects its format.

use std::path::{Path, PathBuf};

use crate::error::CheckpointError;
use crate::gguf::GgufFile;
use crate::part_name;
use crate::safetensors::SafetensorsIndex;

/// A model on disk.
#[derive(Debug)]
pub enum Checkpoint {
    /// A GGUF file, or all parts of a split one, with weights, configuration, tokenizer and chat template.
    Gguf(GgufFile),
    /// A folder in the Hugging Face layout.
    HfFolder(HfFolder),
}

/// A folder with `config.json`, weights and tokenizer files. Each file is opened when it is needed.
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
    /// [`CheckpointError`] with the names of the file and the tensor.
    pub fn safetensors(&self) -> Result<SafetensorsIndex, CheckpointError> {
        SafetensorsIndex::open(&self.dir)
    }
}

impl Checkpoint {
    /// Opens a `.gguf` file (with all parts if it is split), a Hugging Face folder, or a folder that holds one model in
    /// `.gguf` files.
    ///
    /// A folder with both counts as a Hugging Face folder if it has safetensors weights.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`], which says what was looked for; format errors of a GGUF file.
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
        // A folder with only weights is valid: the configuration may already be known.
        if SafetensorsIndex::exists_in(path) {
            return Ok(hf());
        }
        let found = gguf_files(path)?;
        match found.as_slice() {
            [one] => Ok(Self::Gguf(GgufFile::open(path.join(one))?)),
            [] if described => Ok(hf()),
            [] => Err(nothing(path, "the folder has neither config.json nor a .gguf file")),
            many => {
                let what = format!(
                    "the folder has {} .gguf files ({}); name one of them instead",
                    many.len(),
                    many.join(", ")
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

/// Whether a name, with or without folders, is that of a GGUF file with a language model. Vision projectors (`mmproj…`)
/// and importance matrices have the same extension.
pub fn is_model_gguf(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    name.ends_with(".gguf") && !name.starts_with("mmproj") && !name.contains("imatrix")
}

/// The models in a folder's `.gguf` files, sorted; of a split model only the first part present.
fn gguf_files(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| CheckpointError::io(dir, e))? {
        let path = entry.map_err(|e| CheckpointError::io(dir, e))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if is_model_gguf(name) && path.is_file() {
            found.push(name.to_owned());
        }
    }
    found.sort();
    let names: Vec<&str> = found.iter().map(String::as_str).collect();
    Ok(part_name::models(&names).into_iter().map(str::to_owned).collect())
}
