//! BERT (Devlin et al., 2019) and RoBERTa (Liu et al., 2019; Conneau et al., 2020) as packed encoders. Reference:
//! `srt/models/bert.py` and `srt/models/roberta.py`.

use tch::Tensor;

use sglang_checkpoint::ModelConfig;

use crate::error::{ModelError, Result};
use crate::layers::{EncoderAttention, LayerNorm, VocabEmbedding};
use crate::loader::WeightLoader;
use crate::memory::{KvCacheShape, MHATokenToKVPool};
use crate::ops::{ForwardContext, HeadLayout, LinearWeight, Ops, StepAdapters};

use super::CausalLM;

/// The numbering of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionNumbers {
    /// From 0.
    FromZero,
    /// Padding tokens have the padding id as their position; the others count up from there (RoBERTa).
    AfterPadding(u32),
}

/// The activation of the feed-forward blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EncoderActivation {
    Gelu,
    GeluTanh,
    Relu,
    Silu,
}

/// The body of BERT or RoBERTa: embeddings and encoder layers, without head.
#[derive(Debug)]
pub struct BertModel {
    word_embeddings: VocabEmbedding,
    position_embeddings: Tensor,
    token_type_embeddings: Tensor,
    embedding_norm: LayerNorm,
    layers: Vec<BertLayer>,
    activation: EncoderActivation,
    numbers: PositionNumbers,
    heads: HeadLayout,
}

#[derive(Debug)]
struct BertLayer {
    attention: EncoderAttention,
    attention_out: LinearWeight,
    attention_norm: LayerNorm,
    intermediate: LinearWeight,
    output: LinearWeight,
    output_norm: LayerNorm,
}

impl BertModel {
    /// Loads the body. `prefix` comes before every name (`bert.` or nothing); `fail` makes an error about a field of
    /// the configuration.
    ///
    /// # Errors
    /// The activation or the kind of positions is not supported, or a tensor is missing or has another shape.
    pub fn load(
        config: &ModelConfig,
        prefix: &str,
        numbers: PositionNumbers,
        weights: &mut WeightLoader<'_>,
        fail: &dyn Fn(&str, String) -> ModelError,
    ) -> Result<Self> {
        let activation = match config.hidden_act.as_str() {
            "gelu" => EncoderActivation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => EncoderActivation::GeluTanh,
            "relu" => EncoderActivation::Relu,
            "silu" | "swish" => EncoderActivation::Silu,
            other => {
                return Err(fail(
                    "hidden_act",
                    format!("{other} is not supported; expected gelu, gelu_new, relu or silu"),
                ));
            }
        };
        let kind = config.raw.get("position_embedding_type").and_then(serde_json::Value::as_str);
        if kind.is_some_and(|kind| kind != "absolute") {
            let why = format!("{} is not supported; expected absolute", kind.unwrap_or_default());
            return Err(fail("position_embedding_type", why));
        }
        let hidden = config.hidden_size;
        let types =
            config.raw.get("type_vocab_size").and_then(serde_json::Value::as_u64).unwrap_or(2) as usize;
        let name = |part: &str| format!("{prefix}embeddings.{part}");
        let word_embeddings = VocabEmbedding::new(weights.linear(
            &[(&name("word_embeddings"), config.vocab_size)],
            hidden,
            false,
        )?);
        let position_embeddings =
            weights.tensor(&name("position_embeddings.weight"), &[config.max_position_embeddings, hidden])?;
        let token_type_embeddings =
            weights.tensor(&name("token_type_embeddings.weight"), &[types, hidden])?;
        let embedding_norm = LayerNorm::load(weights, &name("LayerNorm"), hidden, config.rms_norm_eps)?;
        let heads = HeadLayout {
            num_heads: config.num_attention_heads,
            num_kv_heads: config.num_attention_heads,
            head_dim: config.head_dim,
        };
        let layers = (0..config.num_hidden_layers)
            .map(|i| BertLayer::load(config, heads, &format!("{prefix}encoder.layer.{i}."), weights))
            .collect::<Result<_>>()?;
        Ok(Self {
            word_embeddings,
            position_embeddings,
            token_type_embeddings,
            embedding_norm,
            layers,
            activation,
            numbers,
            heads,
        })
    }

    /// Numbers of the positions of all tokens.
    fn positions(&self, ctx: &ForwardContext<'_>) -> Vec<i64> {
        let plan = ctx.plan;
        let PositionNumbers::AfterPadding(padding) = self.numbers else {
            return plan.positions.iter().map(|&p| i64::from(p)).collect();
        };
        let mut numbers = Vec::with_capacity(plan.num_tokens());
        for seq in &plan.seqs {
            let mut last = i64::from(padding);
            let ids = plan.input_ids.get(seq.first_token..seq.first_token + seq.extend_len);
            for &id in ids.unwrap_or_default() {
                numbers.push(if id == padding {
                    i64::from(padding)
                } else {
                    last += 1;
                    last
                });
            }
        }
        numbers
    }

    fn embed(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        let words = self.word_embeddings.forward(ops, ctx)?;
        let rows = |table: &Tensor, rows: &[i64]| -> Result<Tensor> {
            Ok(table.f_index_select(0, &Tensor::f_from_slice(rows)?.f_to(ops.device())?)?)
        };
        let types: Vec<i64> = match ctx.plan.token_type_ids.as_slice() {
            [] => vec![0; ctx.plan.num_tokens()],
            types => types.iter().map(|&t| i64::from(t)).collect(),
        };
        let sum = words
            .f_add(&rows(&self.token_type_embeddings, &types)?)?
            .f_add(&rows(&self.position_embeddings, &self.positions(ctx))?)?;
        self.embedding_norm.forward(&sum)
    }
}

impl BertLayer {
    fn load(
        config: &ModelConfig,
        heads: HeadLayout,
        prefix: &str,
        weights: &mut WeightLoader<'_>,
    ) -> Result<Self> {
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.rms_norm_eps);
        let name = |part: &str| format!("{prefix}{part}");
        let parts = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        let parts = parts.each_ref().map(|part| (part.as_str(), heads.q_size()));
        let qkv_proj = weights.linear(&parts, hidden, true)?;
        Ok(Self {
            attention: EncoderAttention::new(qkv_proj, heads),
            attention_out: weights.linear(
                &[(&name("attention.output.dense"), hidden)],
                heads.q_size(),
                true,
            )?,
            attention_norm: LayerNorm::load(weights, &name("attention.output.LayerNorm"), hidden, eps)?,
            intermediate: weights.linear(&[(&name("intermediate.dense"), inner)], hidden, true)?,
            output: weights.linear(&[(&name("output.dense"), hidden)], inner, true)?,
            output_norm: LayerNorm::load(weights, &name("output.LayerNorm"), hidden, eps)?,
        })
    }

    fn forward(
        &self,
        ops: &dyn Ops,
        x: &Tensor,
        activation: EncoderActivation,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let attended = ops.linear(&self.attention.forward(ops, x, ctx)?, &self.attention_out)?;
        let x = self.attention_norm.forward(&attended.f_add(x)?)?;
        let inner = ops.linear(&x, &self.intermediate)?;
        let inner = match activation {
            EncoderActivation::Gelu => inner.f_gelu("none")?,
            EncoderActivation::GeluTanh => inner.f_gelu("tanh")?,
            EncoderActivation::Relu => inner.f_relu()?,
            EncoderActivation::Silu => inner.f_silu()?,
        };
        self.output_norm.forward(&ops.linear(&inner, &self.output)?.f_add(&x)?)
    }
}

impl CausalLM for BertModel {
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, _kv: &MHATokenToKVPool) -> Result<Tensor> {
        let mut x = self.embed(ops, ctx)?;
        for layer in &self.layers {
            x = layer.forward(ops, &x, self.activation, ctx)?;
        }
        Ok(x)
    }

    fn logits(&self, _ops: &dyn Ops, _hidden: &Tensor, _lora: Option<&dyn StepAdapters>) -> Result<Tensor> {
        Err(ModelError::Kernel("an encoder has no output matrix".to_owned()))
    }

    /// Encoders have no KV cache.
    fn num_layers(&self) -> usize {
        0
    }

    fn kv_cache_shape(&self) -> KvCacheShape {
        self.heads.kv_cache_shape()
    }
}
