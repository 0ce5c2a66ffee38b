//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`).

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::{Vocabulary, WORD_CACHE, pre_tokenizer};
use crate::error::TokenizerError;

pub(super) fn build(vocabulary: &Vocabulary<'_>, pre: &str) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let path = vocabulary.metadata.path();
    let splitting = pre_tokenizer::for_name(pre).ok_or_else(|| {
        let known = pre_tokenizer::names().collect::<Vec<_>>().join(", ");
        TokenizerError::invalid(
            path,
            format!("key `tokenizer.ggml.pre`: expected one of {known}; found {pre}"),
        )
    })?;
    let key = "tokenizer.ggml.merges";
    let mut merges: Merges = Vec::new();
    for (i, line) in vocabulary.metadata.strings(key)?.into_iter().enumerate() {
        // A token may itself begin with a space, so the first character does not separate.
        let at = line.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
        let Some((left, right)) = at.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))) else {
            let what =
                format!("key `{key}`: merge {i}: expected two tokens with a space between, found `{line}`");
            return Err(TokenizerError::invalid(path, what));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    let mut vocab = Vocab::default();
    vocab.reserve(vocabulary.base);
    vocab.extend(vocabulary.base_tokens().map(|(id, token)| (token.to_owned(), id)));
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .cache_capacity(WORD_CACHE)
        .ignore_merges(splitting.ignore_merges)
        .build()
        .map_err(|e| TokenizerError::invalid(path, format!("key `{key}`: {e}")))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(splitting.build().map_err(|e| TokenizerError::invalid(path, e))?));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}
