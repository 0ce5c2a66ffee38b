//! SGLang's own API: one file per family of routes.

pub mod control;
pub mod disabled;
pub mod encode;
pub mod expert_distribution;
pub mod generate;
pub mod health;
pub mod info;
pub mod loads;
pub mod lora;
pub mod memory;
pub mod metrics;
pub mod operations;
pub mod parse;
pub mod server_info;
pub mod sessions;
pub mod unsupported;
pub mod vertex;
pub mod weights;
