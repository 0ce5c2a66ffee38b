//! Which parsers a model's chat template points to.

use sglang_parsers::DetectedParsers;

use super::{TemplateError, TemplateSource};
use crate::tokenizer::Tokenizer;

/// The parsers that `auto` stands for with these templates and this vocabulary. Tokenizer manager and scheduler both ask
/// here, so that they never read an answer in two ways.
///
/// # Errors
/// [`TemplateError::Source`] if there is no default template.
pub fn detect_parsers(
    source: Option<&TemplateSource>,
    tokenizer: &Tokenizer,
) -> Result<DetectedParsers, TemplateError> {
    // The template for requests with tools shows the format of calls, where there is one.
    let text = source.map(|source| source.choose(true)).transpose()?.unwrap_or_default();
    Ok(sglang_parsers::detect_parsers(text, &|token| tokenizer.token_to_id(token).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENIZER: &str = r#"{"version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": null, "truncation": null, "padding": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
        "added_tokens": [{"id": 1, "content": "<|tool_calls_section_begin|>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}]}"#;

    #[test]
    fn the_template_for_tools_and_the_vocabulary_decide() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("config.json", "{}");
        write("tokenizer.json", TOKENIZER);
        let tokenizer = Tokenizer::from_path(dir.path()).unwrap();
        let named = |templates: &[(&str, &str)]| TemplateSource {
            named: templates.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        };
        let detect = |source: &TemplateSource| detect_parsers(Some(source), &tokenizer).unwrap();
        let by_token = detect_parsers(None, &tokenizer).unwrap();
        assert_eq!(by_token.tool_call_parser, Some("kimi_k2"), "a token is enough without a template");
        let plain = ("default", "{{ messages }}");
        let both = detect(&named(&[plain, ("tool_use", "<|start|><|channel|>")]));
        assert_eq!(both.reasoning_parser, Some("gpt-oss"), "the template for tools goes first");
        assert!(detect_parsers(Some(&named(&[("rag", "x")])), &tokenizer).is_err());
    }
}
