//! Prompts to complete, and `--completion-template`.

pub mod prompt;
pub mod template;
