//! Everything that touches libtorch: devices, weights, layers, models, the KV pool and the model worker.
//!
//! A step comes in as a [`sglang_proto::forward::ForwardBatch`], is checked once ([`runner`]), runs through a model made
//! of shared blocks ([`models`], [`layers`]) on one of two backends ([`ops`]), and is sampled by `sglang-sampling`.

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
