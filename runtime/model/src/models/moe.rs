//! Common parts of families with experts: sizes, and which layers have experts.

use crate::config::{DecoderConfig, num_experts};
use crate::error::Result;
use crate::layers::{FeedForward, GatedMLP, MlpShape, SharedExpert, SparseMoeBlock, TopK};
use crate::loader::{ExpertNames, WeightLoader};
use crate::ops::Activation;

use super::decoder::LayerName;

/// Sizes and router of a model's mixture-of-experts layers.
#[derive(Clone, Debug)]
pub(super) struct MoeShape {
    /// Number of routed experts.
    pub num_experts: usize,
    /// Width inside an expert.
    pub intermediate_size: usize,
    /// Activation of the gate.
    pub activation: Activation,
    /// The rule of the router.
    pub topk: TopK,
}

impl MoeShape {
    /// Experts with the width in `width_key`, of which a softmax chooses `num_experts_per_tok`.
    ///
    /// # Errors
    /// A size is missing, or `num_experts_per_tok` exceeds the number of experts.
    pub fn new(config: &DecoderConfig<'_>, width_key: &str, renormalize: bool) -> Result<Self> {
        let experts = num_experts(config)
            .filter(|n| *n > 0)
            .ok_or_else(|| config.wrong("num_experts", "expected a positive integer"))?;
        let top_k = config.required("num_experts_per_tok")?;
        if top_k > experts {
            let why = format!("{top_k} experts of {experts} cannot be chosen");
            return Err(config.wrong("num_experts_per_tok", why));
        }
        Ok(Self {
            num_experts: experts,
            intermediate_size: config.required(width_key)?,
            activation: config.activation()?,
            topk: TopK::softmax(top_k, renormalize),
        })
    }

    /// Loads a router `gate` and the experts `experts` of the module `name`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        &self,
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        layer: &LayerName,
        name: &str,
        names: ExpertNames,
    ) -> Result<SparseMoeBlock> {
        let hidden = config.hidden_size;
        let gate = layer.of(&format!("{name}.gate"));
        let experts = layer.of(&format!("{name}.experts"));
        Ok(SparseMoeBlock {
            layer_idx: layer.index,
            gate: weights.linear(&[(&gate, self.num_experts)], hidden, false)?,
            topk: self.topk.clone(),
            experts: weights.experts(
                &experts,
                names,
                self.num_experts,
                hidden,
                self.intermediate_size,
                self.activation,
                false,
            )?,
            shared_expert: None,
        })
    }
}

/// Loads the shared expert `name` and its gate `name_gate`.
///
/// # Errors
/// A tensor is missing or has another shape.
pub(super) fn gated_shared_expert(
    weights: &mut WeightLoader<'_>,
    name: &str,
    shape: MlpShape,
) -> Result<SharedExpert> {
    let gate = format!("{name}_gate");
    Ok(SharedExpert {
        mlp: GatedMLP::load(weights, name, shape)?,
        gate: Some(weights.linear(&[(&gate, 1)], shape.hidden_size, false)?),
    })
}

/// Qwen's choice of layers: every `decoder_sparse_step`-th layer has experts, except those in `mlp_only_layers`.
pub(super) struct SparseLayers {
    step: usize,
    dense: Vec<usize>,
}

impl SparseLayers {
    /// Reads the choice from the configuration.
    ///
    /// # Errors
    /// The step is 0, or a layer does not exist.
    pub fn new(config: &DecoderConfig<'_>) -> Result<Self> {
        let step = match config.count("decoder_sparse_step")? {
            Some(0) => return Err(config.wrong("decoder_sparse_step", "expected 1 or more, found 0")),
            step => step.unwrap_or(1),
        };
        Ok(Self { step, dense: config.layers("mlp_only_layers")? })
    }

    /// Loads the feed-forward block of a layer: `sparse` if it has experts, otherwise a dense one.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        &self,
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        layer: &LayerName,
        sparse: impl FnOnce(&mut WeightLoader<'_>) -> Result<SparseMoeBlock>,
    ) -> Result<Box<dyn FeedForward>> {
        if (layer.index + 1).is_multiple_of(self.step) && !self.dense.contains(&layer.index) {
            return Ok(Box::new(sparse(weights)?));
        }
        Ok(Box::new(GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?))
    }
}
