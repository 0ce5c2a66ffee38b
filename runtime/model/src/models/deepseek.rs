//! DeepSeek-V2 and -V3: latent attention, and experts in all but the first layers. Reference:
//! `srt/models/deepseek_v2.py`.

use sglang_checkpoint::RopeScaling;

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{
    ExpertGroups, FeedForward, GatedMLP, LatentAttentionShape, MlpShape, MultiHeadLatentAttention,
    ScoringFunc, SharedExpert, SparseMoeBlock, TopK,
};
use crate::loader::{ExpertNames, WeightLoader};
use crate::memory::KvCacheShape;
use crate::ops::LatentLayout;

use super::decoder::{Decoder, LayerName, PreNormLayer};
use super::moe::MoeShape;

/// Defaults of keys that `config.json` leaves out.
struct Defaults {
    topk_method: &'static str,
    scoring_func: &'static str,
    norm_topk_prob: bool,
    routed_scaling_factor: f64,
    first_k_dense_replace: usize,
}

/// `DeepseekV2ForCausalLM`.
pub(super) fn v2(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let defaults = Defaults {
        topk_method: "greedy",
        scoring_func: "softmax",
        norm_topk_prob: false,
        routed_scaling_factor: 1.0,
        first_k_dense_replace: 0,
    };
    model(config, weights, &defaults)
}

/// `DeepseekV3ForCausalLM`.
pub(super) fn v3(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<Decoder> {
    let defaults = Defaults {
        topk_method: "noaux_tc",
        scoring_func: "sigmoid",
        norm_topk_prob: true,
        routed_scaling_factor: 2.5,
        first_k_dense_replace: 3,
    };
    model(config, weights, &defaults)
}

/// Builds the model. Ignores the layers for multi-token prediction, which checkpoints have after the last layer.
fn model(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>, defaults: &Defaults) -> Result<Decoder> {
    let attention = attention(config)?;
    let LatentLayout { kv_lora_rank, qk_rope_head_dim, .. } = attention.layout;
    let sparse = SparseLayers::new(config, defaults)?;
    let decoder = Decoder::load(config, weights, vec![config.rotary()?], |weights, layer| {
        let self_attn = MultiHeadLatentAttention::load(weights, &layer.of("self_attn"), attention)?;
        let mlp = sparse.load(config, weights, layer)?;
        PreNormLayer::load(config, weights, layer, self_attn, mlp)
    })?;
    Ok(decoder.with_kv_cache_shape(KvCacheShape::Latent { kv_lora_rank, qk_rope_head_dim }))
}

fn attention(config: &DecoderConfig<'_>) -> Result<LatentAttentionShape> {
    let layout = LatentLayout {
        num_heads: config.num_attention_heads,
        kv_lora_rank: config.required("kv_lora_rank")?,
        qk_nope_head_dim: config.required("qk_nope_head_dim")?,
        qk_rope_head_dim: config.required("qk_rope_head_dim")?,
        v_head_dim: config.required("v_head_dim")?,
    };
    // The rope table only applies the ratio of YaRN's magnitudes, `mscale` to `mscale_all_dim`. The score's scale
    // applies that of `mscale_all_dim`, to unrotated columns too.
    let magnitude = match &config.rope_scaling {
        Some(RopeScaling::Yarn(yarn)) => yarn.mscale_all_dim.map_or(1.0, |weight| yarn.magnitude(weight)),
        _ => 1.0,
    };
    Ok(LatentAttentionShape {
        hidden_size: config.hidden_size,
        norm: config.norm_kind(),
        layout,
        q_lora_rank: config.count("q_lora_rank")?.filter(|rank| *rank > 0),
        bias: config.attention_bias,
        rope_interleave: config.raw.get("rope_interleave").is_none_or(|v| v.as_bool() != Some(false)),
        scale: (layout.qk_head_dim() as f64).powf(-0.5) * magnitude * magnitude,
    })
}

/// Which layers have experts, and how these are chosen.
struct SparseLayers {
    /// `None` if the model has no experts.
    moe: Option<MoeShape>,
    /// Whether the checkpoint has a correction bias for the choice.
    has_bias: bool,
    shared: Option<MlpShape>,
    first: usize,
    step: usize,
}

impl SparseLayers {
    fn new(config: &DecoderConfig<'_>, defaults: &Defaults) -> Result<Self> {
        let first = config.count("first_k_dense_replace")?.unwrap_or(defaults.first_k_dense_replace);
        let step = match config.count("moe_layer_freq")? {
            Some(0) => return Err(config.wrong("moe_layer_freq", "expected 1 or more, found 0")),
            step => step.unwrap_or(1),
        };
        if config.count("n_routed_experts")?.is_none() {
            return Ok(Self { moe: None, has_bias: false, shared: None, first, step });
        }
        let moe = MoeShape::new(config, "moe_intermediate_size", false)?;
        let (topk, has_bias) = router(config, defaults, &moe)?;
        let shared = match config.count("n_shared_experts")?.unwrap_or(0) {
            0 => None,
            n => {
                let intermediate_size = n.saturating_mul(moe.intermediate_size);
                Some(MlpShape { intermediate_size, ..config.mlp()? })
            }
        };
        Ok(Self { moe: Some(MoeShape { topk, ..moe }), has_bias, shared, first, step })
    }

    fn load(
        &self,
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        layer: &LayerName,
    ) -> Result<Box<dyn FeedForward>> {
        let sparse = layer.index >= self.first && layer.index.is_multiple_of(self.step);
        let Some(moe) = self.moe.as_ref().filter(|_| sparse) else {
            return Ok(Box::new(GatedMLP::load(weights, &layer.of("mlp"), config.mlp()?)?));
        };
        let mut block = moe.load(config, weights, layer, "mlp", ExpertNames::PROJ)?;
        if self.has_bias {
            let name = layer.of("mlp.gate.e_score_correction_bias");
            block.topk.correction_bias = Some(weights.host_vector(&name, moe.num_experts)?);
        }
        Ok(Box::new(match self.shared {
            Some(shared) => shared_expert(weights, layer, block, shared)?,
            None => block,
        }))
    }
}

fn shared_expert(
    weights: &mut WeightLoader<'_>,
    layer: &LayerName,
    block: SparseMoeBlock,
    shape: MlpShape,
) -> Result<SparseMoeBlock> {
    let mlp = GatedMLP::load(weights, &layer.of("mlp.shared_experts"), shape)?;
    Ok(block.with_shared_expert(SharedExpert { mlp, gate: None }))
}

/// The rule of the router, and whether it has a correction bias.
fn router(config: &DecoderConfig<'_>, defaults: &Defaults, moe: &MoeShape) -> Result<(TopK, bool)> {
    let text = |key: &str, default: &'static str| match config.raw.get(key).filter(|v| !v.is_null()) {
        None => Ok(default.to_owned()),
        Some(v) => v.as_str().map(str::to_owned).ok_or_else(|| config.wrong(key, "expected a text")),
    };
    let method = text("topk_method", defaults.topk_method)?;
    let (grouped, best_of_group) = match method.as_str() {
        "greedy" => (false, 1),
        "group_limited_greedy" => (true, 1),
        "noaux_tc" => (true, 2),
        other => {
            let why = format!("expected greedy, group_limited_greedy or noaux_tc, found {other}");
            return Err(config.wrong("topk_method", why));
        }
    };
    let scoring_func = match text("scoring_func", defaults.scoring_func)?.as_str() {
        "softmax" => ScoringFunc::Softmax,
        "sigmoid" => ScoringFunc::Sigmoid,
        other => {
            return Err(config.wrong("scoring_func", format!("expected softmax or sigmoid, found {other}")));
        }
    };
    let factor = config.number("routed_scaling_factor", Some(defaults.routed_scaling_factor))?;
    let renormalize = match config.raw.get("norm_topk_prob") {
        None => defaults.norm_topk_prob,
        Some(_) => config.flag("norm_topk_prob")?,
    };
    let topk = TopK {
        scoring_func,
        renormalize,
        routed_scaling_factor: factor.unwrap_or(1.0) as f32,
        groups: if grouped { Some(groups(config, moe, best_of_group)?) } else { None },
        ..moe.topk.clone()
    };
    Ok((topk, method == "noaux_tc"))
}

fn groups(config: &DecoderConfig<'_>, moe: &MoeShape, best_of_group: usize) -> Result<ExpertGroups> {
    let num_expert_group = config.required("n_group")?;
    let topk_group = config.required("topk_group")?;
    if !moe.num_experts.is_multiple_of(num_expert_group) {
        let why = format!("expected a divisor of {} experts, found {num_expert_group}", moe.num_experts);
        return Err(config.wrong("n_group", why));
    }
    let reachable = topk_group.saturating_mul(moe.num_experts / num_expert_group);
    if topk_group > num_expert_group || reachable < moe.topk.top_k {
        let why = format!(
            "{topk_group} of {num_expert_group} groups cannot give {} of {} experts",
            moe.topk.top_k, moe.num_experts
        );
        return Err(config.wrong("topk_group", why));
    }
    Ok(ExpertGroups { num_expert_group, topk_group, best_of_group })
}
