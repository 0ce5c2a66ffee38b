//! The tokens that a model puts around every text.

use std::path::Path;

use tokenizers::processors::template::TemplateProcessing;

use crate::error::TokenizerError;

/// The tokens around a text, by their content.
pub(crate) struct Surround<'a> {
    pub(crate) bos: Option<&'a str>,
    pub(crate) eos: Option<&'a str>,
}

impl Surround<'_> {
    /// Makes the tokenizer add exactly these tokens (transformers' `update_post_processor`).
    pub(crate) fn apply(&self, path: &Path, inner: &mut tokenizers::Tokenizer) -> Result<(), TokenizerError> {
        let around = |sequence: &str, segment: u32| -> Vec<String> {
            let part = |text: &str| format!("{text}:{segment}");
            [self.bos, Some(sequence), self.eos].into_iter().flatten().map(part).collect()
        };
        let single = around("$A", 0);
        let pair = [around("$A", 0), around("$B", 1)].concat();
        let mut tokens = Vec::new();
        for text in [self.bos, self.eos].into_iter().flatten() {
            let id = inner.token_to_id(text).ok_or_else(|| {
                TokenizerError::invalid(path, format!("special token `{text}` is not in the vocabulary"))
            })?;
            tokens.push((text.to_owned(), id));
        }
        let refused =
            |e: String| TokenizerError::invalid(path, format!("the tokens around a text cannot be set: {e}"));
        let template = TemplateProcessing::builder()
            .try_single(single)
            .map_err(refused)?
            .try_pair(pair)
            .map_err(refused)?
            .special_tokens(tokens)
            .build()
            .map_err(|e| refused(e.to_string()))?;
        inner.with_post_processor(Some(template));
        Ok(())
    }
}
