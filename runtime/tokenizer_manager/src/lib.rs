//! The core of the tokenizer manager's process (reference: `managers/tokenizer_manager.py`). It checks and tokenizes
//! requests, sends them to the scheduler, and passes the outputs to whoever waits for them. It knows nothing of HTTP
//! and of API dialects.
//!
//! A request passes through the modules in this order: [`requests`] (checks, batches, ids) → [`manager`] (sends it to
//! the scheduler) → [`state`] (receives its output).

pub mod call_trace;
mod codec;
pub mod lora;
pub mod manager;
pub mod metrics;
pub mod model_name;
pub mod request_log;
pub mod requests;
pub mod state;
pub mod text;

pub use codec::ModelCodec;

#[cfg(test)]
extern crate self as sglang_tokenizer_manager;
#[cfg(test)]
#[path = "../tests/common/byte_codec.rs"]
mod test_codec;
