//! The core of the tokenizer manager's process (reference: `managers/tokenizer_manager.py`): it checks and tokenizes
//! requests, sends them to the scheduler, and hands what comes back to those who wait for it. It knows no HTTP and no
//! dialect.
//!
//! A request goes through the modules in this order: [`requests`] (checks, batches, ids) → [`manager`] (to the
//! scheduler) → [`state`] (what comes back).

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
