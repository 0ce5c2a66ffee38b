//! The tokenizer of the tokenizer manager and the detokenizer.

use std::path::Path;

use sglang_checkpoint::Checkpoint;
use tokenizers::ModelWrapper;

use crate::bytes::{TokenForm, token_bytes};
use crate::error::TokenizerError;
use crate::parts::Parts;
use crate::special::RoleTokens;
use crate::{gguf, hf, release, special};

/// Added tokens that end a turn although no configuration lists them as such (reference:
/// `utils/hf_transformers/common.py`, `attach_additional_stop_token_ids`).
const ADDITIONAL_STOP_TOKENS: [&str; 3] = ["<|eom_id|>", "<|content_model_end_sampling|>", "<|ifm|im_end|>"];

/// Converts text to ids and back as transformers' fast tokenizers do.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    form: TokenForm,
    roles: RoleTokens,
    /// The ids that `skip_special_tokens` leaves out, sorted.
    special_ids: Vec<u32>,
    additional_stop_ids: Vec<u32>,
    model_max_length: Option<usize>,
    /// Whether to remove the spaces before punctuation (WordPiece tokenizers, if their configuration says so).
    clean_up_spaces: bool,
    /// Whether the space of the first token is dropped when decoding from the start.
    strips_first_space: bool,
}

impl Tokenizer {
    /// Loads the tokenizer of a checkpoint: `tokenizer.json` of a folder, or the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`TokenizerError`] naming the file and what is wrong with it.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self, TokenizerError> {
        let mut parts = match checkpoint {
            Checkpoint::Gguf(file) => gguf::load(file)?,
            Checkpoint::HfFolder(folder) => hf::load(folder.dir())?,
        };
        parts.model_max_length = parts.model_max_length.or_else(|| special::context_length(checkpoint));
        let tokenizer = Self::new(parts);
        release::free_pages();
        Ok(tokenizer)
    }

    /// Opens `path` as [`Checkpoint::open`] does, loads its tokenizer and closes it again.
    ///
    /// # Errors
    /// As [`Tokenizer::from_checkpoint`].
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        Self::from_checkpoint(&Checkpoint::open(path)?)
    }

    fn new(parts: Parts) -> Self {
        let Parts { inner, roles, model_max_length, clean_up_spaces } = parts;
        let added = inner.get_added_tokens_decoder();
        // The library's own list, which its decoder uses: a token that was once special stays special.
        let is_special = |token: &str| inner.get_added_vocabulary().is_special_token(token);
        let mut special_ids: Vec<u32> =
            added.iter().filter(|(_, t)| is_special(&t.content)).map(|(id, _)| *id).collect();
        special_ids.sort_unstable();
        let mut additional_stop_ids: Vec<u32> = added
            .iter()
            .filter(|(_, t)| ADDITIONAL_STOP_TOKENS.contains(&t.content.as_str()))
            .map(|(id, _)| *id)
            .collect();
        additional_stop_ids.sort_unstable();
        let (form, strips_first_space) = decoder_form(&inner);
        // transformers does not clean up after BPE models, whatever their configuration says.
        let clean_up_spaces = clean_up_spaces && !matches!(inner.get_model(), ModelWrapper::BPE(_));
        Self {
            inner,
            form,
            roles,
            special_ids,
            additional_stop_ids,
            model_max_length,
            clean_up_spaces,
            strips_first_space,
        }
    }

    /// Encodes a text. Special tokens that are written in the text become their ids; `add_special_tokens` adds the
    /// tokens that the model puts around a text (such as a beginning-of-sequence token).
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] if the vocabulary has neither a token for part of the text nor an unknown token.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self
            .inner
            .encode_fast(text, add_special_tokens)
            .map_err(|e| TokenizerError::Encode(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes two texts as one, with the tokens that the model puts around and between them. Returns the ids and the
    /// segment of each id (0 or 1, if the model distinguishes them).
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>), TokenizerError> {
        let encoding = self
            .inner
            .encode_fast((first, second), true)
            .map_err(|e| TokenizerError::Encode(e.to_string()))?;
        Ok((encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec()))
    }

    /// Decodes ids. Ids outside the vocabulary have no text; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> String {
        let text = self.inner.decode(ids, skip_special_tokens).unwrap_or_else(|e| {
            tracing::warn!("The decoder refused {} ids ({e}); their bytes are joined instead", ids.len());
            self.join_bytes(ids, skip_special_tokens)
        });
        if self.clean_up_spaces { clean_up(&text) } else { text }
    }

    fn join_bytes(&self, ids: &[u32], skip_special_tokens: bool) -> String {
        let kept = ids.iter().filter(|id| !(skip_special_tokens && self.is_special(**id)));
        let bytes: Vec<u8> = kept.filter_map(|id| self.id_to_bytes(*id)).flatten().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The id of a token, written exactly as in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token as written in the vocabulary (`Ġthe`), not as text.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The exact bytes of a token, which may be part of a character. `None` for an unknown id.
    pub fn id_to_bytes(&self, id: u32) -> Option<Vec<u8>> {
        self.inner.id_to_token(id).map(|token| token_bytes(self.form, &token))
    }

    /// Whether the vocabulary uses GPT-2's byte alphabet.
    pub fn is_byte_level(&self) -> bool {
        self.form == TokenForm::ByteLevel
    }

    /// Whether the text of a sequence of ids is the concatenation of their bytes.
    pub(crate) fn joins_bytes(&self) -> bool {
        self.form != TokenForm::Plain
    }

    /// Whether the space of a text's first token is dropped.
    pub(crate) fn strips_first_space(&self) -> bool {
        self.strips_first_space
    }

    /// Number of tokens in the base vocabulary, without added ones.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(false)
    }

    /// Number of all tokens.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The beginning-of-sequence token.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.role_id("bos_token")
    }

    /// The end-of-sequence token.
    pub fn eos_token_id(&self) -> Option<u32> {
        self.role_id("eos_token")
    }

    /// The padding token.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.role_id("pad_token")
    }

    fn role_id(&self, role: &str) -> Option<u32> {
        self.roles.get(role).and_then(|text| self.inner.token_to_id(text))
    }

    /// The texts of the special tokens by role (`bos_token`, `eos_token`, …), as chat templates see them.
    pub fn special_tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.roles.iter()
    }

    /// The ids that `skip_special_tokens` leaves out, ascending.
    pub fn special_ids(&self) -> &[u32] {
        &self.special_ids
    }

    /// Whether `skip_special_tokens` leaves out this id.
    pub fn is_special(&self, id: u32) -> bool {
        self.special_ids.binary_search(&id).is_ok()
    }

    /// The longest text in tokens: from the tokenizer's configuration, else the model's context length.
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// Ids that end generation in addition to the model's end-of-sequence tokens, ascending.
    pub fn additional_stop_ids(&self) -> &[u32] {
        &self.additional_stop_ids
    }

    /// The tokenizer in the form of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(false).map_err(|e| TokenizerError::Encode(e.to_string()))
    }
}

/// How the decoder turns tokens into text, and whether it drops the first space.
fn decoder_form(inner: &tokenizers::Tokenizer) -> (TokenForm, bool) {
    use tokenizers::DecoderWrapper as D;
    let steps: &[D] = match inner.get_decoder() {
        Some(D::Sequence(sequence)) => sequence.get_decoders(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let strips = steps.iter().any(|d| matches!(d, D::Strip(strip) if strip.start > 0));
    if steps.iter().any(|d| matches!(d, D::ByteLevel(_))) {
        (TokenForm::ByteLevel, strips)
    } else if steps.iter().any(|d| matches!(d, D::ByteFallback(_))) {
        (TokenForm::ByteFallback, strips)
    } else {
        (TokenForm::Plain, strips)
    }
}

/// Removes the spaces that WordPiece decoding leaves before punctuation and English contractions (transformers'
/// `clean_up_tokenization`).
fn clean_up(text: &str) -> String {
    const PAIRS: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    PAIRS.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
