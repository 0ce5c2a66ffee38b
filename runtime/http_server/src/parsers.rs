//! The parsers for answers, and whether an answer starts with reasoning (reference:
//! `OpenAIServingChat._get_reasoning_from_request`).

use serde_json::{Map, Value};
use sglang_parsers::{
    DetectedParsers, ReasoningDefault, ReasoningParser, ReasoningToggle, ToolParser, ToolParserOptions,
};
use sglang_server_args::ServerArgs;

use crate::chat::request::ChatCompletionRequest;

/// The parsers of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsers {
    /// `--tool-call-parser`; without one, calls stay text.
    pub tool_call: Option<ToolParser>,
    /// `--reasoning-parser`; without one, reasoning stays text.
    pub reasoning: Option<ReasoningParser>,
    /// How to treat calls of functions that a request does not list.
    pub tool_options: ToolParserOptions,
    toggle: Option<ReasoningToggle>,
}

/// The parser called `name`. `None` stands for `auto` where the chat template points to none.
fn choose<T>(flag: &str, name: Option<&str>, by_name: fn(&str) -> Option<T>) -> Option<T> {
    let Some(name) = name else {
        tracing::warn!("--{flag} auto: the chat template does not show which parser it needs; none is used");
        return None;
    };
    let parser = by_name(name);
    match &parser {
        Some(_) => tracing::info!("--{flag} is {name}"),
        None => tracing::warn!("--{flag}: this version has no parser {name}; none is used"),
    }
    parser
}

impl Parsers {
    /// The parsers that the arguments name. `detected` is what the chat template implies.
    pub fn new(args: &ServerArgs, detected: &DetectedParsers, tool_options: ToolParserOptions) -> Self {
        let (tool_call, reasoning) = (args.tool_call_parser.as_deref(), args.reasoning_parser.as_deref());
        Self {
            tool_call: tool_call.and_then(|given| {
                choose("tool-call-parser", detected.tool_call_name(given), ToolParser::by_name)
            }),
            reasoning: reasoning.and_then(|given| {
                choose("reasoning-parser", detected.reasoning_name(given), ReasoningParser::by_name)
            }),
            tool_options,
            toggle: detected.toggle,
        }
    }

    /// The same, but without a flag for calls, with the tool-call parser that the chat template implies.
    pub fn or_detected_tools(&self, detected: &DetectedParsers) -> Self {
        let found = || detected.tool_call_parser.and_then(ToolParser::by_name);
        Self { tool_call: self.tool_call.or_else(found), ..*self }
    }

    /// Whether a parser reads gpt-oss's messages, whose markers are special tokens that must stay in the text.
    pub fn reads_harmony(&self) -> bool {
        self.reasoning.is_some_and(|p| p.name() == "gpt-oss")
            || self.tool_call.is_some_and(|p| p.name() == "gpt-oss")
    }

    /// Checks that the models of these parsers can do what `request` asks for.
    ///
    /// # Errors
    /// The text for the client if they cannot.
    pub fn check(&self, request: &ChatCompletionRequest) -> Result<(), String> {
        if !self.reads_harmony() {
            return Ok(());
        }
        if request.reasoning_effort.as_ref().is_some_and(|effort| effort == "none") {
            return Err("Harmony does not support reasoning effort none".into());
        }
        if request.reasoning_is_over && request.continued_text().is_some_and(|text| !text.is_empty()) {
            return Err(
                "The last message is the beginning of the assistant's answer, which a gpt-oss model cannot \
                        continue: end with a message of the user."
                    .into(),
            );
        }
        Ok(())
    }

    /// Whether the answer to `request` starts with reasoning. `defaults` are template arguments that the server adds.
    pub fn thinks(&self, request: &ChatCompletionRequest, defaults: Option<&Map<String, Value>>) -> bool {
        let Some(parser) = self.reasoning.filter(|_| !request.reasoning_is_over) else { return false };
        let switch = |name: &str| {
            let given = request.chat_template_kwargs.get(name);
            given.or_else(|| defaults?.get(name)).and_then(Value::as_bool)
        };
        match self.toggle {
            None if parser.reasoning_default() == ReasoningDefault::Effort => {
                request.reasoning_effort.as_ref().is_some_and(|effort| effort != "none")
            }
            None => {
                let default = parser.reasoning_default();
                default.enabled(default.toggle_param().and_then(switch))
            }
            Some(ReasoningToggle::Always) => true,
            Some(ReasoningToggle::Effort) => {
                request.reasoning_effort.as_ref().is_some_and(|effort| effort != "none")
            }
            Some(ReasoningToggle::Param { name, default_enabled: true }) => switch(name) != Some(false),
            Some(ReasoningToggle::Param { name, default_enabled: false }) => switch(name) == Some(true),
        }
    }
}

impl Parsers {
    /// The same for an answer that may continue a text whose reasoning has already ended. Grammars begin after the
    /// reasoning, and its tokens are counted.
    pub fn opens_with_reasoning(
        &self,
        request: &ChatCompletionRequest,
        defaults: Option<&Map<String, Value>>,
    ) -> bool {
        let ended = |parser: ReasoningParser| {
            request.continued_text().is_some_and(|text| text.contains(parser.think_end()))
        };
        self.thinks(request, defaults) && !self.reasoning.is_some_and(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsers(flags: &[&str], detected: DetectedParsers) -> Parsers {
        let argv = ["sglang-launch", "--model-path", "m"].into_iter().chain(flags.iter().copied());
        let args = ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"));
        Parsers::new(&args, &detected, ToolParserOptions::default())
    }

    fn names(parsers: Parsers) -> (Option<&'static str>, Option<&'static str>) {
        (parsers.tool_call.map(|p| p.name()), parsers.reasoning.map(|p| p.name()))
    }

    #[test]
    fn the_flags_take_the_names_of_all_parsers_and_auto() {
        let choices = |long: &str| {
            let flag = sglang_server_args::flags().find(|f| f.long == long).unwrap();
            let mut names: Vec<&str> = flag.choices.to_vec();
            assert!(names.iter().all(|n| !flag.choices_not_yet.contains(n)));
            names.sort_unstable();
            names
        };
        let mut tools: Vec<&str> = ToolParser::names().chain(["auto"]).collect();
        tools.sort_unstable();
        assert_eq!(choices("tool-call-parser"), tools);
        let mut reasoning: Vec<&str> = ReasoningParser::names().chain(["auto"]).collect();
        reasoning.sort_unstable();
        assert_eq!(choices("reasoning-parser"), reasoning);
    }

    #[test]
    fn auto_takes_what_the_template_points_to_and_a_name_wins_over_it() {
        let auto = ["--tool-call-parser", "auto", "--reasoning-parser", "auto"];
        let detected =
            DetectedParsers { tool_call_parser: Some("qwen"), reasoning_parser: Some("qwen3"), toggle: None };
        assert_eq!(names(parsers(&auto, detected)), (Some("qwen"), Some("qwen3")));
        assert_eq!(names(parsers(&["--tool-call-parser", "llama3"], detected)), (Some("llama3"), None));
        assert_eq!(names(parsers(&[], detected)), (None, None));
        assert_eq!(names(parsers(&auto, DetectedParsers::default())), (None, None));
        let unknown = DetectedParsers { tool_call_parser: Some("minimax-m3"), ..Default::default() };
        assert_eq!(names(parsers(&auto, unknown)), (None, None));
    }

    #[test]
    fn the_template_decides_how_thinking_is_switched_and_else_the_parser() {
        let thinks = |parser: &str, toggle, more: serde_json::Value, defaults: serde_json::Value| {
            let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let request = ChatCompletionRequest::from_json(body.as_object().unwrap()).unwrap();
            let detected = DetectedParsers { toggle, ..Default::default() };
            parsers(&["--reasoning-parser", parser], detected).thinks(&request, defaults.as_object())
        };
        let off = json!({"chat_template_kwargs": {"enable_thinking": false}});
        let on = json!({"chat_template_kwargs": {"thinking": true}});
        let none = || serde_json::Value::Null;
        assert!(thinks("qwen3", None, json!({}), none()));
        assert!(!thinks("qwen3", None, off.clone(), none()));
        assert!(!thinks("qwen3", None, json!({}), json!({"enable_thinking": false})));
        assert!(!thinks("qwen3", None, json!({"reasoning_effort": "none"}), none()));
        assert!(!thinks("deepseek-v3", None, json!({}), none()));
        assert!(thinks("deepseek-v3", None, on.clone(), none()));
        assert!(thinks("deepseek-r1", None, off, none()));
        let explicit = Some(ReasoningToggle::Param { name: "thinking", default_enabled: false });
        assert!(!thinks("qwen3", explicit, json!({}), none()));
        assert!(thinks("qwen3", explicit, on, none()));
        assert!(thinks("kimi_k2", Some(ReasoningToggle::Always), json!({}), none()));
        assert!(!thinks("qwen3", Some(ReasoningToggle::Effort), json!({}), none()));
    }
}
