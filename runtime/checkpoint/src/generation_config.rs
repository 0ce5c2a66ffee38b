//! `generation_config.json`: the sampling defaults that the model's authors recommend.

use crate::checkpoint::Checkpoint;
use crate::error::CheckpointError;
use crate::json::{self, JsonFile};

/// Sampling defaults of a model. `None` means that the file does not set the value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// Softmax temperature.
    pub temperature: Option<f64>,
    /// Probability mass of nucleus sampling.
    pub top_p: Option<f64>,
    /// Number of candidates; -1 and 0 mean no limit and are kept as they are.
    pub top_k: Option<i64>,
    /// Minimum probability relative to the most likely candidate.
    pub min_p: Option<f64>,
    /// Divisor of the logits of tokens already seen.
    pub repetition_penalty: Option<f64>,
    /// End-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
}

impl GenerationConfig {
    /// Reads the file of a Hugging Face folder. `None` if there is no such file, and for GGUF files.
    ///
    /// # Errors
    /// [`CheckpointError`] with the names of the file and the key.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Option<Self>, CheckpointError> {
        let Checkpoint::HfFolder(folder) = checkpoint else { return Ok(None) };
        let path = folder.file("generation_config.json");
        let Some(value) = json::read_optional(&path)? else { return Ok(None) };
        if !value.is_object() {
            return Err(CheckpointError::malformed(&path, "content", "a JSON object", json::shorten(&value)));
        }
        let c = JsonFile::new(&path, &value);
        Ok(Some(Self {
            temperature: c.f64("temperature")?,
            top_p: c.f64("top_p")?,
            top_k: c.i64("top_k")?,
            min_p: c.f64("min_p")?,
            repetition_penalty: c.f64("repetition_penalty")?,
            eos_token_ids: c.token_ids("eos_token_id")?.unwrap_or_default(),
        }))
    }
}
