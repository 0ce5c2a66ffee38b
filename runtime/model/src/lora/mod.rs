//! LoRA adapters (Hu et al., 2021): small matrices that change a model for the requests that name them, many adapters in
//! one batch (reference: `srt/lora`; Chen et al., 2023; Sheng et al., 2023).
//!
//! A layer that adapters can change has a number, its site ([`crate::lora_sites`]). An adapter is read once, checked against the
//! sites, and holds its matrices by them ([`adapter`], [`reader`]). The manager keeps what is loaded and brings the
//! adapters of a step to the device ([`manager`]); the step's rows are grouped by adapter ([`batch`]), and every layer
//! adds what its groups give ([`crate::ops::ForwardContext::linear`]), the embedding too
//! ([`crate::ops::ForwardContext::embedding`]), and the output matrix for the rows that it is asked for
//! ([`crate::layers::LmHead`]).

pub mod adapter;
pub mod batch;
pub mod manager;
mod memory_pool;
pub mod reader;

pub use adapter::LoraAdapter;
pub use batch::LoraBatch;
pub use manager::{LoraManager, LoraOptions};
pub use memory_pool::EvictionPolicy;
pub use reader::{LoraLimits, LoraReader};
