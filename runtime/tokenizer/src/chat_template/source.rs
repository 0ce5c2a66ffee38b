//! Finds and reads a checkpoint's chat templates.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sglang_checkpoint::Checkpoint;

use super::TemplateError;

/// The templates of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSource {
    /// Templates by name, in the file's order. A template without a name is called `default`.
    pub named: Vec<(String, String)>,
}

/// The name of a template that has no name of its own.
const DEFAULT: &str = "default";
/// The name of the template for requests with tools.
const TOOL_USE: &str = "tool_use";
/// transformers' folder for templates besides the default one.
const ADDITIONAL: &str = "additional_chat_templates";

/// Converts line ends as Jinja2 does: `\r\n` and `\r` become `\n`, in string literals too.
pub(super) fn line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

impl TemplateSource {
    fn single(text: &str) -> Self {
        let mut source = Self::default();
        source.set(DEFAULT, text);
        source
    }

    /// Adds or replaces the template of this name.
    fn set(&mut self, name: &str, text: &str) {
        let text = line_ends(text).into_owned();
        match self.named.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = text,
            None => self.named.push((name.to_owned(), text)),
        }
    }

    fn names(&self) -> String {
        self.named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Keeps only the template called `name`, for all requests (`--hf-chat-template-name`).
    ///
    /// # Errors
    /// [`TemplateError::Source`] with the existing names if there is no template of this name.
    pub fn only(&self, name: &str) -> Result<Self, TemplateError> {
        self.get(name).map(Self::single).ok_or_else(|| {
            TemplateError::Source(format!(
                "--hf-chat-template-name: expected one of the model's chat templates ({}), found {name}",
                self.names()
            ))
        })
    }

    /// The template called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, text)| text.as_str())
    }

    /// The template to use, by the rule of transformers' `get_chat_template`: `tool_use` if the request has tools and
    /// there is a template of that name, else `default`.
    ///
    /// # Errors
    /// [`TemplateError::Source`] with the existing names if there is no default.
    pub fn choose(&self, with_tools: bool) -> Result<&str, TemplateError> {
        let chosen = if with_tools { self.get(TOOL_USE) } else { None };
        chosen.or_else(|| self.get(DEFAULT)).ok_or_else(|| {
            TemplateError::Source(format!(
                "expected a chat template named {DEFAULT}, found {}; --hf-chat-template-name chooses one",
                self.names()
            ))
        })
    }
}

/// Finds the templates of a checkpoint. In a folder: the first of `chat_template.jinja`, `chat_template.json` and the
/// key `chat_template` of `tokenizer_config.json`, and the files in `additional_chat_templates`, named after the files.
/// In a GGUF file: the key `tokenizer.chat_template` and the keys that begin with it.
///
/// # Errors
/// [`TemplateError::Source`] naming a file that cannot be read.
pub fn find(checkpoint: &Checkpoint) -> Result<Option<TemplateSource>, TemplateError> {
    let found = match checkpoint {
        Checkpoint::Gguf(file) => {
            let metadata = file.metadata();
            let mut found = TemplateSource::default();
            for key in metadata.keys() {
                let Some(rest) = key.strip_prefix("tokenizer.chat_template") else { continue };
                let name = if rest.is_empty() { Some(DEFAULT) } else { rest.strip_prefix('.') };
                if let Some(name) = name
                    && let Some(text) =
                        metadata.opt_str(key).map_err(|e| TemplateError::Source(e.to_string()))?
                {
                    found.set(name, text);
                }
            }
            found
        }
        Checkpoint::HfFolder(folder) => {
            let mut found = main_template(folder.dir())?;
            for path in additional(folder.dir())? {
                if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                    found.set(name, &read(&path)?);
                }
            }
            found
        }
    };
    Ok(Some(found).filter(|found| !found.named.is_empty()))
}

/// Reads the first file of a folder that contains a template.
fn main_template(dir: &Path) -> Result<TemplateSource, TemplateError> {
    let jinja = dir.join("chat_template.jinja");
    if jinja.is_file() {
        return Ok(TemplateSource::single(&read(&jinja)?));
    }
    for name in ["chat_template.json", "tokenizer_config.json"] {
        let path = dir.join(name);
        if path.is_file()
            && let Some(found) = from_json(&path)?
        {
            return Ok(found);
        }
    }
    Ok(TemplateSource::default())
}

/// The `.jinja` files of `additional_chat_templates`, by name.
fn additional(dir: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let folder = dir.join(ADDITIONAL);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |e: std::io::Error| bad(&folder, format!("cannot be read: {e}"));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "jinja") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The templates of a server: from `file` (`--chat-template`) if given, else from the checkpoint; with `name`
/// (`--hf-chat-template-name`), only the template of that name.
///
/// # Errors
/// As [`read_file`], [`find`] and [`TemplateSource::only`].
pub fn load(
    file: Option<&Path>,
    name: Option<&str>,
    checkpoint: &Checkpoint,
) -> Result<Option<TemplateSource>, TemplateError> {
    let found = match file {
        Some(file) => Some(read_file(file)?),
        None => find(checkpoint)?,
    };
    match name {
        Some(name) => found.unwrap_or_default().only(name).map(Some),
        None => Ok(found),
    }
}

/// Reads the file that `--chat-template` names. A `.jinja` file is read as by the reference: outer line breaks are
/// dropped, and the two characters `\n` become a line break. A `.json` file must have the key `chat_template`.
///
/// # Errors
/// [`TemplateError::Source`] with the file and what it should contain.
pub fn read_file(path: &Path) -> Result<TemplateSource, TemplateError> {
    if path.extension().is_some_and(|e| e == "json") {
        return from_json(path)?.ok_or_else(|| bad(path, "expected a key `chat_template`, found none"));
    }
    if !path.is_file() {
        return Err(bad(path, "expected a .jinja or .json file with a chat template, found no such file"));
    }
    Ok(TemplateSource::single(&line_ends(&read(path)?).trim_matches('\n').replace("\\n", "\n")))
}

fn bad(path: &Path, what: impl std::fmt::Display) -> TemplateError {
    TemplateError::Source(format!("{}: {what}", path.display()))
}

fn read(path: &Path) -> Result<String, TemplateError> {
    std::fs::read_to_string(path).map_err(|e| bad(path, format!("cannot be read: {e}")))
}

/// Reads the key `chat_template`: a text, or a list of named templates.
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
            let mut found = TemplateSource::default();
            for entry in list {
                let (name, text) = pair(entry).ok_or_else(|| {
                    bad(path, "key `chat_template`: expected a list of objects with `name` and `template`")
                })?;
                found.set(&name, &text);
            }
            Ok(Some(found))
        }
        Some(_) => Err(bad(path, "key `chat_template`: expected a template or a list of named templates")),
    }
}
