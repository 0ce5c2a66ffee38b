//! Builds models that embed, score or classify. With `--is-embedding`, every generating architecture can embed too.

use std::path::Path;

use serde_json::Value;
use sglang_checkpoint::{ModelConfig, PoolingConfig, PoolingType};
use sglang_proto::worker::PromptReach;

use crate::error::{ModelError, Result};
use crate::loader::WeightLoader;

use super::super::bert::{BertModel, PositionNumbers};
use super::super::forms::{DecoderHead, Form, form};
use super::super::registry::{find, load_decoder};
use super::super::{CausalLM, DecoderForCausalLM};
use super::{EmbeddingHead, EmbeddingModel, HeadActivation, Pooler, ScoreHead};

/// The configuration of the generating model whose body is used.
fn body_config(config: &ModelConfig, architecture: Option<&str>) -> ModelConfig {
    let mut body = ModelConfig { pooling: None, ..config.clone() };
    if let Some(name) = architecture {
        body.architectures = vec![name.to_owned()];
    }
    body
}

/// Returns an error for an unknown architecture, before anything is loaded.
pub(in super::super) fn check(config: &ModelConfig, path: &Path) -> Result<()> {
    match form(config) {
        Some(Form::Decoder(base, _)) => find(&body_config(config, Some(base)), path).map(|_| ()),
        Some(_) => Ok(()),
        None => find(&body_config(config, None), path).map(|_| ()),
    }
}

/// Builds an embedding model with this pooling.
pub(in super::super) fn load(
    config: &ModelConfig,
    pooling: PoolingConfig,
    context_length: usize,
    path: &Path,
    weights: &mut WeightLoader<'_>,
) -> Result<EmbeddingModel> {
    let build = Build { config, pooling, path };
    let mut decoder = |base: Option<&str>, head: DecoderHead| -> Result<EmbeddingModel> {
        let body = body_config(config, base);
        let body = load_decoder(&body, context_length, path, weights, DecoderForCausalLM::no_head)?;
        let head = build.decoder_head(head, weights)?;
        Ok(EmbeddingModel::new(body, head))
    };
    match form(config) {
        None => decoder(None, DecoderHead::None),
        Some(Form::Decoder(base, head)) => decoder(Some(base), head),
        Some(Form::Bert { classifies }) => {
            build.encoder("bert.", PositionNumbers::FromZero, classifies, weights)
        }
        Some(Form::XlmRoberta { classifies }) => {
            let padding = config.pad_token_id.unwrap_or(1);
            build.encoder("roberta.", PositionNumbers::AfterPadding(padding), classifies, weights)
        }
    }
}

/// Inputs of building a model.
struct Build<'a> {
    config: &'a ModelConfig,
    pooling: PoolingConfig,
    path: &'a Path,
}

impl Build<'_> {
    fn fail(&self, field: &str, why: String) -> ModelError {
        ModelError::Config { file: self.path.to_owned(), field: field.to_owned(), why }
    }

    fn pooler(&self, default: PoolingType) -> Pooler {
        Pooler {
            pooling: self.pooling.pooling.unwrap_or(default),
            normalize: self.pooling.normalize.unwrap_or(true),
        }
    }

    fn decoder_head(&self, head: DecoderHead, weights: &mut WeightLoader<'_>) -> Result<EmbeddingHead> {
        let (hidden, labels) = (self.config.hidden_size, self.config.labels().len());
        let mut linear = |name: &str, rows: usize, bias: bool| weights.linear(&[(name, rows)], hidden, bias);
        let score = match head {
            DecoderHead::None => None,
            DecoderHead::Score => {
                let bias = weights.has("score.bias");
                let layer = weights.linear(&[("score", labels)], hidden, bias)?;
                Some(ScoreHead::new(vec![(layer, HeadActivation::Identity)]))
            }
            DecoderHead::Reward => Some(ScoreHead::new(vec![
                (linear("score.0", hidden, true)?, HeadActivation::Relu),
                (linear("score.2", 1, true)?, HeadActivation::Identity),
            ])),
        };
        let pooler = match score {
            Some(_) => Pooler { pooling: PoolingType::Last, normalize: false },
            None => self.pooler(PoolingType::Last),
        };
        let reach = match pooler.pooling {
            PoolingType::Last => PromptReach::Causal,
            PoolingType::Cls | PoolingType::Mean => PromptReach::EveryPosition,
        };
        Ok(EmbeddingHead { pooler, score, reach })
    }

    fn encoder(
        &self,
        prefix: &str,
        numbers: PositionNumbers,
        classifies: bool,
        weights: &mut WeightLoader<'_>,
    ) -> Result<EmbeddingModel> {
        let prefixed = weights.has(&format!("{prefix}embeddings.word_embeddings.weight"));
        let prefix = if prefixed { prefix } else { "" };
        let body =
            BertModel::load(self.config, prefix, numbers, weights, &|field, why| self.fail(field, why))?;
        let (pooler, score) = if classifies {
            let (hidden, labels) = (self.config.hidden_size, self.config.labels().len());
            let (first, last) = match numbers {
                PositionNumbers::FromZero => (format!("{prefix}pooler.dense"), "classifier"),
                PositionNumbers::AfterPadding(_) => ("classifier.dense".to_owned(), "classifier.out_proj"),
            };
            let head = ScoreHead::new(vec![
                (weights.linear(&[(&first, hidden)], hidden, true)?, HeadActivation::Tanh),
                (weights.linear(&[(last, labels)], hidden, true)?, self.cross_encoder_activation()?),
            ]);
            (Pooler { pooling: PoolingType::Cls, normalize: false }, Some(head))
        } else {
            (self.pooler(PoolingType::Cls), None)
        };
        let head = EmbeddingHead { pooler, score, reach: PromptReach::Bidirectional };
        Ok(EmbeddingModel::new(Box::new(body) as Box<dyn CausalLM>, head))
    }

    /// The activation that sentence-transformers' `CrossEncoder` applies to scores, from the configuration (reference:
    /// `get_cross_encoder_activation_function` in `layers/activation.py`).
    fn cross_encoder_activation(&self) -> Result<HeadActivation> {
        let raw = &self.config.raw;
        let old = raw.get("sbert_ce_default_activation_function");
        let new = raw.pointer("/sentence_transformers/activation_fn");
        let Some(name) = [old, new].into_iter().flatten().find_map(Value::as_str) else {
            return Ok(HeadActivation::Identity);
        };
        match name.rsplit('.').next() {
            Some("Identity") => Ok(HeadActivation::Identity),
            Some("Sigmoid") => Ok(HeadActivation::Sigmoid),
            Some("Tanh") => Ok(HeadActivation::Tanh),
            Some("ReLU") => Ok(HeadActivation::Relu),
            _ => Err(self.fail(
                "sbert_ce_default_activation_function",
                format!(
                    "{name} is not supported; expected Identity, Sigmoid, Tanh or ReLU of torch.nn.modules"
                ),
            )),
        }
    }
}
