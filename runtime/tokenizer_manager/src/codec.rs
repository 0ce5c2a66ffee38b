//! The model's tokenizer and chat template as a [`TextCodec`].

use std::path::Path;

use serde_json::{Map, Value};

use sglang_checkpoint::Checkpoint;
use sglang_parsers::DetectedParsers;
use sglang_server_args::ServerArgs;
use sglang_tokenizer::chat_template::{self, TemplateSource};
use sglang_tokenizer::{ChatTemplate, Tokenizer};

use crate::text::{ContentFormat, TextCodec, TextError};

/// Tokenizer and templates of a model.
pub struct ModelCodec {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    /// A separate template for requests with tools, if the model has one.
    tool_template: Option<ChatTemplate>,
    detected_parsers: DetectedParsers,
    template_source: Option<String>,
}

impl ModelCodec {
    /// Loads the files that the arguments name: `--tokenizer-path`, or the model's own tokenizer; `--chat-template`, or
    /// the checkpoint's template (`--hf-chat-template-name` chooses among several).
    ///
    /// # Errors
    /// If a file cannot be read or a template is invalid; the error names it.
    pub fn load(args: &ServerArgs) -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::open(args.tokenizer_files())?;
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint)?;
        let file = args.chat_template.as_deref().map(Path::new);
        let name = args.hf_chat_template_name.as_deref();
        let source = chat_template::load_source(file, name, &checkpoint)?;
        Self::new(tokenizer, source.as_ref())
    }

    /// Compiles the templates.
    ///
    /// # Errors
    /// If a template is invalid.
    pub fn new(tokenizer: Tokenizer, source: Option<&TemplateSource>) -> anyhow::Result<Self> {
        let compile = |text: &str| ChatTemplate::for_tokenizer(text, &tokenizer);
        let template = source.map(|s| s.choose(false)).transpose()?.map(compile).transpose()?;
        let tool_template = source.and_then(|s| s.get("tool_use")).map(compile).transpose()?;
        let detected_parsers = chat_template::detect_parsers(source, &tokenizer)?;
        let template_source = source.map(|s| s.choose(false)).transpose()?.map(str::to_owned);
        Ok(Self { tokenizer, template, tool_template, detected_parsers, template_source })
    }

    /// The parsers that the chat template implies.
    pub fn detected_parsers(&self) -> DetectedParsers {
        self.detected_parsers
    }
}

impl TextCodec for ModelCodec {
    fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, TextError> {
        self.tokenizer.encode(text, add_special_tokens).map_err(|e| TextError(e.to_string()))
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>), TextError> {
        self.tokenizer.encode_pair(first, second).map_err(|e| TextError(e.to_string()))
    }

    fn vocab_size(&self) -> usize {
        self.tokenizer.vocab_size()
    }

    fn chat_template(&self) -> Option<&str> {
        self.template_source.as_deref()
    }

    fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TextError> {
        Ok(self.tokenizer.decode(ids, skip_special_tokens))
    }

    fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        self.tokenizer.id_to_bytes(id).filter(|_| self.tokenizer.is_byte_level())
    }

    fn bos_token_id(&self) -> Option<u32> {
        self.tokenizer.bos_token_id()
    }

    fn model_max_length(&self) -> Option<u64> {
        self.tokenizer.model_max_length().map(|n| n as u64)
    }

    fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    fn content_format(&self) -> ContentFormat {
        match &self.template {
            Some(template) if template.takes_content_parts() => ContentFormat::OpenAi,
            _ => ContentFormat::String,
        }
    }

    fn render_chat(
        &self,
        messages: &[Value],
        tools: Option<&[Value]>,
        add_generation_prompt: bool,
        kwargs: &Map<String, Value>,
    ) -> Result<String, TextError> {
        let template = match tools {
            Some(_) => self.tool_template.as_ref().or(self.template.as_ref()),
            None => self.template.as_ref(),
        };
        let template = template.ok_or_else(|| {
            TextError(
                "Cannot use chat template: the tokenizer has none, and the server was launched without --chat-template."
                    .into(),
            )
        })?;
        template.render(messages, tools, add_generation_prompt, kwargs).map_err(|e| TextError(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null, "truncation": null, "padding": null,
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}"#;

    #[test]
    fn named_templates_are_used_with_tools_or_when_the_flag_names_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_str().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("config.json", "{}");
        write("tokenizer.json", TOKENIZER);
        write("tokenizer_config.json", r#"{"image_token": "<image>"}"#);
        write("chat_template.jinja", "plain {{ image_token }}");
        std::fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
        write("additional_chat_templates/tool_use.jinja", "with tools");
        write("additional_chat_templates/rag.jinja", "rag");
        let load = |flags: &[&str]| {
            let argv = ["x", "--model-path", folder].into_iter().chain(flags.iter().copied());
            ModelCodec::load(&ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags")))
        };
        let render = |codec: &ModelCodec, tools: Option<&[Value]>| {
            codec.render_chat(&[], tools, true, &Map::new()).map_err(|e| e.0).unwrap()
        };
        let codec = load(&[]).unwrap();
        assert_eq!(
            (render(&codec, None), render(&codec, Some(&[]))),
            ("plain <image>".into(), "with tools".into())
        );
        let codec = load(&["--hf-chat-template-name", "rag"]).unwrap();
        assert_eq!((render(&codec, None), render(&codec, Some(&[]))), ("rag".into(), "rag".into()));
        let refused = load(&["--hf-chat-template-name", "nope"]).err().unwrap().to_string();
        assert!(refused.contains("(default, rag, tool_use), found nope"), "{refused}");
    }
}
