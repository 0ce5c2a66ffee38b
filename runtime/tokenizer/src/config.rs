//! Reads `tokenizer_config.json`.

use std::path::Path;

use serde_json::Value;

use crate::added::AddedTokens;
use crate::error::TokenizerError;
use crate::special::{RoleTokens, read_json};

/// The settings in `tokenizer_config.json` and its companion files.
#[derive(Debug, Default)]
pub(crate) struct TokenizerConfig {
    pub(crate) roles: RoleTokens,
    pub(crate) added: AddedTokens,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    pub(crate) model_max_length: Option<usize>,
    pub(crate) clean_up_spaces: bool,
    /// Whether special tokens that are written in a text are treated as plain text.
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

fn bool_key(path: &Path, config: &Value, key: &str) -> Result<Option<bool>, TokenizerError> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(b)) => Ok(Some(*b)),
        Some(other) => {
            Err(TokenizerError::invalid(path, format!("key `{key}`: expected true or false, found {other}")))
        }
    }
}
