//! Chat templates: Jinja sources from checkpoints, rendered byte for byte as transformers' `apply_chat_template` does.

mod arguments;
mod content_format;
mod detect;
mod environment;
mod filters;
mod generation_tag;
mod globals;
mod html;
mod layout;
mod letters;
mod methods;
mod number_format;
mod numbers;
mod padding;
mod printf;
mod python;
mod rewrite;
mod source;
mod str_format;
mod strftime;
mod strings;

use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use detect::detect_parsers;
pub use source::{TemplateSource, find as find_source, load as load_source, read_file};

use crate::tokenizer::Tokenizer;

/// Name of the template in its environment.
const NAME: &str = "chat_template";

/// Why a template cannot be loaded, or messages cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template called `raise_exception`.
    #[error("{0}")]
    Raised(String),
    /// The source is not valid Jinja.
    #[error("the chat template cannot be compiled: {0}")]
    Syntax(String),
    /// Rendering failed on these messages.
    #[error("the chat template failed: {0}")]
    Render(String),
    /// A template is missing, or its file cannot be read.
    #[error("{0}")]
    Source(String),
}

/// The current local time.
pub type Clock = fn() -> OffsetDateTime;

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Special tokens by role.
    variables: Vec<(String, String)>,
    takes_content_parts: bool,
}

impl ChatTemplate {
    /// Compiles a template. `bos_token`, `eos_token` and `extra` (such as `unk_token`) become its variables.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line.
    pub fn new(
        source: &str,
        bos_token: Option<&str>,
        eos_token: Option<&str>,
        extra: &[(&str, &str)],
    ) -> Result<Self, TemplateError> {
        Self::with_clock(source, bos_token, eos_token, extra, local_now)
    }

    /// As [`ChatTemplate::new`], with the clock that `strftime_now` reads.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line.
    pub fn with_clock(
        source: &str,
        bos_token: Option<&str>,
        eos_token: Option<&str>,
        extra: &[(&str, &str)],
        clock: Clock,
    ) -> Result<Self, TemplateError> {
        let syntax = |e: minijinja::Error| TemplateError::Syntax(describe(&e));
        let mut environment = environment::new(clock).map_err(syntax)?;
        let source = &*source::line_ends(source);
        let rewritten = rewrite::operators(&generation_tag::replace(source));
        environment.add_template_owned(NAME, rewritten).map_err(syntax)?;
        let roles = [("bos_token", bos_token), ("eos_token", eos_token)];
        let given = roles.into_iter().filter_map(|(role, text)| Some((role, text?)));
        let variables = given
            .chain(extra.iter().copied())
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        Ok(Self { environment, variables, takes_content_parts: content_format::takes_parts(source) })
    }

    /// Compiles a template with the special tokens of a tokenizer.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line.
    pub fn for_tokenizer(source: &str, tokenizer: &Tokenizer) -> Result<Self, TemplateError> {
        let roles: Vec<_> = tokenizer.special_tokens().collect();
        Self::new(source, None, None, &roles)
    }

    /// Renders messages to the text of a prompt.
    ///
    /// The template sees `messages`, `tools` (none without tools), `documents` (none), `add_generation_prompt`, the
    /// special tokens, and `extra_kwargs`, which override all others. Objects keep the order of their keys.
    ///
    /// # Errors
    /// [`TemplateError::Raised`] with the template's own message, else [`TemplateError::Render`].
    pub fn render(
        &self,
        messages: &[Value],
        tools: Option<&[Value]>,
        add_generation_prompt: bool,
        extra_kwargs: &Map<String, Value>,
    ) -> Result<String, TemplateError> {
        let list = |items: &[Value]| items.iter().map(environment::from_json).collect::<minijinja::Value>();
        let mut variables: BTreeMap<&str, minijinja::Value> = BTreeMap::new();
        variables.extend(self.variables.iter().map(|(role, text)| (role.as_str(), text.as_str().into())));
        variables.insert("messages", list(messages));
        variables.insert("tools", tools.map_or(().into(), list));
        variables.insert("documents", ().into());
        variables.insert("add_generation_prompt", add_generation_prompt.into());
        variables.extend(extra_kwargs.iter().map(|(k, v)| (k.as_str(), environment::from_json(v))));
        let context = minijinja::Value::from_pairs(variables);
        let rendered = self.environment.get_template(NAME).and_then(|template| template.render(context));
        rendered.map_err(|e| match environment::raised_message(&e) {
            Some(message) => TemplateError::Raised(message),
            None if e.kind() == ErrorKind::SyntaxError => TemplateError::Syntax(describe(&e)),
            None => TemplateError::Render(describe(&e)),
        })
    }

    /// Whether the template loops over the parts of a message's content; otherwise content must be a single text
    /// (reference: `detect_jinja_template_content_format`).
    pub fn takes_content_parts(&self) -> bool {
        self.takes_content_parts
    }
}

/// The error message with its place in the template.
fn describe(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}

/// Local time, or UTC if the local offset is unknown.
fn local_now() -> OffsetDateTime {
    OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc())
}
