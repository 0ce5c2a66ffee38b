//! Where a checkpoint keeps its chat template.

use std::path::Path;

use serde_json::Value;
use sglang_checkpoint::Checkpoint;

use super::TemplateError;

/// The templates of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSource {
    /// Templates by name, in the file's order. A single template is called `default`.
    pub named: Vec<(String, String)>,
}

impl TemplateSource {
    fn single(text: impl Into<String>) -> Self {
        Self { named: vec![("default".to_owned(), text.into())] }
    }

    /// The template called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, text)| text.as_str())
    }

    /// The template to use, as transformers' `get_chat_template` chooses: `tool_use` when there are tools and a
    /// template of that name, else `default`.
    ///
    /// # Errors
    /// [`TemplateError::Source`] when there is no default, naming what there is.
    pub fn choose(&self, with_tools: bool) -> Result<&str, TemplateError> {
        let chosen = if with_tools { self.get("tool_use") } else { None };
        chosen.or_else(|| self.get("default")).ok_or_else(|| {
            let names: Vec<_> = self.named.iter().map(|(n, _)| n.as_str()).collect();
            TemplateError::Source(format!(
                "expected a chat template named default, found {}",
                names.join(", ")
            ))
        })
    }
}

/// Finds the templates of a checkpoint: `chat_template.jinja`, `chat_template.json` or the key `chat_template` of
/// `tokenizer_config.json`, in this order; for GGUF the key `tokenizer.chat_template` and those beginning with it.
///
/// # Errors
/// [`TemplateError::Source`] naming a file that cannot be read.
pub fn find(checkpoint: &Checkpoint) -> Result<Option<TemplateSource>, TemplateError> {
    match checkpoint {
        Checkpoint::Gguf(file) => {
            let metadata = file.metadata();
            let key = "tokenizer.chat_template";
            let text = |key: &str| metadata.opt_str(key).map_err(|e| TemplateError::Source(e.to_string()));
            let Some(default) = text(key)? else { return Ok(None) };
            let mut found = TemplateSource::single(default);
            if let Some(tool_use) = text("tokenizer.chat_template.tool_use")? {
                found.named.push(("tool_use".to_owned(), tool_use.to_owned()));
            }
            Ok(Some(found))
        }
        Checkpoint::HfFolder(folder) => {
            let jinja = folder.file("chat_template.jinja");
            if jinja.is_file() {
                return Ok(Some(TemplateSource::single(read(&jinja)?)));
            }
            for name in ["chat_template.json", "tokenizer_config.json"] {
                let path = folder.file(name);
                if path.is_file()
                    && let Some(found) = from_json(&path)?
                {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        }
    }
}

/// The templates of a server: those of `file` (`--chat-template`) if there is one, else the checkpoint's.
///
/// # Errors
/// As [`read_file`] and [`find`].
pub fn load(file: Option<&Path>, checkpoint: &Checkpoint) -> Result<Option<TemplateSource>, TemplateError> {
    match file {
        Some(file) => read_file(file).map(Some),
        None => find(checkpoint),
    }
}

/// Reads the file that `--chat-template` names: a `.jinja` file as the reference reads it (outer line breaks are
/// dropped and `\n` written as two characters becomes a line break), or a `.json` file with a key `chat_template`.
///
/// # Errors
/// [`TemplateError::Source`] naming the file and what it should be.
pub fn read_file(path: &Path) -> Result<TemplateSource, TemplateError> {
    if path.extension().is_some_and(|e| e == "json") {
        return from_json(path)?.ok_or_else(|| bad(path, "expected a key `chat_template`, found none"));
    }
    if !path.is_file() {
        return Err(bad(path, "expected a .jinja or .json file with a chat template, found no such file"));
    }
    Ok(TemplateSource::single(read(path)?.trim_matches('\n').replace("\\n", "\n")))
}

fn bad(path: &Path, what: impl std::fmt::Display) -> TemplateError {
    TemplateError::Source(format!("{}: {what}", path.display()))
}

fn read(path: &Path) -> Result<String, TemplateError> {
    std::fs::read_to_string(path).map_err(|e| bad(path, format!("cannot be read: {e}")))
}

/// The key `chat_template`: a text, or a list of names with templates.
fn from_json(path: &Path) -> Result<Option<TemplateSource>, TemplateError> {
    let value = sglang_checkpoint::json::parse(read(path)?.as_bytes())
        .map_err(|e| bad(path, format!("expected valid JSON, found {e}")))?;
    match value.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(TemplateSource::single(text))),
        Some(Value::Array(list)) => {
            let pair = |entry: &Value| {
                let text = |key: &str| entry.get(key)?.as_str().map(str::to_owned);
                Some((text("name")?, text("template")?))
            };
            let named = list.iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(|| {
                bad(path, "key `chat_template`: expected a list of objects with `name` and `template`")
            })?;
            Ok(Some(TemplateSource { named }))
        }
        Some(_) => Err(bad(path, "key `chat_template`: expected a template or a list of named templates")),
    }
}
