//! Reads the tokenizer in a GGUF file's metadata.
//!
//! The keys are those of ggml's `docs/gguf.md` under `tokenizer.ggml.`: the kind (`model`), the tokens with their
//! types, and merges or scores.

mod bpe;
mod pre_tokenizer;
mod sentencepiece;
mod splittings;

use sglang_checkpoint::GgufFile;
use sglang_checkpoint::gguf::Metadata;
use tokenizers::AddedToken;

use crate::error::TokenizerError;
use crate::parts::Parts;
use crate::special::RoleTokens;
use crate::surround::Surround;

/// A kind of tokenizer that has its own pre-tokenizer.
const GEMMA4: &str = "gemma4";

/// Cached words per thread; the library's default of 10,000 takes several megabytes per thread.
const WORD_CACHE: usize = 2_000;

/// SentencePiece's mark for a space.
const SPACE: &str = "▁";

/// `token_type` of control tokens, such as `<|im_end|>`.
const CONTROL: i64 = 3;
/// `token_type` of tokens that are matched before the text is split.
const USER_DEFINED: i64 = 4;
/// `token_type` of rows without a token.
const UNUSED: i64 = 5;

/// Tokens and their types.
struct Vocabulary<'a> {
    metadata: Metadata<'a>,
    tokens: Vec<&'a str>,
    types: Vec<i64>,
    /// Number of leading tokens that belong to the model's base vocabulary. Control and user-defined tokens after them
    /// are added to it, as in a `tokenizer.json`; unused rows at the very end are not tokens.
    base: usize,
    end: usize,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: Metadata<'a>) -> Result<Self, TokenizerError> {
        let tokens = metadata.strings("tokenizer.ggml.tokens")?;
        let key = "tokenizer.ggml.token_type";
        let types = metadata.opt_integers(key)?.unwrap_or_else(|| vec![1; tokens.len()]);
        if types.len() != tokens.len() {
            let what =
                format!("key `{key}`: expected {} types, one per token, found {}", tokens.len(), types.len());
            return Err(TokenizerError::invalid(metadata.path(), what));
        }
        let end = types.iter().rposition(|t| *t != UNUSED).map_or(0, |i| i + 1);
        let is_added = |t: &i64| matches!(*t, CONTROL | USER_DEFINED);
        let base = types.iter().take(end).rposition(|t| !is_added(t)).map_or(0, |i| i + 1);
        Ok(Self { metadata, tokens, types, base, end })
    }

    /// The base tokens with their ids.
    fn base_tokens(&self) -> impl Iterator<Item = (u32, &'a str)> {
        self.tokens.iter().take(self.base).enumerate().map(|(id, token)| (id as u32, *token))
    }

    /// Control and user-defined tokens in id order. Tokens that end a turn count as control tokens whatever their type:
    /// some converters wrote them as normal ones.
    fn added_tokens(&self) -> Result<Vec<AddedToken>, TokenizerError> {
        let mut ends = Vec::new();
        for key in ["eos", "eot", "eom"] {
            ends.extend(self.role(key)?);
        }
        let rows = self.tokens.iter().zip(&self.types).take(self.end);
        Ok(rows
            .filter_map(|(token, ty)| match *ty {
                CONTROL => Some(AddedToken::from(*token, true).normalized(false)),
                _ if ends.contains(token) => Some(AddedToken::from(*token, true).normalized(false)),
                USER_DEFINED => Some(AddedToken::from(*token, false).normalized(false)),
                _ => None,
            })
            .collect())
    }

    /// The text of the token to which `key` refers.
    fn role(&self, key: &str) -> Result<Option<&'a str>, TokenizerError> {
        let key = format!("tokenizer.ggml.{key}_token_id");
        let Some(id) = self.metadata.opt_u32(&key)? else { return Ok(None) };
        self.tokens.get(id as usize).copied().map(Some).ok_or_else(|| {
            let what = format!("key `{key}`: expected an id below {}, found {id}", self.tokens.len());
            TokenizerError::invalid(self.metadata.path(), what)
        })
    }
}

/// Builds the tokenizer of a file.
pub(crate) fn load(file: &GgufFile) -> Result<Parts, TokenizerError> {
    let metadata = file.metadata();
    let path = file.path();
    let vocabulary = Vocabulary::read(metadata)?;
    let kind = metadata.str("tokenizer.ggml.model")?;
    let pre = match kind {
        GEMMA4 => GEMMA4,
        _ => metadata.opt_str("tokenizer.ggml.pre")?.unwrap_or("default"),
    };
    let mut inner = match kind {
        "gpt2" | GEMMA4 => bpe::build(&vocabulary, pre)?,
        "llama" => sentencepiece::build(&vocabulary)?,
        other => {
            let what = format!(
                "key `tokenizer.ggml.model`: expected gpt2 or gemma4 (BPE with merges) or llama (SentencePiece BPE), found {other}"
            );
            return Err(TokenizerError::invalid(path, what));
        }
    };
    inner
        .add_tokens(vocabulary.added_tokens()?)
        .map_err(|e| TokenizerError::invalid(path, format!("the control tokens cannot be added: {e}")))?;
    let mut roles = RoleTokens::default();
    for (role, key) in [
        ("bos_token", "bos"),
        ("eos_token", "eos"),
        ("unk_token", "unknown"),
        ("sep_token", "seperator"),
        ("pad_token", "padding"),
        ("cls_token", "cls"),
        ("mask_token", "mask"),
    ] {
        if let Some(text) = vocabulary.role(key)? {
            roles.push(role, text);
        }
    }
    let add = |key: &str| metadata.opt_bool(&format!("tokenizer.ggml.add_{key}_token"));
    // llama.cpp's defaults, for files that do not say.
    let add_bos = match add("bos")? {
        // Gemma 4's files say no, but the model does not work without it.
        Some(false) if kind != "llama" && splittings::needs_bos(pre) => true,
        Some(add_bos) => add_bos,
        None => kind == "llama" || splittings::adds_bos(pre),
    };
    let add_eos = add("eos")?.unwrap_or(false);
    let surround = Surround {
        bos: roles.get("bos_token").filter(|_| add_bos),
        eos: roles.get("eos_token").filter(|_| add_eos),
    };
    surround.apply(path, &mut inner)?;
    Ok(Parts { inner, roles, model_max_length: None, clean_up_spaces: false })
}
