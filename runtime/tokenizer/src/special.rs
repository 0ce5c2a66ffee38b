//! Special tokens by role, and the keys of `tokenizer_config.json` that this crate reads.

use std::path::Path;

use serde_json::Value;
use sglang_checkpoint::{Checkpoint, ModelConfig};

use crate::added::AddedTokens;
use crate::error::TokenizerError;

/// Roles that a chat template sees as variables of the same name.
pub(crate) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Texts of special tokens by role: those of [`ROLES`] in their order, then the model's own (`image_token`, …).
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

/// What `tokenizer_config.json` and the files beside it say.
#[derive(Debug, Default)]
pub(crate) struct TokenizerConfig {
    pub(crate) roles: RoleTokens,
    pub(crate) added: AddedTokens,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    pub(crate) model_max_length: Option<usize>,
    pub(crate) clean_up_spaces: bool,
    /// Special tokens written in a text are plain text.
    pub(crate) split_special_tokens: bool,
}

/// Lengths above this mean "no limit" (transformers writes 1e30).
const LARGEST_LENGTH: f64 = 1e15;

/// Reads `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.
pub(crate) fn read_config(dir: &Path) -> Result<TokenizerConfig, TokenizerError> {
    let path = dir.join("tokenizer_config.json");
    let config = read_json(&path)?.unwrap_or_default();
    let added = AddedTokens::read(dir, &path, &config)?;
    let mut roles = RoleTokens::default();
    for (role, token) in &added.named {
        roles.push(role.as_str(), token.content.as_str());
    }
    let mut out = TokenizerConfig {
        roles,
        added,
        add_bos: bool_key(&path, &config, "add_bos_token")?,
        add_eos: bool_key(&path, &config, "add_eos_token")?,
        clean_up_spaces: bool_key(&path, &config, "clean_up_tokenization_spaces")?.unwrap_or(false),
        split_special_tokens: bool_key(&path, &config, "split_special_tokens")?.unwrap_or(false),
        model_max_length: None,
    };
    if let Some(length) = config.get("model_max_length").filter(|v| !v.is_null()) {
        let number = sglang_checkpoint::json::number(length).filter(|n| *n >= 0.0).ok_or_else(|| {
            TokenizerError::invalid(
                &path,
                format!("key `model_max_length`: expected a length, found {length}"),
            )
        })?;
        out.model_max_length = (number < LARGEST_LENGTH).then_some(number as usize);
    }
    Ok(out)
}

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

fn bool_key(path: &Path, config: &Value, key: &str) -> Result<Option<bool>, TokenizerError> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(b)) => Ok(Some(*b)),
        Some(other) => {
            Err(TokenizerError::invalid(path, format!("key `{key}`: expected true or false, found {other}")))
        }
    }
}

/// Longest sequence of the model itself, for tokenizers that state no limit. A configuration that cannot be read is
/// no obstacle to tokenizing.
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
