//! Loads `tokenizer.json` and its companions from a Hugging Face folder.

use std::path::Path;

use crate::config::read_config;
use crate::error::TokenizerError;
use crate::parts::Parts;
use crate::surround::Surround;

/// Loads the tokenizer of a folder.
pub(crate) fn load(dir: &Path) -> Result<Parts, TokenizerError> {
    let path = dir.join("tokenizer.json");
    if !path.is_file() {
        return Err(TokenizerError::invalid(
            &path,
            "no such file; other tokenizer files (tokenizer.model, vocab.json) are converted to it by transformers' \
             `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`",
        ));
    }
    let bytes =
        std::fs::read(&path).map_err(|e| TokenizerError::invalid(&path, format!("cannot be read: {e}")))?;
    let mut inner = tokenizers::Tokenizer::from_bytes(&bytes)
        .map_err(|e| TokenizerError::invalid(&path, format!("expected a tokenizer definition: {e}")))?;
    drop(bytes);
    // Training settings, which transformers also ignores unless a call asks for them.
    inner
        .with_truncation(None)
        .map_err(|e| TokenizerError::invalid(&path, format!("truncation cannot be switched off: {e}")))?;
    inner.with_padding(None);
    let config = read_config(dir)?;
    config.added.apply(dir, &mut inner)?;
    inner.set_encode_special_tokens(config.split_special_tokens);
    if config.add_bos.is_some() || config.add_eos.is_some() {
        let surround = Surround {
            bos: config.roles.get("bos_token").filter(|_| config.add_bos == Some(true)),
            eos: config.roles.get("eos_token").filter(|_| config.add_eos == Some(true)),
        };
        surround.apply(&path, &mut inner)?;
    }
    Ok(Parts {
        inner,
        roles: config.roles,
        model_max_length: config.model_max_length,
        clean_up_spaces: config.clean_up_spaces,
    })
}
