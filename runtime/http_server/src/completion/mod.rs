//! Prompts that are completed, and `--completion-template`.

pub mod prompt;
pub mod template;
