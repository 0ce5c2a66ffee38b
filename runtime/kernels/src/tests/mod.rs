//! Checks every kernel against a plain reference, and that no result depends on the batch.

mod attention;
mod attention_exact;
mod experts;
mod latent;
mod linear;
mod math;
mod pool;
mod quant;
mod reference;
mod rows;
