//! Runs models: devices, weights, layers, architectures, the KV pool and the model worker. Only this crate uses
//! libtorch.
//!
//! A step arrives as a [`sglang_proto::forward::ForwardBatch`] and is checked once ([`runner`]). A model built from
//! shared blocks ([`models`], [`layers`]) computes it on one of two backends ([`ops`]), and `sglang-sampling` samples
//! the tokens.

pub mod config;
pub mod device;
pub mod eplb;
mod error;
pub mod layers;
pub mod loader;
pub mod lora;
pub mod lora_sites;
pub mod memory;
pub mod models;
pub mod ops;
mod plan;
pub mod runner;
mod same_model;
mod torch_cuda;
mod update;
mod worker;

pub use error::{ModelError, Result};
pub use plan::{ForwardPlan, PlannedSeq};
pub use worker::{Backend, ModelOptions, load_runner, load_worker};
