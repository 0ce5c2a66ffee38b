//! Special tokens by role, and the model's context length.

use std::path::Path;

use serde_json::Value;
use sglang_checkpoint::{Checkpoint, ModelConfig};

use crate::error::TokenizerError;

/// Roles that chat templates see as variables of the same name.
pub(crate) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The texts of special tokens by role: those of [`ROLES`] in their order, then the model's own (`image_token`, …).
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleTokens(Vec<(String, String)>);

impl RoleTokens {
    pub(crate) fn get(&self, role: &str) -> Option<&str> {
        self.0.iter().find(|(r, _)| r == role).map(|(_, text)| text.as_str())
    }

    pub(crate) fn push(&mut self, role: impl Into<String>, text: impl Into<String>) {
        self.0.push((role.into(), text.into()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(role, text)| (role.as_str(), text.as_str()))
    }
}

/// Reads a JSON file, if it exists.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>, TokenizerError> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes =
        std::fs::read(path).map_err(|e| TokenizerError::invalid(path, format!("cannot be read: {e}")))?;
    sglang_checkpoint::json::parse(&bytes)
        .map(Some)
        .map_err(|e| TokenizerError::invalid(path, format!("expected valid JSON, found {e}")))
}

/// The model's context length, for tokenizers that do not state a limit. `None` if the configuration cannot be read,
/// since tokenizing does not need it.
pub(crate) fn context_length(checkpoint: &Checkpoint) -> Option<usize> {
    if let Ok(config) = ModelConfig::from_checkpoint(checkpoint, None) {
        return Some(config.usable_positions());
    }
    match checkpoint {
        Checkpoint::Gguf(file) => {
            let arch = file.metadata().str("general.architecture").ok()?;
            let length = file.metadata().opt_u64(&format!("{arch}.context_length")).ok()??;
            usize::try_from(length).ok()
        }
        Checkpoint::HfFolder(folder) => {
            let config = read_json(&folder.file("config.json")).ok()??;
            let text = config.get("text_config").unwrap_or(&config);
            text.get("max_position_embeddings")?.as_u64().and_then(|n| usize::try_from(n).ok())
        }
    }
}
