//! The blocks that models are put together from. Each holds its weights and says, in terms of [`crate::ops::Ops`],
//! what it does with a step's activations. Names follow the reference's `srt/layers`.

mod attention;
mod embedding;
mod mlp;
mod norm;
mod rotary;

pub use attention::Attention;
pub use embedding::{LmHead, VocabEmbedding};
pub use mlp::GatedMLP;
pub use norm::RMSNorm;
pub use rotary::{RopeParameters, RotaryEmbedding};
