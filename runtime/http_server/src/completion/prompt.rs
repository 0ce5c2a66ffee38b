//! The prompt of `/v1/completions`.

use sglang_tokenizer_manager::requests::OneOrMany;

/// The prompt in one of its four forms.
#[derive(Clone, Debug, PartialEq)]
pub enum CompletionPrompt {
    /// One or more texts.
    Text(OneOrMany<String>),
    /// One or more lists of ids.
    Ids(OneOrMany<Vec<i64>>),
}

impl CompletionPrompt {
    /// Whether there is nothing to complete.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(OneOrMany::One(text)) => text.is_empty(),
            Self::Text(OneOrMany::Many(texts)) => texts.iter().all(String::is_empty),
            Self::Ids(OneOrMany::One(ids)) => ids.is_empty(),
            Self::Ids(OneOrMany::Many(lists)) => lists.iter().all(Vec::is_empty),
        }
    }
}
