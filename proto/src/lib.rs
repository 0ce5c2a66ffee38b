//! Data types shared by all processes: messages, sampling parameters, and the interface between the scheduler and a
//! model. This crate does no I/O.

pub mod forward;
pub mod grammar;
pub mod hidden_states;
pub mod lora;
pub mod messages;
pub mod refusal;
pub mod sampling_params;
pub mod wire;
pub mod worker;

pub use hidden_states::{CaptureHiddenMode, HiddenStateChunk, HiddenStates};
pub use lora::LoRARef;
pub use sampling_params::SamplingParams;
