//! Reads model folders and files: GGUF, safetensors, `config.json`, `generation_config.json`.
//!
//! This crate maps files, checks names and shapes, and hands out bytes. It knows nothing about tensors in memory or
//! about devices. Start with [`Checkpoint::open`]; [`ModelConfig`] describes the model.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod generation_config;
pub mod gguf;
pub mod json;
pub mod lora;
mod mapped_file;
pub mod part_name;
pub mod pooling;
pub mod quantization;
pub mod quantized;
pub mod safetensors;

pub use checkpoint::{Checkpoint, HfFolder, is_model_gguf};
pub use config::{ModelConfig, RopeScaling};
pub use error::CheckpointError;
pub use generation_config::GenerationConfig;
pub use gguf::dequant::dequantize;
pub use gguf::repack::{equal_type, repack};
pub use gguf::{GgmlType, GgufFile, GgufTensor};
pub use mapped_file::FileBytes;
pub use pooling::{PoolingConfig, PoolingType};
pub use quantization::Quantization;
pub use safetensors::{SafetensorsIndex, TensorView};
