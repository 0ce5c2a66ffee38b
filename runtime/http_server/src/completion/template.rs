//! Templates that combine the text before and after a gap into one prompt, for the `suffix` of `/v1/completions`
//! (reference: `parser/code_completion_parser.py`).

use std::path::Path;

use serde_json::Value;
use sglang_server_args::ServerArgs;
use sglang_tokenizer_manager::requests::OneOrMany;

use super::prompt::CompletionPrompt;

/// The position of the token that stands for the gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FimPosition {
    /// Between the texts; the end token is last.
    Middle,
    /// Last; the end token is between the texts.
    End,
}

/// A template for filling in the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionTemplate {
    begin: String,
    middle: String,
    end: String,
    position: FimPosition,
}

/// Name; begin, middle and end token; position.
const BUILT_IN: [(&str, &str, &str, &str, FimPosition); 3] = [
    (
        "deepseek_coder",
        "<\u{ff5c}fim\u{2581}begin\u{ff5c}>",
        "<\u{ff5c}fim\u{2581}hole\u{ff5c}>",
        "<\u{ff5c}fim\u{2581}end\u{ff5c}>",
        FimPosition::Middle,
    ),
    ("star_coder", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", FimPosition::End),
    ("qwen_coder", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", FimPosition::End),
];

impl CompletionTemplate {
    /// The template of `--completion-template`, if it is given.
    ///
    /// # Errors
    /// As [`CompletionTemplate::load`].
    pub fn of_server(args: &ServerArgs) -> Result<Option<Self>, String> {
        args.completion_template.as_deref().map(Self::load).transpose()
    }

    /// The template that `--completion-template` names: a built-in one, or a JSON file with `fim_begin_token`,
    /// `fim_middle_token`, `fim_end_token` and `fim_position` (`MIDDLE` or `END`).
    ///
    /// # Errors
    /// One line that names the flag and says what is wrong.
    pub fn load(name: &str) -> Result<Self, String> {
        if let Some((_, begin, middle, end, position)) = BUILT_IN.iter().find(|t| t.0 == name) {
            let own = |text: &&str| (*text).to_owned();
            return Ok(Self { begin: own(begin), middle: own(middle), end: own(end), position: *position });
        }
        let wrong = |why: String| format!("--completion-template {name}: {why}");
        if !Path::new(name).is_file() {
            let names = BUILT_IN.map(|t| t.0).join(", ");
            return Err(wrong(format!("neither a built-in template ({names}) nor a JSON file")));
        }
        let text = std::fs::read_to_string(name).map_err(|error| wrong(error.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Self::from_json(&json).map_err(wrong)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        let text = |key: &str| {
            let value = json.get(key).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| format!("expected a text under {key}"))
        };
        let position = match text("fim_position")?.as_str() {
            "MIDDLE" => FimPosition::Middle,
            "END" => FimPosition::End,
            other => return Err(format!("fim_position: expected MIDDLE or END, found {other}")),
        };
        Ok(Self {
            begin: text("fim_begin_token")?,
            middle: text("fim_middle_token")?,
            end: text("fim_end_token")?,
            position,
        })
    }

    /// The prompt that asks for the text between two others.
    fn fill(&self, before: &str, after: &str) -> String {
        let Self { begin, middle, end, position } = self;
        match position {
            FimPosition::Middle => format!("{begin}{before}{middle}{after}{end}"),
            FimPosition::End => format!("{begin}{before}{end}{after}{middle}"),
        }
    }

    /// The prompt of a request with a suffix. If there are several texts, each gets the suffix.
    ///
    /// # Errors
    /// If the prompt is token ids.
    pub fn apply(&self, prompt: &CompletionPrompt, suffix: &str) -> Result<OneOrMany<String>, String> {
        match prompt {
            CompletionPrompt::Text(OneOrMany::One(text)) => Ok(OneOrMany::One(self.fill(text, suffix))),
            CompletionPrompt::Text(OneOrMany::Many(texts)) => {
                Ok(OneOrMany::Many(texts.iter().map(|text| self.fill(text, suffix)).collect()))
            }
            CompletionPrompt::Ids(_) => {
                Err("suffix needs a prompt of text: the completion template joins texts, not token ids."
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(name: &str) -> String {
        CompletionTemplate::load(name).unwrap().fill("def a(", "return a")
    }

    #[test]
    fn built_in_templates_are_the_references() {
        assert_eq!(filled("deepseek_coder"), "<｜fim▁begin｜>def a(<｜fim▁hole｜>return a<｜fim▁end｜>");
        assert_eq!(filled("star_coder"), "<fim_prefix>def a(<fim_suffix>return a<fim_middle>");
        assert_eq!(filled("qwen_coder"), "<|fim_prefix|>def a(<|fim_suffix|>return a<|fim_middle|>");
    }

    #[test]
    fn a_server_has_the_template_that_its_flag_names() {
        let of = |flags: &[&str]| {
            let argv = ["x", "--model-path", "m"].into_iter().chain(flags.iter().copied());
            CompletionTemplate::of_server(&ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags")))
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(
            of(&["--completion-template", "star_coder"]),
            CompletionTemplate::load("star_coder").map(Some)
        );
        let error = of(&["--completion-template", "nobody"]).unwrap_err();
        assert!(error.starts_with("--completion-template nobody: "), "{error}");
    }

    #[test]
    fn a_file_is_read_and_a_wrong_one_says_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.json");
        let name = path.to_str().unwrap();
        let mut file = json!({"name": "mine", "fim_begin_token": "[", "fim_middle_token": "|", "fim_end_token": "]",
            "fim_position": "MIDDLE"});
        std::fs::write(&path, file.to_string()).unwrap();
        assert_eq!(filled(name), "[def a(|return a]");
        file["fim_position"] = "LEFT".into();
        std::fs::write(&path, file.to_string()).unwrap();
        let error = CompletionTemplate::load(name).unwrap_err();
        assert!(error.contains("--completion-template") && error.contains("MIDDLE or END"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        assert!(CompletionTemplate::load(name).unwrap_err().contains("fim_position"));
        let error = CompletionTemplate::load("nobody").unwrap_err();
        assert!(error.contains("deepseek_coder, star_coder, qwen_coder"), "{error}");
    }

    #[test]
    fn every_text_gets_the_suffix_and_ids_are_refused() {
        let template = CompletionTemplate::load("star_coder").unwrap();
        let texts = CompletionPrompt::Text(OneOrMany::Many(vec!["a".into(), "b".into()]));
        let OneOrMany::Many(filled) = template.apply(&texts, "z").unwrap() else { panic!() };
        assert_eq!(filled[1], "<fim_prefix>b<fim_suffix>z<fim_middle>");
        assert!(template.apply(&CompletionPrompt::Ids(OneOrMany::One(vec![1])), "z").is_err());
    }
}
