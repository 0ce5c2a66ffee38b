//! The building blocks of models. Each block has its weights and computes a step's activations through
//! [`crate::ops::Ops`]. Names follow the reference's `srt/layers`.

mod attention;
mod embedding;
mod encoder_attention;
mod latent_attention;
mod layer_norm;
mod mlp;
mod moe;
mod norm;
mod residual;
mod rotary;
mod topk;

pub use attention::{Attention, AttentionShape, LayerStep, SelfAttention};
pub use embedding::{LmHead, VocabEmbedding};
pub use encoder_attention::EncoderAttention;
pub use latent_attention::{LatentAttentionShape, MultiHeadLatentAttention};
pub use layer_norm::LayerNorm;
pub use mlp::{FeedForward, GatedMLP, MlpShape};
pub use moe::{SharedExpert, SparseMoeBlock};
pub use norm::{NormKind, RMSNorm};
pub use residual::ResidualStream;
pub use rotary::{RopeParameters, RotaryEmbedding};
pub use topk::{ExpertGroups, ScoringFunc, TopK};
