//! Text to ids and back, chat templates, and incremental decoding of a growing output.
//!
//! Shared by the tokenizer manager and the detokenizer: a [`Tokenizer`] keeps only what encoding and decoding need and
//! holds no file open.

mod added;
mod bytes;
pub mod chat_template;
mod config;
pub mod error;
mod gguf;
mod hf;
pub mod incremental;
mod parts;
mod release;
mod special;
mod surround;
mod tokenizer;

pub use chat_template::{ChatTemplate, TemplateError};
pub use error::TokenizerError;
pub use incremental::{DecodeOptions, IncrementalDecoder, StopTrim};
pub use tokenizer::Tokenizer;
