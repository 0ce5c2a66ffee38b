//! LoRA adapters (Hu et al., 2021): small matrices that change a model for the requests that name them. One batch can
//! have many adapters (reference: `srt/lora`; Chen et al., 2023; Sheng et al., 2023).
//!
//! Each layer that adapters can change has an index, its site ([`crate::lora_sites`]). An adapter is read once, checked
//! against the sites, and stores its matrices by site ([`adapter`], [`reader`]). The manager keeps the loaded adapters
//! and copies those of a step to the device ([`manager`]). The step's rows are grouped by adapter ([`batch`]), and
//! every group's deltas are added to the output of linear layers ([`crate::ops::ForwardContext::linear`]), of the
//! embedding ([`crate::ops::ForwardContext::embedding`]) and of the output head ([`crate::layers::LmHead`]).

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
