//! Tokenizers: text to ids and back, chat templates, and incremental detokenization.
//!
//! Used by the tokenizer manager and the detokenizer. A [`Tokenizer`] keeps only what encoding and decoding need, and
//! no open files.

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
