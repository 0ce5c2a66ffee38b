//! Adds the tokens that the files beside `tokenizer.json` name, as transformers' `from_pretrained` does.
//!
//! If `tokenizer_config.json` has `added_tokens_decoder`, that list and the configuration's special tokens are used.
//! Otherwise `special_tokens_map.json` takes precedence over the configuration, and `added_tokens.json` adds further
//! tokens.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::TokenizerError;
use crate::special::{ROLES, read_json};

/// The tokens that the companion files name.
#[derive(Debug, Default)]
pub(crate) struct AddedTokens {
    /// Tokens for which a file gives an id, by id.
    listed: Vec<(u32, AddedToken)>,
    /// Whether `listed` comes from the configuration's own list, which may override the flags in `tokenizer.json`.
    replaces: bool,
    /// Special tokens by role: those of [`ROLES`] in their order, then the model's own roles.
    pub(crate) named: Vec<(String, AddedToken)>,
    /// Special tokens without a role.
    extra: Vec<AddedToken>,
}

/// One of the files, for error messages.
struct File<'a> {
    path: &'a Path,
    /// Every token in `special_tokens_map.json` is special.
    all_special: bool,
}

impl File<'_> {
    fn invalid(&self, key: &str, expected: &str, found: &Value) -> TokenizerError {
        TokenizerError::invalid(self.path, format!("key `{key}`: expected {expected}, found {found}"))
    }

    /// Reads a token: its text, or an object with the text under `content` and the token's flags.
    fn token(&self, key: &str, value: &Value) -> Result<AddedToken, TokenizerError> {
        match value {
            Value::String(text) => Ok(AddedToken::from(text.as_str(), true)),
            Value::Object(object) => {
                let Some(Value::String(content)) = object.get("content") else {
                    return Err(self.invalid(key, "a token's text under `content`", value));
                };
                let flag = |name: &str| match object.get(name) {
                    None | Some(Value::Null) => Ok(None),
                    Some(Value::Bool(flag)) => Ok(Some(*flag)),
                    Some(other) => Err(self.invalid(&format!("{key}.{name}"), "true or false", other)),
                };
                let special = self.all_special || flag("special")?.unwrap_or(false);
                let mut token = AddedToken::from(content.as_str(), special)
                    .single_word(flag("single_word")?.unwrap_or(false))
                    .lstrip(flag("lstrip")?.unwrap_or(false))
                    .rstrip(flag("rstrip")?.unwrap_or(false));
                if let Some(normalized) = flag("normalized")? {
                    token = token.normalized(normalized);
                }
                Ok(token)
            }
            other => Err(self.invalid(key, "a token's text", other)),
        }
    }

    /// Reads a token with a role; it is special whatever its flag says.
    fn named(&self, key: &str, value: &Value) -> Result<AddedToken, TokenizerError> {
        self.token(key, value).map(|token| token.special(true))
    }

    /// Reads a list of tokens; empty if the key is absent.
    fn tokens(&self, key: &str, value: Option<&Value>) -> Result<Vec<AddedToken>, TokenizerError> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(|value| self.token(key, value)).collect(),
            Some(other) => Err(self.invalid(key, "a list of tokens, or an object of tokens by role", other)),
        }
    }
}

/// Appends a role, or replaces the token of an existing one.
fn name(named: &mut Vec<(String, AddedToken)>, role: &str, token: AddedToken) {
    match named.iter_mut().find(|(r, _)| r == role) {
        Some((_, old)) => *old = token,
        None => named.push((role.to_owned(), token)),
    }
}

/// Whether Python would take the value for false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The entries for roles of the model's own, such as `image_token`.
fn own_roles(config: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    config.iter().filter(|(key, value)| {
        key.ends_with("_token") && !ROLES.contains(&key.as_str()) && (value.is_string() || value.is_object())
    })
}

impl AddedTokens {
    /// Reads the tokens of a configuration and its companion files.
    pub(crate) fn read(dir: &Path, path: &Path, config: &Value) -> Result<Self, TokenizerError> {
        let empty = Map::new();
        let config = match config {
            Value::Null => &empty,
            Value::Object(object) => object,
            other => {
                return Err(TokenizerError::invalid(path, format!("expected an object, found {other}")));
            }
        };
        let file = File { path, all_special: false };
        let given = |key: &str| config.get(key).filter(|value| !value.is_null());
        let decoder = given("added_tokens_decoder");
        let map_path = dir.join("special_tokens_map.json");
        let map_file = File { path: &map_path, all_special: true };
        let map = match decoder {
            Some(_) => None,
            None => read_json(&map_path)?,
        };
        let map = map.as_ref().and_then(Value::as_object).unwrap_or(&empty);

        let mut named = Vec::new();
        for role in ROLES {
            let of_map = map.get(role).filter(|value| !value.is_null());
            if let Some(value) = of_map {
                named.push((role.to_owned(), map_file.named(role, value)?));
            } else if let Some(value) = given(role) {
                named.push((role.to_owned(), file.named(role, value)?));
            }
        }
        for (role, value) in own_roles(config).filter(|(_, value)| value.is_object()) {
            name(&mut named, role, file.named(role, value)?);
        }
        for (role, value) in own_roles(map) {
            name(&mut named, role, map_file.named(role, value)?);
        }
        for (role, value) in own_roles(config).filter(|(_, value)| value.is_string()) {
            name(&mut named, role, file.named(role, value)?);
        }

        // `additional_special_tokens` is the older name of `extra_special_tokens`.
        let (extra_key, older_key) = ("extra_special_tokens", "additional_special_tokens");
        let newer = given(extra_key).filter(|value| !is_empty(value));
        let (key, value) = match newer {
            Some(value) => (extra_key, Some(value)),
            None => (older_key, given(older_key)),
        };
        let mut extra = Vec::new();
        match value {
            Some(Value::Object(roles)) => {
                for (role, value) in roles {
                    name(&mut named, role, file.named(&format!("{key}.{role}"), value)?);
                }
            }
            list => extra = file.tokens(key, list)?,
        }
        match map.get(extra_key) {
            Some(Value::Object(roles)) => {
                for (role, value) in roles {
                    name(&mut named, role, map_file.named(&format!("{extra_key}.{role}"), value)?);
                }
            }
            list => extra.extend(map_file.tokens(extra_key, list)?),
        }
        if value.is_none() && !map.contains_key(extra_key) {
            extra = map_file.tokens(older_key, map.get(older_key))?;
        }

        let mut listed = match decoder {
            Some(decoder) => decoded(&file, decoder)?,
            None => legacy(dir, &named, &extra)?,
        };
        listed.sort_by_key(|(id, _)| *id);
        Ok(Self { listed, replaces: decoder.is_some(), named, extra })
    }

    /// Adds the tokens that the tokenizer lacks.
    pub(crate) fn apply(&self, dir: &Path, inner: &mut tokenizers::Tokenizer) -> Result<(), TokenizerError> {
        let present = inner.get_added_tokens_decoder();
        let is_named = |text: &str| self.named.iter().any(|(_, token)| token.content == text);
        let mut listed = self.listed.clone();
        if !self.replaces {
            listed.retain(|(id, _)| !present.contains_key(id));
            listed.extend(present.iter().map(|(id, token)| (*id, token.clone())));
            listed.sort_by_key(|(id, _)| *id);
        }
        // An existing token is added again to set its flags.
        let mut adding: Vec<AddedToken> = Vec::new();
        for (_, token) in listed {
            let special = token.special || is_named(&token.content);
            adding.push(token.special(special));
        }
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            let known = present.values().chain(&adding).any(|old| old.content == token.content);
            if !known {
                adding.push(token.clone());
            }
        }
        inner.add_tokens(adding).map_err(|e| {
            TokenizerError::invalid(
                &dir.join("tokenizer_config.json"),
                format!("the added tokens are refused: {e}"),
            )
        })?;
        for (id, token) in &self.listed {
            match inner.token_to_id(&token.content) {
                Some(found) if found != *id => tracing::warn!(
                    "Token `{}` has id {found}, though the tokenizer's configuration gives it id {id}: ids follow \
                     the vocabulary without gaps, as in transformers",
                    token.content
                ),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads `added_tokens_decoder`: token objects by id.
fn decoded(file: &File<'_>, decoder: &Value) -> Result<Vec<(u32, AddedToken)>, TokenizerError> {
    let key = "added_tokens_decoder";
    let Value::Object(entries) = decoder else {
        return Err(file.invalid(key, "an object of tokens by id", decoder));
    };
    let mut listed = Vec::new();
    for (id, value) in entries {
        let place = format!("{key}.{id}");
        let number = id.parse::<u32>().map_err(|_| file.invalid(key, "ids as keys", &id.as_str().into()))?;
        if !value.is_object() {
            return Err(file.invalid(&place, "an object with `content`", value));
        }
        listed.push((number, file.token(&place, value)?));
    }
    Ok(listed)
}

/// Reads `added_tokens.json`: ids by token text.
fn legacy(
    dir: &Path,
    named: &[(String, AddedToken)],
    extra: &[AddedToken],
) -> Result<Vec<(u32, AddedToken)>, TokenizerError> {
    let path = dir.join("added_tokens.json");
    let Some(entries) = read_json(&path)? else { return Ok(Vec::new()) };
    let Value::Object(entries) = entries else {
        return Err(TokenizerError::invalid(&path, "expected an object of ids by token"));
    };
    let file = File { path: &path, all_special: false };
    let mut listed = Vec::new();
    for (text, id) in entries {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let number = number.ok_or_else(|| file.invalid(&text, "an id", &id))?;
        let special = named.iter().map(|(_, token)| token).chain(extra).any(|token| token.content == text);
        listed.push((number, AddedToken::from(text, special)));
    }
    Ok(listed)
}
