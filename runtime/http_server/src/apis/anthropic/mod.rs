//! The Messages API of Anthropic: its requests become chat completions, whose answers it says in its own words
//! (reference: `entrypoints/anthropic`).

pub mod content;
pub mod convert;
pub mod error;
pub mod fields;
mod prefill;
pub mod request;
pub mod response;
pub mod routes;
pub mod stream;
pub mod tools;
