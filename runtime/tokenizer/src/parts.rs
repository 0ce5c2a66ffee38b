//! What the loaders of tokenizers give.

use crate::special::RoleTokens;

/// What a loader found out.
pub(crate) struct Parts {
    pub(crate) inner: tokenizers::Tokenizer,
    pub(crate) roles: RoleTokens,
    pub(crate) model_max_length: Option<usize>,
    pub(crate) clean_up_spaces: bool,
}
