//! SentencePiece BPE with byte fallback (`tokenizer.ggml.model` = `llama`): Llama 2, Mistral, Gemma.
//!
//! The file has a score for each token instead of merges. SentencePiece merges the adjacent pair whose union has the
//! best score. So every way to split a token into two tokens is a merge, ranked by the token's score (like
//! transformers' converter for SentencePiece models).

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence};

use super::{CONTROL, SPACE, USER_DEFINED, Vocabulary, WORD_CACHE};
use crate::error::TokenizerError;

pub(super) fn build(vocabulary: &Vocabulary<'_>) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let metadata = vocabulary.metadata;
    let path = metadata.path();
    let invalid = |what: String| TokenizerError::invalid(path, what);
    let key = "tokenizer.ggml.scores";
    let scores = metadata.opt_floats(key)?.unwrap_or_default();
    if scores.len() != vocabulary.tokens.len() {
        let expected = vocabulary.tokens.len();
        return Err(invalid(format!(
            "key `{key}`: expected {expected} scores, one per token, found {}",
            scores.len()
        )));
    }
    let mut vocab = Vocab::default();
    vocab.reserve(vocabulary.base);
    vocab.extend(vocabulary.base_tokens().map(|(id, token)| (token.to_owned(), id)));
    let merges = merges(vocabulary, &vocab, &scores);
    let mut builder = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .cache_capacity(WORD_CACHE)
        .byte_fallback(true)
        .fuse_unk(true);
    if let Some(unknown) = vocabulary.role("unknown")? {
        builder = builder.unk_token(unknown.to_owned());
    }
    let model = builder.build().map_err(|e| invalid(format!("key `tokenizer.ggml.tokens`: {e}")))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let replace = |from: &str, to: &str| Replace::new(from, to).map_err(|e| invalid(e.to_string()));
    let add_space = metadata.opt_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let mut normalizers = Vec::new();
    if add_space {
        normalizers.push(Prepend::new(SPACE.to_owned()).into());
    }
    normalizers.push(replace(" ", SPACE)?.into());
    tokenizer
        .with_normalizer(Some(Sequence::new(normalizers)))
        .map_err(|e| invalid(format!("the normalizer is refused: {e}")))?;
    let mut decoders = vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if add_space {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
    Ok(tokenizer)
}

/// Every split of a token into two tokens, best score first. Control and user-defined tokens are left out: they are
/// matched in the text before merging begins.
fn merges(vocabulary: &Vocabulary<'_>, vocab: &Vocab, scores: &[f64]) -> Merges {
    let is_plain =
        |id: u32| !matches!(vocabulary.types.get(id as usize), Some(&CONTROL | &USER_DEFINED) | None);
    let mut found: Vec<(f64, u32, u32, &str, usize)> = Vec::new();
    for (id, token) in vocabulary.base_tokens().filter(|(id, _)| is_plain(*id)) {
        let score = scores.get(id as usize).copied().unwrap_or(f64::NEG_INFINITY);
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(l), Some(r)) = (vocab.get(left), vocab.get(right))
                && is_plain(*l)
                && is_plain(*r)
            {
                found.push((score, *l, *r, token, at));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    found
        .into_iter()
        .map(|(_, _, _, token, at)| {
            let (left, right) = token.split_at(at);
            (left.to_owned(), right.to_owned())
        })
        .collect()
}
