//! The vocabulary as grammars see it: the bytes of each token, the special tokens, and the ids that end the output.

use std::sync::Arc;

use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::TokenEnvironmentError;

/// Largest vocabulary that the trie's node layout can hold.
const MAX_VOCAB: usize = 1 << 21;
/// Longest token in bytes that the trie's node layout can hold.
const MAX_TOKEN_BYTES: usize = 1024;

/// A vocabulary prepared for grammars. Built once per model; cheap to clone.
#[derive(Clone)]
pub struct TokenEnvironment {
    tok_env: TokEnv,
    eos: Arc<[u32]>,
    special: Arc<[(String, u32)]>,
}

/// The trie with greedy tokenization. The model's tokenizer splits text differently, so this is declared as not
/// canonical: masks then depend on the grammar's bytes alone and never force a particular split.
struct Trie(TokTrie);

impl TokenizerEnv for Trie {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for TokenEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenEnvironment")
            .field("vocab_size", &self.vocab_size())
            .field("eos", &self.eos)
            .field("special", &self.special.len())
            .finish()
    }
}

impl TokenEnvironment {
    /// Builds the environment.
    ///
    /// * `vocab`: `(id, bytes, is_special)` of each token, in any order. The bytes are what the token adds to the text;
    ///   for a special token, its name. Special tokens never match a grammar's text, only structural tags that name them.
    ///   Ids without an entry and tokens without bytes are never allowed.
    /// * `vocab_size`: width of the model's logits and of the masks; may exceed the tokenizer's ids.
    /// * `eos`: ids that end the output. A mask contains them exactly if the grammar can end there.
    ///
    /// # Errors
    /// If the vocabulary is empty or too large, `eos` is empty, or an id is not below `vocab_size`.
    pub fn new(
        vocab: impl IntoIterator<Item = (u32, Vec<u8>, bool)>,
        vocab_size: usize,
        eos: &[u32],
    ) -> Result<Self, TokenEnvironmentError> {
        if vocab_size == 0 {
            return Err(TokenEnvironmentError::Empty);
        }
        if vocab_size > MAX_VOCAB {
            return Err(TokenEnvironmentError::TooLarge(vocab_size));
        }
        let out_of_range = |what, id| TokenEnvironmentError::OutOfRange { what, id, vocab_size };
        let mut words: Vec<Vec<u8>> = vec![Vec::new(); vocab_size];
        let mut special = Vec::new();
        for (id, bytes, is_special) in vocab {
            let word = words.get_mut(id as usize).ok_or_else(|| out_of_range("token", id))?;
            if bytes.len() >= MAX_TOKEN_BYTES {
                return Err(TokenEnvironmentError::TokenTooLong { id, len: bytes.len() });
            }
            *word = bytes;
            if is_special || eos.contains(&id) {
                if let Ok(name) = std::str::from_utf8(word)
                    && !name.is_empty()
                {
                    special.push((name.to_owned(), id));
                }
                word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
            }
        }
        if words.iter().all(Vec::is_empty) {
            return Err(TokenEnvironmentError::Empty);
        }
        let first = *eos.first().ok_or(TokenEnvironmentError::NoEos)?;
        if let Some(&id) = eos.iter().find(|&&id| id as usize >= vocab_size) {
            return Err(out_of_range("end-of-sequence id", id));
        }
        let info = TokRxInfo::new(vocab_size as u32, first);
        let trie = std::panic::catch_unwind(|| TokTrie::from(&info, &words).with_eos_tokens(eos))
            .map_err(|_| TokenEnvironmentError::Library("its token trie could not be built".into()))?;
        Ok(Self { tok_env: Arc::new(Trie(trie)), eos: eos.into(), special: special.into() })
    }

    /// Number of ids that a mask covers.
    pub fn vocab_size(&self) -> usize {
        self.tok_env.tok_trie().vocab_size()
    }

    /// Number of 32-bit words in a mask; bit `id % 32` of word `id / 32` is set if `id` may come next.
    pub fn mask_words(&self) -> usize {
        self.vocab_size().div_ceil(32)
    }

    /// The tokens that have bytes, as [`TokenEnvironment::new`] takes them.
    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = (u32, Vec<u8>, bool)> {
        let trie = self.tok_env.tok_trie();
        (0..trie.vocab_size() as u32).filter_map(|id| match trie.token(id) {
            [] => None,
            [TokTrie::SPECIAL_TOKEN_MARKER, name @ ..] => Some((id, name.to_vec(), true)),
            bytes => Some((id, bytes.to_vec(), false)),
        })
    }

    /// The ids that end the output.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// Names and ids of the special tokens.
    pub(crate) fn special(&self) -> &[(String, u32)] {
        &self.special
    }

    /// The vocabulary in the form that `llguidance` takes.
    pub(crate) fn tok_env(&self) -> &TokEnv {
        &self.tok_env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(ids: &[u32], size: usize, eos: &[u32]) -> Result<TokenEnvironment, TokenEnvironmentError> {
        TokenEnvironment::new(ids.iter().map(|&id| (id, vec![b'a' + id as u8], false)), size, eos)
    }

    #[test]
    fn bad_vocabularies_are_refused_with_the_reason() {
        assert_eq!(new(&[], 0, &[0]).unwrap_err(), TokenEnvironmentError::Empty);
        assert_eq!(new(&[], 4, &[0]).unwrap_err(), TokenEnvironmentError::Empty);
        assert_eq!(new(&[1], 4, &[]).unwrap_err(), TokenEnvironmentError::NoEos);
        assert_eq!(
            new(&[5], 4, &[0]).unwrap_err().to_string(),
            "token 5 is outside the vocabulary of 4 tokens"
        );
        let eos = new(&[1], 4, &[4]).unwrap_err().to_string();
        assert_eq!(eos, "end-of-sequence id 4 is outside the vocabulary of 4 tokens");
        let long = TokenEnvironment::new([(0, vec![b'a'; 3000], false)], 2, &[1]).unwrap_err();
        assert_eq!(long, TokenEnvironmentError::TokenTooLong { id: 0, len: 3000 });
    }

    #[test]
    fn the_mask_is_as_wide_as_the_logits() {
        let env = new(&[0, 1], 70, &[1]).unwrap();
        assert_eq!((env.vocab_size(), env.mask_words(), env.eos()), (70, 3, [1].as_slice()));
        assert_eq!(env.special(), [("b".to_owned(), 1)]);
    }
}
