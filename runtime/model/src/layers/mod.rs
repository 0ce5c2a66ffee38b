//! The blocks that models are put together from. Each holds its weights and says, in terms of [`crate::ops::Ops`],
//! what it does with a step's activations. Names follow the reference's `srt/layers`.

mod attention;
mod embedding;
mod encoder_attention;
mod layer_norm;
mod mlp;
mod norm;
mod residual;
mod rotary;

pub use attention::{Attention, AttentionShape, LayerStep};
pub use embedding::{LmHead, VocabEmbedding};
pub use encoder_attention::EncoderAttention;
pub use layer_norm::LayerNorm;
pub use mlp::{FeedForward, GatedMLP, MlpShape};
pub use norm::RMSNorm;
pub use residual::ResidualStream;
pub use rotary::{RopeParameters, RotaryEmbedding};
