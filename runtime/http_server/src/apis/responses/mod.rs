//! OpenAI's Responses API (reference: `srt/entrypoints/openai/serving_responses.py`), served as chat completions.

pub mod convert;
pub mod error;
mod input;
pub mod items;
pub mod request;
pub mod response;
pub mod routes;
pub mod stream;
mod tools;
