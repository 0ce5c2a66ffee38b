//! The common parts of decoder-only models: embedding, a stack of layers, a final norm and the output head.
//!
//! The file of an architecture builds its layers and defines the order of their blocks ([`DecoderLayer`]).

use tch::Tensor;

use crate::config::DecoderConfig;
use crate::error::Result;
use crate::layers::{
    Attention, FeedForward, LayerStep, LmHead, RMSNorm, ResidualStream, RotaryEmbedding, SelfAttention,
    VocabEmbedding,
};
use crate::loader::WeightLoader;
use crate::memory::{KvCacheShape, MHATokenToKVPool};
use crate::ops::{ForwardContext, LayerKv, Ops, StepAdapters};

use super::CausalLM;

/// One layer of a decoder.
pub trait DecoderLayer: Send + std::fmt::Debug {
    /// Runs the layer and adds its outputs to the residual stream.
    ///
    /// # Errors
    /// An error of the backend.
    fn forward(&self, ops: &dyn Ops, stream: &mut ResidualStream, step: &LayerStep<'_>) -> Result<()>;
}

/// Index and name prefix of a layer that is being loaded.
#[derive(Clone, Debug)]
pub struct LayerName {
    /// Index of the layer, from 0.
    pub index: usize,
    prefix: String,
}

impl LayerName {
    /// Full name of a module of the layer, such as `self_attn`.
    pub fn of(&self, module: &str) -> String {
        format!("{}.{module}", self.prefix)
    }
}

/// A decoder without output head (such as the reference's `LlamaModel`).
#[derive(Debug)]
pub struct Decoder {
    embed_tokens: VocabEmbedding,
    embedding_scale: f64,
    layers: Vec<Box<dyn DecoderLayer>>,
    norm: RMSNorm,
    rotary: Vec<RotaryEmbedding>,
    kv_cache_shape: KvCacheShape,
}

/// Prefixes of tensor names: of plain models, of the text part of multimodal models in transformers 5 and 4, and of
/// checkpoints saved without a head.
const PREFIXES: [&str; 4] = ["model.", "model.language_model.", "language_model.model.", ""];

/// The prefix that a checkpoint uses.
fn prefix(weights: &WeightLoader<'_>) -> &'static str {
    let there = |prefix: &&str| weights.has(&format!("{prefix}embed_tokens.weight"));
    PREFIXES.into_iter().find(there).unwrap_or("model.")
}

impl Decoder {
    /// Loads embedding and final norm, and each layer with `layer`. Layers refer to the rotations in `rotary` by index.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load<L: DecoderLayer + 'static>(
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        rotary: Vec<RotaryEmbedding>,
        mut layer: impl FnMut(&mut WeightLoader<'_>, &LayerName) -> Result<L>,
    ) -> Result<Self> {
        let prefix = prefix(weights);
        let embedding = format!("{prefix}embed_tokens");
        let embed_tokens =
            VocabEmbedding::new(weights.embedding(&embedding, config.vocab_size, config.hidden_size)?);
        let mut layers: Vec<Box<dyn DecoderLayer>> = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let name = LayerName { index, prefix: format!("{prefix}layers.{index}") };
            layers.push(Box::new(layer(weights, &name)?));
        }
        let norm = config.norm(weights, &format!("{prefix}norm"))?;
        let kv_cache_shape = config.heads().kv_cache_shape();
        Ok(Self { embed_tokens, embedding_scale: 1.0, layers, norm, rotary, kv_cache_shape })
    }

    /// Sets another KV cache shape than that of the configuration's heads.
    #[must_use]
    pub fn with_kv_cache_shape(self, kv_cache_shape: KvCacheShape) -> Self {
        Self { kv_cache_shape, ..self }
    }

    /// Sets a factor of the embeddings.
    #[must_use]
    pub fn with_embedding_scale(self, embedding_scale: f64) -> Self {
        Self { embedding_scale, ..self }
    }

    /// Runs all layers on a step's tokens and writes their keys and values to the pool. Returns `[tokens, hidden]`,
    /// normalised.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor> {
        let ropes = self
            .rotary
            .iter()
            .map(|rotary| rotary.table(&ctx.plan.positions, ops))
            .collect::<Result<Vec<_>>>()?;
        let mut embeddings = self.embed_tokens.forward(ops, ctx)?;
        if self.embedding_scale != 1.0 {
            ops.scale(&mut embeddings, self.embedding_scale)?;
        }
        let mut stream = ResidualStream::new(embeddings);
        for (i, layer) in self.layers.iter().enumerate() {
            let (k, v) = kv.layer(i)?;
            let step = LayerStep { ctx, ropes: &ropes, kv: LayerKv { k, v } };
            layer.forward(ops, &mut stream, &step)?;
        }
        stream.normalized(ops, &self.norm)
    }

    /// The embedding matrix.
    pub fn embedding(&self) -> &VocabEmbedding {
        &self.embed_tokens
    }

    /// Number of layers.
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// What the cache of a layer holds per token.
    pub fn kv_cache_shape(&self) -> KvCacheShape {
        self.kv_cache_shape
    }
}

/// A decoder with an output head.
#[derive(Debug)]
pub struct DecoderForCausalLM {
    model: Decoder,
    lm_head: LmHead,
}

impl DecoderForCausalLM {
    /// Adds an output head to a decoder.
    pub fn new(model: Decoder, lm_head: LmHead) -> Self {
        Self { model, lm_head }
    }

    /// Uses the embedding as the output head, whatever the checkpoint has, for models whose output head is not used.
    ///
    /// # Errors
    /// None; the signature matches [`DecoderForCausalLM::load_head`].
    pub fn no_head(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<LmHead> {
        Ok(LmHead::new(None, weights.head_site(config.vocab_size, config.hidden_size)))
    }

    /// Loads the output head `lm_head`, unless it is tied to the embedding. If the configuration says that it is tied
    /// but the checkpoint has a different matrix, that matrix is used (as in transformers).
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn load_head(config: &DecoderConfig<'_>, weights: &mut WeightLoader<'_>) -> Result<LmHead> {
        let site = weights.head_site(config.vocab_size, config.hidden_size);
        let there = |name: &&str| weights.has(&format!("{name}.weight"));
        let found = ["lm_head", "language_model.lm_head"].into_iter().find(there);
        if config.tie_word_embeddings {
            let embedding = format!("{}embed_tokens.weight", prefix(weights));
            let stored = |name: &&str| !weights.stores_the_same(&format!("{name}.weight"), &embedding);
            if found.filter(stored).is_none() {
                return Ok(LmHead::new(None, site));
            }
            tracing::warn!(
                "tie_word_embeddings is true, but the checkpoint has an lm_head.weight with other values than \
                 embed_tokens.weight: lm_head.weight is used"
            );
        }
        let name = found.unwrap_or("lm_head");
        let weight = weights.linear(&[(name, config.vocab_size)], config.hidden_size, false)?;
        Ok(LmHead::new(Some(weight), site))
    }
}

impl CausalLM for DecoderForCausalLM {
    fn forward(&self, ops: &dyn Ops, ctx: &ForwardContext<'_>, kv: &MHATokenToKVPool) -> Result<Tensor> {
        self.model.forward(ops, ctx, kv)
    }

    fn logits(&self, ops: &dyn Ops, hidden: &Tensor, lora: Option<&dyn StepAdapters>) -> Result<Tensor> {
        self.lm_head.forward(ops, hidden, self.model.embedding(), lora)
    }

    fn num_layers(&self) -> usize {
        self.model.num_layers()
    }

    fn kv_cache_shape(&self) -> KvCacheShape {
        self.model.kv_cache_shape()
    }
}

/// The layer of Llama and most others: each block reads the normalised stream and adds its output to the stream.
#[derive(Debug)]
pub struct PreNormLayer<M, A = Attention> {
    input_layernorm: RMSNorm,
    self_attn: A,
    post_attention_layernorm: RMSNorm,
    mlp: M,
}

impl<M: FeedForward, A: SelfAttention> PreNormLayer<M, A> {
    /// Builds the layer from two blocks and loads its norms.
    ///
    /// # Errors
    /// A norm is missing or has another shape.
    pub fn load(
        config: &DecoderConfig<'_>,
        weights: &mut WeightLoader<'_>,
        name: &LayerName,
        self_attn: A,
        mlp: M,
    ) -> Result<Self> {
        Ok(Self {
            input_layernorm: config.norm(weights, &name.of("input_layernorm"))?,
            self_attn,
            post_attention_layernorm: config.norm(weights, &name.of("post_attention_layernorm"))?,
            mlp,
        })
    }
}

impl<M: FeedForward, A: SelfAttention> DecoderLayer for PreNormLayer<M, A> {
    fn forward(&self, ops: &dyn Ops, stream: &mut ResidualStream, step: &LayerStep<'_>) -> Result<()> {
        let x = stream.normalized(ops, &self.input_layernorm)?;
        stream.add(ops, self.self_attn.forward(ops, &x, step)?)?;
        let x = stream.normalized(ops, &self.post_attention_layernorm)?;
        stream.add(ops, self.mlp.forward(ops, &x, step.ctx)?)
    }
}
