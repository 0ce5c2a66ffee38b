//! LoRA adapters in PEFT's format: `adapter_config.json` and `adapter_model.safetensors` in a folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::CheckpointError;
use crate::json::{self, JsonFile};
use crate::safetensors::SafetensorsIndex;

/// File name of the configuration.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// File name of the weights.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// The modules that an adapter changes, according to its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetModules {
    /// Every linear layer (`all-linear`, `all`).
    All,
    /// Modules whose name ends with one of these.
    Names(Vec<String>),
    /// Modules whose full name matches this regular expression. The weights show which ones these are.
    Pattern(String),
}

/// The contents of `adapter_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank.
    pub r: usize,
    /// Numerator of the scaling.
    pub lora_alpha: f64,
    /// Whether the divisor of the scaling is the square root of the rank (Kalajdzievski, 2023) instead of the rank.
    pub use_rslora: bool,
    /// Modules that the adapter changes.
    pub target_modules: TargetModules,
}

impl LoraConfig {
    /// Reads the configuration in a folder.
    ///
    /// # Errors
    /// The file is missing, a key has the wrong type, or the adapter is not plain LoRA: DoRA, biases, modules saved
    /// whole, ranks that differ by module.
    pub fn from_folder(dir: &Path) -> Result<Self, CheckpointError> {
        let path = dir.join(ADAPTER_CONFIG);
        if !path.is_file() {
            return Err(CheckpointError::NotACheckpoint {
                path: dir.to_owned(),
                looked_for: format!("{ADAPTER_CONFIG} of a LoRA adapter is not there"),
            });
        }
        let value = json::read(&path)?;
        Self::from_json(&path, &value)
    }

    fn from_json(path: &Path, value: &Value) -> Result<Self, CheckpointError> {
        let file = JsonFile::new(path, value);
        match file.str("peft_type")? {
            None => {}
            Some(kind) if kind.eq_ignore_ascii_case("lora") => {}
            Some(kind) => return Err(CheckpointError::wrong_key(path, "peft_type", "LORA", kind)),
        }
        refuse_other_kinds(&file, path)?;
        let r = file.usize("r")?.ok_or_else(|| file.missing("r", "the rank, a positive integer"))?;
        if r == 0 {
            return Err(CheckpointError::wrong_key(path, "r", "a positive integer", "0"));
        }
        let lora_alpha = file.f64("lora_alpha")?.ok_or_else(|| file.missing("lora_alpha", "a number"))?;
        let expected = "a list of module names, a regular expression, or all-linear";
        let target_modules = match file.get("target_modules") {
            None => return Err(file.missing("target_modules", "a list of module names")),
            Some(Value::String(text)) if text == "all" || text == "all-linear" => TargetModules::All,
            Some(Value::String(pattern)) => TargetModules::Pattern(pattern.clone()),
            Some(list @ Value::Array(names)) => {
                let names: Option<Vec<String>> =
                    names.iter().map(|n| n.as_str().map(str::to_owned)).collect();
                let wrong = || file.wrong("target_modules", expected, list);
                TargetModules::Names(names.filter(|n| !n.is_empty()).ok_or_else(wrong)?)
            }
            Some(other) => return Err(file.wrong("target_modules", expected, other)),
        };
        let use_rslora = file.bool("use_rslora")?.unwrap_or(false);
        Ok(Self { r, lora_alpha, use_rslora, target_modules })
    }

    /// The factor of the adapter's product `B·A·x`.
    pub fn scaling(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// The modules by their names in the served model ([`merged_module`]); `None` unless the configuration lists names.
    pub fn merged_modules(&self) -> Option<BTreeSet<String>> {
        match &self.target_modules {
            TargetModules::Names(names) => Some(names.iter().map(|n| merged_module(n).to_owned()).collect()),
            TargetModules::All | TargetModules::Pattern(_) => None,
        }
    }
}

/// Returns an error for keys that make the adapter something other than plain LoRA.
fn refuse_other_kinds(file: &JsonFile<'_>, path: &Path) -> Result<(), CheckpointError> {
    let unsupported = |what: String| Err(CheckpointError::Unsupported { path: path.to_owned(), what });
    if file.bool("use_dora")? == Some(true) {
        return unsupported("LoRA serving currently doesn't support DoRA adapters (key `use_dora`)".into());
    }
    match file.str("bias")? {
        None | Some("none") => {}
        Some(bias) => return Err(CheckpointError::wrong_key(path, "bias", "none", bias)),
    }
    for key in ["lora_bias", "fan_in_fan_out", "use_qalora"] {
        if file.bool(key)? == Some(true) {
            return unsupported(format!("key `{key}`: adapters with it are not supported; expected false"));
        }
    }
    let holds_something = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let keys = [
        "modules_to_save",
        "trainable_token_indices",
        "rank_pattern",
        "alpha_pattern",
        "layer_replication",
        "alora_invocation_tokens",
        "use_bdlora",
        "target_parameters",
    ];
    for key in keys {
        if let Some(value) = file.get(key).filter(|v| holds_something(v)) {
            let found = json::shorten(value);
            return unsupported(format!(
                "key `{key}`: adapters with it are not supported; expected null, found {found}"
            ));
        }
    }
    Ok(())
}

/// The merged weight that a module belongs to in the served model, such as `qkv_proj` or `gate_up_proj` (reference:
/// `get_normalized_target_modules`). `name` may be a full path.
pub fn merged_module(name: &str) -> &str {
    match name.rsplit('.').next().unwrap_or(name) {
        "q_proj" | "k_proj" | "v_proj" => "qkv_proj",
        "gate_proj" | "up_proj" => "gate_up_proj",
        "vocab_emb" | "embeddings" | "word_embeddings" => "embed_tokens",
        "output" | "unembed_tokens" => "lm_head",
        "q_a_proj" | "kv_a_proj_with_mqa" => "fused_qkv_a_proj_with_mqa",
        "wq_b" => "indexer.wq_b",
        "wk" => "indexer.wk",
        "weights_proj" => "indexer.weights_proj",
        last => last,
    }
}

/// The weights of an adapter.
///
/// # Errors
/// There is no safetensors file, or it is invalid.
pub fn adapter_weights(dir: &Path) -> Result<SafetensorsIndex, CheckpointError> {
    let path = dir.join(ADAPTER_WEIGHTS);
    if !path.is_file() {
        let pickled = dir.join("adapter_model.bin").is_file();
        let why = if pickled { "; adapter_model.bin is not read, convert it" } else { "" };
        return Err(CheckpointError::NotACheckpoint {
            path: dir.to_owned(),
            looked_for: format!("{ADAPTER_WEIGHTS} of a LoRA adapter is not there{why}"),
        });
    }
    SafetensorsIndex::single(&path)
}

/// Number of tokens that an adapter adds to a vocabulary of `vocab_size`. A copy of the base model's file adds none.
///
/// # Errors
/// `added_tokens.json` cannot be read.
pub fn added_tokens(dir: &Path, vocab_size: usize) -> Result<usize, CheckpointError> {
    let path: PathBuf = dir.join("added_tokens.json");
    let Some(value) = json::read_optional(&path)? else { return Ok(0) };
    let ids = value.as_object().into_iter().flatten().filter_map(|(_, id)| id.as_u64());
    Ok(ids.filter(|id| *id >= vocab_size as u64).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<LoraConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADAPTER_CONFIG), value.to_string()).unwrap();
        LoraConfig::from_folder(folder.path()).map_err(|e| e.to_string())
    }

    fn with(changes: Value) -> Value {
        let mut value = json!({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"],
            "bias": "none", "modules_to_save": null, "rank_pattern": {}, "use_dora": false});
        for (key, change) in changes.as_object().unwrap() {
            value[key] = change.clone();
        }
        value
    }

    #[test]
    fn the_scaling_is_alpha_by_rank_or_by_its_root() {
        let plain = read(with(json!({}))).unwrap();
        assert_eq!((plain.r, plain.scaling()), (16, 0.5));
        assert_eq!(read(with(json!({"use_rslora": true}))).unwrap().scaling(), 2.0);
        let modules: Vec<String> = plain.merged_modules().unwrap().into_iter().collect();
        assert_eq!(modules, ["gate_up_proj", "qkv_proj"]);
    }

    #[test]
    fn targets_are_names_everything_or_a_pattern() {
        let targets = |value: Value| read(with(json!({"target_modules": value}))).unwrap().target_modules;
        assert_eq!(targets(json!("all-linear")), TargetModules::All);
        assert_eq!(targets(json!(".*q_proj")), TargetModules::Pattern(".*q_proj".into()));
        assert_eq!(targets(json!(["o_proj"])), TargetModules::Names(vec!["o_proj".into()]));
        assert_eq!(merged_module("model.layers.3.self_attn.v_proj"), "qkv_proj");
    }

    #[test]
    fn adapters_other_than_plain_lora_are_refused_by_key() {
        for (changes, expected) in [
            (json!({"peft_type": "IA3"}), "key `peft_type`: expected LORA, found IA3"),
            (json!({"use_dora": true}), "DoRA"),
            (json!({"bias": "all"}), "key `bias`: expected none, found all"),
            (json!({"modules_to_save": ["lm_head"]}), "`modules_to_save`"),
            (json!({"rank_pattern": {"q_proj": 4}}), "`rank_pattern`"),
            (json!({"r": 0}), "key `r`"),
            (json!({"r": null}), "key `r` is missing"),
            (json!({"lora_alpha": "x"}), "`lora_alpha`"),
            (json!({"target_modules": 3}), "`target_modules`"),
            (json!({"target_modules": []}), "`target_modules`"),
        ] {
            let text = read(with(changes.clone())).unwrap_err();
            assert!(text.contains(expected) && text.contains(ADAPTER_CONFIG), "{changes}: {text}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(LoraConfig::from_folder(folder.path()).unwrap_err().to_string().contains(ADAPTER_CONFIG));
        assert!(adapter_weights(folder.path()).unwrap_err().to_string().contains(ADAPTER_WEIGHTS));
    }

    #[test]
    fn only_tokens_beyond_the_vocabulary_count_as_added() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(added_tokens(folder.path(), 10).unwrap(), 0);
        std::fs::write(folder.path().join("added_tokens.json"), r#"{"a": 9, "b": 10}"#).unwrap();
        assert_eq!(added_tokens(folder.path(), 10).unwrap(), 1);
    }
}
