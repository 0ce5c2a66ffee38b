//! CPU kernels: matrix products on weights in the checkpoint's format (quantised ones too), normalisation, activations,
//! rotary embedding and attention over a paged KV pool. Kernels take and return plain slices; they do not need
//! libtorch.
//!
//! Arithmetic is float32 on the exactly dequantised weights. A result does not depend on the rest of the batch, on how
//! a prompt was split into chunks or on the number of threads: the same operations compute every output number in the
//! same order, and tests check this bit for bit. Processors with and without AVX-512 differ in the last bits.
#[cfg(target_endian = "big")]
compile_error!("weights are read as little-endian numbers");

mod activation;
mod add_rows;
mod argmax;
mod attention;
mod embedding;
mod error;
mod experts;
mod linear;
mod norm;
mod pool;
mod quant;
mod rotary;
mod rows;
mod simd;
mod split;
#[cfg(test)]
mod tests;
mod weight;

pub use activation::{clamped_swiglu_and_mul, gelu_tanh_and_mul, silu_and_mul};
pub use add_rows::add_rows;
pub use argmax::{Argmax, argmax};
pub use attention::{
    AttentionOptions, AttentionRequest, KvLayout, KvSlice, KvSliceMut, PagedKv, Values, paged_attention,
    store_kv, store_latent,
};
pub use embedding::embedding;
pub use error::{KernelError, Result};
pub use experts::{add_gated, combine_rows, gather_rows};
pub use linear::{HeadColumns, Product, linear, linear_heads, linear_parts, linear_products};
pub use norm::{fused_add_rms_norm, rms_norm, rms_norm_heads};
pub use pool::ThreadPool;
pub use quant::QuantType;
pub use rotary::{RotaryColumns, RotaryTable, rotary, rotary_neox};
pub use rows::{Rows, RowsMut};
pub use simd::Isa;
pub use weight::{WeightBytes, WeightMatrix};
