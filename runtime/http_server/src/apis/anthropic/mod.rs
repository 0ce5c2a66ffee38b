//! Anthropic's Messages API. Requests become chat completions, whose answers are converted back (reference:
//! `entrypoints/anthropic`).

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
