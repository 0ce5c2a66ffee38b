//! Llama (Touvron et al., 2023) and everything built like it. Reference: `srt/models/llama.py`.

use tch::Tensor;

use crate::config::LlamaConfig;
use crate::error::Result;
use crate::layers::{Attention, GatedMLP, LmHead, RMSNorm, RotaryEmbedding, VocabEmbedding};
use crate::loader::WeightLoader;
use crate::memory::MHATokenToKVPool;
use crate::ops::{ForwardContext, HeadLayout, LayerKv, Ops, RopeTable};

use super::CausalLM;

/// `LlamaForCausalLM`.
#[derive(Debug)]
pub struct LlamaForCausalLM {
    embed_tokens: VocabEmbedding,
    layers: Vec<LlamaDecoderLayer>,
    norm: RMSNorm,
    lm_head: LmHead,
    rotary: RotaryEmbedding,
    heads: HeadLayout,
}

#[derive(Debug)]
struct LlamaDecoderLayer {
    input_layernorm: RMSNorm,
    self_attn: Attention,
    post_attention_layernorm: RMSNorm,
    mlp: GatedMLP,
}

impl LlamaForCausalLM {
    /// Takes the model's weights from a loader.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape than the configuration says.
    pub fn load(config: &LlamaConfig, weights: &mut WeightLoader<'_>) -> Result<Self> {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let embed_tokens =
            VocabEmbedding::new(weights.linear(&[("model.embed_tokens", vocab)], hidden, false)?);
        let layers = (0..config.num_hidden_layers)
            .map(|i| LlamaDecoderLayer::load(config, weights, &format!("model.layers.{i}")))
            .collect::<Result<_>>()?;
        let norm = weights.norm("model.norm", hidden, config.rms_norm_eps)?;
        let lm_head = if config.tie_word_embeddings {
            LmHead::Tied
        } else {
            LmHead::Own(weights.linear(&[("lm_head", vocab)], hidden, false)?)
        };
        Ok(Self { embed_tokens, layers, norm, lm_head, rotary: config.rotary.clone(), heads: config.heads })
    }
}

impl LlamaDecoderLayer {
    fn load(config: &LlamaConfig, weights: &mut WeightLoader<'_>, prefix: &str) -> Result<Self> {
        let (hidden, inner, heads) = (config.hidden_size, config.intermediate_size, config.heads);
        let name = |part: &str| format!("{prefix}.{part}");
        let (q, k, v) = (name("self_attn.q_proj"), name("self_attn.k_proj"), name("self_attn.v_proj"));
        let qkv_parts = [(q.as_str(), heads.q_size()), (&k, heads.kv_size()), (&v, heads.kv_size())];
        let qkv_proj = weights.linear(&qkv_parts, hidden, config.attention_bias)?;
        let o_proj = weights.linear(
            &[(&name("self_attn.o_proj"), hidden)],
            heads.q_size(),
            config.attention_out_bias,
        )?;
        let gate_up_parts = [(name("mlp.gate_proj"), inner), (name("mlp.up_proj"), inner)];
        let gate_up_parts = gate_up_parts.each_ref().map(|(name, rows)| (name.as_str(), *rows));
        let gate_up_proj = weights.linear(&gate_up_parts, hidden, config.mlp_bias)?;
        let down_proj = weights.linear(&[(&name("mlp.down_proj"), hidden)], inner, config.mlp_bias)?;
        Ok(Self {
            input_layernorm: weights.norm(&name("input_layernorm"), hidden, config.rms_norm_eps)?,
            self_attn: Attention::new(qkv_proj, o_proj, heads),
            post_attention_layernorm: weights.norm(
                &name("post_attention_layernorm"),
                hidden,
                config.rms_norm_eps,
            )?,
            mlp: GatedMLP::new(gate_up_proj, down_proj),
        })
    }

    /// Takes what the layer before adds to the residual stream, and gives what this one adds.
    fn forward(
        &self,
        ops: &dyn Ops,
        x: Option<&Tensor>,
        residual: &mut Tensor,
        rope: &RopeTable,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let normed = match x {
            Some(x) => self.input_layernorm.forward_add(ops, x, residual)?,
            None => self.input_layernorm.forward(ops, residual)?,
        };
        let attended = self.self_attn.forward(ops, &normed, rope, kv, ctx)?;
        let normed = self.post_attention_layernorm.forward_add(ops, &attended, residual)?;
        self.mlp.forward(ops, &normed)
    }
}

impl CausalLM for LlamaForCausalLM {
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor> {
        let rope = self.rotary.table(&ctx.plan.positions, ops)?;
        let mut residual = self.embed_tokens.forward(ops, ctx)?;
        let mut x = None;
        for (i, layer) in self.layers.iter().enumerate() {
            let (k, v) = kv.layer(i)?;
            x = Some(layer.forward(ops, x.as_ref(), &mut residual, &rope, LayerKv { k, v }, ctx)?);
        }
        match x {
            Some(x) => self.norm.forward_add(ops, &x, &mut residual),
            None => self.norm.forward(ops, &residual),
        }
    }

    fn logits(&self, ops: &dyn Ops, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.forward(ops, hidden, &self.embed_tokens)
    }

    fn num_layers(&self) -> usize {
        self.layers.len()
    }

    fn heads(&self) -> HeadLayout {
        self.heads
    }
}
