//! What the loaders return.

use crate::special::RoleTokens;

/// The result of loading a tokenizer.
pub(crate) struct Parts {
    pub(crate) inner: tokenizers::Tokenizer,
    pub(crate) roles: RoleTokens,
    pub(crate) model_max_length: Option<usize>,
    pub(crate) clean_up_spaces: bool,
}
