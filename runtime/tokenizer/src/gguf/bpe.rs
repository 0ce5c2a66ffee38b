//! BPE with merges (`tokenizer.ggml.model` is `gpt2` or `gemma4`), over bytes in GPT-2's alphabet or over characters.

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::Replace;

use super::splittings::{self, Writing};
use super::{SPACE, Vocabulary, WORD_CACHE, pre_tokenizer};
use crate::error::TokenizerError;

pub(super) fn build(vocabulary: &Vocabulary<'_>, pre: &str) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let path = vocabulary.metadata.path();
    let invalid = |what: String| TokenizerError::invalid(path, what);
    let splitting = splittings::for_name(pre).ok_or_else(|| {
        let known = splittings::names().collect::<Vec<_>>().join(", ");
        invalid(format!("key `tokenizer.ggml.pre`: expected one of {known}; found {pre}"))
    })?;
    let mut vocab = Vocab::default();
    vocab.reserve(vocabulary.base);
    vocab.extend(vocabulary.base_tokens().map(|(id, token)| (token.to_owned(), id)));
    let mut builder = BPE::builder()
        .vocab_and_merges(vocab, merges(vocabulary)?)
        .cache_capacity(WORD_CACHE)
        .ignore_merges(splitting.ignore_merges);
    if splitting.writing == Writing::Marked {
        builder = builder.byte_fallback(true).fuse_unk(true);
        if let Some(unknown) = vocabulary.role("unknown")? {
            builder = builder.unk_token(unknown.to_owned());
        }
    }
    let model = builder.build().map_err(|e| invalid(format!("key `{MERGES}`: {e}")))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer::build(splitting).map_err(invalid)?));
    match splitting.writing {
        Writing::Bytes => tokenizer.with_decoder(Some(ByteLevel::default())),
        Writing::Plain => tokenizer.with_decoder(Some(Fuse::new())),
        Writing::Marked => {
            let replace = |from: &str, to: &str| Replace::new(from, to).map_err(|e| invalid(e.to_string()));
            tokenizer
                .with_normalizer(Some(replace(" ", SPACE)?))
                .map_err(|e| invalid(format!("the normalizer is refused: {e}")))?;
            let steps = vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
            tokenizer.with_decoder(Some(DecoderSequence::new(steps)))
        }
    };
    Ok(tokenizer)
}

const MERGES: &str = "tokenizer.ggml.merges";

/// The pairs of tokens to merge, in order of priority.
fn merges(vocabulary: &Vocabulary<'_>) -> Result<Merges, TokenizerError> {
    let mut merges: Merges = Vec::new();
    for (i, line) in vocabulary.metadata.strings(MERGES)?.into_iter().enumerate() {
        // A token may itself begin with a space, so the separator is not the first character.
        let at = line.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
        let Some((left, right)) = at.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))) else {
            let what = format!(
                "key `{MERGES}`: merge {i}: expected two tokens with a space between, found `{line}`"
            );
            return Err(TokenizerError::invalid(vocabulary.metadata.path(), what));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    Ok(merges)
}
