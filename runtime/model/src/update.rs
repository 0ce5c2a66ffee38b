//! Reads the weights of another checkpoint while the current ones are served.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sglang_checkpoint::{Checkpoint, ModelConfig};
use sglang_hub::{Hub, HubReference, Part, Silent};
use sglang_proto::worker::{StageError, StagedWeights, WeightStager};
use tch::Device;

use crate::error::{ModelError, Result};
use crate::loader::{LoadSummary, WeightLoader, WeightSource, WeightTable, WeightTarget};
use crate::lora_sites::LoraSites;
use crate::memory::free_bytes;
use crate::models::{CausalLM, load_model};
use crate::same_model::{Difference, difference};

/// A model with its weights.
#[derive(Debug)]
pub(crate) struct LoadedModel {
    pub(crate) model: Box<dyn CausalLM>,
    pub(crate) table: WeightTable,
    /// Layers that adapters can change.
    pub(crate) lora_sites: LoraSites,
    /// Size and time of loading.
    pub(crate) summary: LoadSummary,
}

impl LoadedModel {
    /// Builds the model of a configuration from a checkpoint's weights. `path` only appears in error messages.
    pub(crate) fn load(
        config: &ModelConfig,
        context_length: usize,
        path: &Path,
        source: &WeightSource,
        target: WeightTarget,
    ) -> Result<Self> {
        let mut weights = WeightLoader::new(source, target, config.head_dim);
        let model = load_model(config, context_length, path, &mut weights)?;
        let (table, lora_sites) = (weights.take_table(), weights.take_lora_sites());
        Ok(Self { model, table, lora_sites, summary: weights.finish() })
    }
}

/// Reads new weights for the served model.
#[derive(Debug)]
pub(crate) struct CheckpointStager {
    /// The served model's configuration.
    pub(crate) config: ModelConfig,
    /// `--json-model-override-args`.
    pub(crate) overrides: Value,
    pub(crate) context_length: usize,
    pub(crate) target: WeightTarget,
    /// Bytes of the served weights; the new ones need as much.
    pub(crate) weight_bytes: u64,
    /// Where to fetch models from that are not local paths, and their revision.
    pub(crate) hub: Hub,
    pub(crate) revision: Option<String>,
}

impl WeightStager for CheckpointStager {
    fn stage(&self, model_path: &str, load_format: &str) -> std::result::Result<StagedWeights, StageError> {
        if load_format == "dummy" {
            let why = "load format dummy reads nothing; expected auto, safetensors or gguf";
            return Err(StageError::Loader(why.to_owned()));
        }
        self.read(model_path, load_format)
    }

    fn reload(&self, model_path: &str, load_format: &str) -> std::result::Result<StagedWeights, StageError> {
        self.read(model_path, load_format)
    }
}

impl CheckpointStager {
    fn read(&self, model_path: &str, load_format: &str) -> std::result::Result<StagedWeights, StageError> {
        let path = match Path::new(model_path) {
            path if path.exists() => path.to_owned(),
            _ => self.fetch_from_hub(model_path, load_format)?,
        };
        let path = path.as_path();
        let no_iterator = |e: ModelError| StageError::Iterator(e.to_string());
        let checkpoint = Checkpoint::open(path).map_err(|e| no_iterator(e.into()))?;
        let config = self.config_of(&checkpoint).map_err(|e| StageError::Load(e.to_string()))?;
        let source = WeightSource::new(checkpoint, load_format).map_err(no_iterator)?;
        let loaded = self.load(&config, path, &source).map_err(|e| StageError::Load(e.to_string()))?;
        Ok(StagedWeights(Box::new(loaded)))
    }

    /// Fetches a checkpoint from the hub. If it is not found, the error text is that of the reference.
    fn fetch_from_hub(
        &self,
        model_path: &str,
        load_format: &str,
    ) -> std::result::Result<PathBuf, StageError> {
        let not_found = || StageError::Iterator(format!("{model_path} (repository not found)"));
        let reference = HubReference::parse(model_path).ok_or_else(not_found)?;
        let part = Part::Weights { load_format: load_format.to_owned() };
        self.hub.fetch(&reference, self.revision.as_deref(), &part, &Silent).map_err(|error| {
            tracing::warn!("weights from the hub: {error}");
            if error.is_not_found() { not_found() } else { StageError::Iterator(error.to_string()) }
        })
    }

    /// The configuration for a checkpoint: that of the served model, except whether the output head is tied. Returns an
    /// error if the checkpoint's configuration describes another model. A folder may have only weights.
    fn config_of(&self, checkpoint: &Checkpoint) -> Result<ModelConfig> {
        if let Checkpoint::HfFolder(folder) = checkpoint
            && !folder.file("config.json").is_file()
        {
            return Ok(self.config.clone());
        }
        let config = ModelConfig::from_checkpoint(checkpoint, Some(&self.overrides))?;
        match difference(&self.config, &config, self.context_length) {
            None => {
                Ok(ModelConfig { tie_word_embeddings: config.tie_word_embeddings, ..self.config.clone() })
            }
            Some(Difference { key, expected, found }) => Err(ModelError::Config {
                file: checkpoint.path().to_owned(),
                field: key.to_owned(),
                why: format!("expected {expected} as in the served model, found {found}"),
            }),
        }
    }

    fn load(&self, config: &ModelConfig, path: &Path, source: &WeightSource) -> Result<LoadedModel> {
        // Layers for multi-token prediction come after those of the model.
        let extra = self.config.raw.get("num_nextn_predict_layers").and_then(Value::as_u64).unwrap_or(0);
        if let Some(name) = source.layer_beyond(self.config.num_hidden_layers + extra as usize) {
            return Err(ModelError::Tensor {
                file: path.to_owned(),
                tensor: name.to_owned(),
                expected: format!("{} layers as in the served model", self.config.num_hidden_layers),
                found: "more".to_owned(),
            });
        }
        let device = match self.target {
            WeightTarget::Native(_) => Device::Cpu,
            WeightTarget::Torch(device, _) => device,
        };
        let free = free_bytes(device);
        if free < self.weight_bytes {
            return Err(ModelError::Config {
                file: path.to_owned(),
                field: "memory".to_owned(),
                why: format!(
                    "the new weights wait beside the old ones and need {} MB, {} MB are free on {}",
                    self.weight_bytes / 1_000_000,
                    free / 1_000_000,
                    crate::device::device_name(device)
                ),
            });
        }
        LoadedModel::load(config, self.context_length, path, source, self.target)
    }
}
