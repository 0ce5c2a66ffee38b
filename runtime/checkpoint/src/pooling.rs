//! Pooling configuration of embedding models: the files that sentence-transformers writes beside a model
//! (`modules.json`, `1_Pooling/config.json`) and the `pooling_type` of a GGUF file.

use std::path::Path;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, HfFolder};
use crate::error::CheckpointError;
use crate::json::{self, JsonFile};

/// Which positions' outputs make up the embedding (reference: `PoolingType` in `layers/pooler.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingType {
    /// The last position.
    Last,
    /// The first position.
    Cls,
    /// The mean of all positions.
    Mean,
}

/// The pooling that a checkpoint asks for. `None` means the default of the architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolingConfig {
    /// Positions to pool.
    pub pooling: Option<PoolingType>,
    /// Whether embeddings are scaled to length 1.
    pub normalize: Option<bool>,
}

impl PoolingConfig {
    /// Reads the files beside the weights, or the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`CheckpointError`] with the names of the file and the key: a file is not JSON, or it asks for a step that is
    /// not implemented (weighted means, maxima, dense layers).
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        match checkpoint {
            Checkpoint::HfFolder(folder) => of_folder(folder),
            Checkpoint::Gguf(file) => {
                let metadata = file.metadata();
                let key = format!("{}.pooling_type", metadata.str("general.architecture")?);
                let pooling = match metadata.opt_u64(&key)? {
                    // 0 means no pooling, 4 a ranking head.
                    None | Some(0 | 4) => None,
                    Some(1) => Some(PoolingType::Mean),
                    Some(2) => Some(PoolingType::Cls),
                    Some(3) => Some(PoolingType::Last),
                    Some(other) => {
                        return Err(CheckpointError::wrong_key(
                            file.path(),
                            key,
                            "a number from 0 to 4",
                            other.to_string(),
                        ));
                    }
                };
                Ok(Self { pooling, normalize: None })
            }
        }
    }
}

fn of_folder(folder: &HfFolder) -> Result<PoolingConfig, CheckpointError> {
    let path = folder.file("modules.json");
    let Some(modules) = json::read_optional(&path)? else {
        let path = folder.file("1_Pooling/config.json");
        let pooling =
            json::read_optional(&path)?.map(|value| pooling_type(&path, &value)).transpose()?.flatten();
        return Ok(PoolingConfig { pooling, normalize: None });
    };
    let Some(modules) = modules.as_array() else {
        let found = json::shorten(&modules);
        return Err(CheckpointError::malformed(&path, "content", "a list of modules", found));
    };
    // The file lists all steps, so unlisted ones do not happen.
    let mut config = PoolingConfig { pooling: None, normalize: Some(false) };
    for module in modules {
        let m = JsonFile::new(&path, module);
        let kind = m.str("type")?.ok_or_else(|| m.missing("type", "the class of a module"))?;
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Normalize" => config.normalize = Some(true),
            "Pooling" => {
                let file = folder.file(m.str("path")?.unwrap_or("1_Pooling")).join("config.json");
                config.pooling = pooling_type(&file, &json::read(&file)?)?;
            }
            _ => {
                let expected = "Transformer, Pooling or Normalize (others are not implemented)";
                return Err(m.wrong("type", expected, &kind.into()));
            }
        }
    }
    Ok(config)
}

/// The single mode that is enabled.
fn pooling_type(path: &Path, value: &Value) -> Result<Option<PoolingType>, CheckpointError> {
    const MODES: [(&str, &str, Option<PoolingType>); 6] = [
        ("pooling_mode_cls_token", "cls", Some(PoolingType::Cls)),
        ("pooling_mode_mean_tokens", "mean", Some(PoolingType::Mean)),
        ("pooling_mode_lasttoken", "lasttoken", Some(PoolingType::Last)),
        ("pooling_mode_max_tokens", "max", None),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", None),
        ("pooling_mode_weightedmean_tokens", "weightedmean", None),
    ];
    let c = JsonFile::new(path, value);
    let expected = "one of pooling_mode_cls_token, pooling_mode_mean_tokens and pooling_mode_lasttoken";
    if let Some(mode) = c.get("pooling_mode") {
        let known = MODES.iter().find(|(_, name, kind)| kind.is_some() && mode.as_str() == Some(name));
        return known
            .map(|(_, _, kind)| *kind)
            .ok_or_else(|| c.wrong("pooling_mode", "cls, mean or lasttoken", mode));
    }
    let mut on = Vec::new();
    for (key, _, kind) in MODES {
        if c.bool(key)?.unwrap_or(false) {
            on.push((key, kind));
        }
    }
    match on.as_slice() {
        [] => Ok(None),
        [(_, Some(kind))] => Ok(Some(*kind)),
        [(key, _)] => Err(c.wrong(key, expected, &true.into())),
        [_, (key, _), ..] => Err(c.wrong(key, "a single mode", &true.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(files: &[(&str, Value)]) -> Result<PoolingConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content.to_string()).unwrap();
        }
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        PoolingConfig::from_checkpoint(&checkpoint).map_err(|e| e.to_string())
    }

    fn module(kind: &str, path: &str) -> Value {
        json!({"idx": 0, "name": "0", "path": path, "type": format!("sentence_transformers.models.{kind}")})
    }

    #[test]
    fn steps_that_modules_json_does_not_list_are_off() {
        let mean = (
            "1_Pooling/config.json",
            json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}),
        );
        let all = json!([
            module("Transformer", ""),
            module("Pooling", "1_Pooling"),
            module("Normalize", "2_Normalize")
        ]);
        let expected = PoolingConfig { pooling: Some(PoolingType::Mean), normalize: Some(true) };
        assert_eq!(read(&[("modules.json", all), mean.clone()]), Ok(expected));
        let bare = json!([module("Transformer", ""), module("Pooling", "1_Pooling")]);
        let expected = PoolingConfig { pooling: Some(PoolingType::Mean), normalize: Some(false) };
        assert_eq!(read(&[("modules.json", bare), mean.clone()]), Ok(expected));
        assert_eq!(read(&[]), Ok(PoolingConfig::default()));
        let expected = PoolingConfig { pooling: Some(PoolingType::Mean), normalize: None };
        assert_eq!(read(&[mean]), Ok(expected));
    }

    #[test]
    fn every_mode_is_read_in_both_spellings() {
        for (key, name, expected) in [
            ("pooling_mode_cls_token", "cls", PoolingType::Cls),
            ("pooling_mode_mean_tokens", "mean", PoolingType::Mean),
            ("pooling_mode_lasttoken", "lasttoken", PoolingType::Last),
        ] {
            for content in [json!({key: true}), json!({"pooling_mode": name})] {
                let config = read(&[("1_Pooling/config.json", content)]).unwrap();
                assert_eq!(config.pooling, Some(expected));
            }
        }
    }

    #[test]
    fn unimplemented_steps_are_refused_by_file_and_key() {
        let error = read(&[("1_Pooling/config.json", json!({"pooling_mode_max_tokens": true}))]).unwrap_err();
        assert!(
            error.contains("1_Pooling/config.json") && error.contains("pooling_mode_max_tokens"),
            "{error}"
        );
        let two = json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true});
        assert!(read(&[("1_Pooling/config.json", two)]).unwrap_err().contains("a single mode"));
        let error = read(&[("modules.json", json!([module("Dense", "2_Dense")]))]).unwrap_err();
        assert!(error.contains("modules.json") && error.contains("Dense"), "{error}");
        let error = read(&[("modules.json", json!([module("Pooling", "1_Pooling")]))]).unwrap_err();
        assert!(error.contains("1_Pooling/config.json"), "{error}");
        assert!(read(&[("modules.json", json!({}))]).unwrap_err().contains("a list of modules"));
    }
}
