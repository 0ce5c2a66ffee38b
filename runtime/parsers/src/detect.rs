//! Finds the parsers that `auto` stands for, from the chat template and the vocabulary.

use regex::Regex;

/// The parsers that a chat template implies. Each name is one of the reference's and may have no parser in this crate;
/// `by_name` then returns `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetectedParsers {
    /// For `--tool-call-parser auto`.
    pub tool_call_parser: Option<&'static str>,
    /// For `--reasoning-parser auto`.
    pub reasoning_parser: Option<&'static str>,
    /// How the template switches thinking, if that can be determined.
    pub toggle: Option<ReasoningToggle>,
}

impl DetectedParsers {
    /// The name of the parser that a value of `--tool-call-parser` means; `None` for `auto` if nothing was detected.
    pub fn tool_call_name<'a>(&self, flag: &'a str) -> Option<&'a str> {
        if flag == "auto" { self.tool_call_parser } else { Some(flag) }
    }

    /// The name of the parser that a value of `--reasoning-parser` means; `None` for `auto` if nothing was detected.
    pub fn reasoning_name<'a>(&self, flag: &'a str) -> Option<&'a str> {
        if flag == "auto" { self.reasoning_parser } else { Some(flag) }
    }
}

/// How a chat template switches thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningToggle {
    /// No switch: the model always thinks.
    Always,
    /// By `reasoning_effort`.
    Effort,
    /// By a template argument.
    Param {
        /// `enable_thinking` or `thinking`.
        name: &'static str,
        /// Whether thinking is on when the argument is left out.
        default_enabled: bool,
    },
}

struct Template<'a> {
    text: &'a str,
    in_vocab: &'a dyn Fn(&str) -> bool,
    toggle: Option<ReasoningToggle>,
}

impl Template<'_> {
    fn has(&self, needle: &str) -> bool {
        self.text.contains(needle)
    }

    fn has_all(&self, needles: &[&str]) -> bool {
        needles.iter().all(|needle| self.has(needle))
    }

    fn known(&self, token: &str) -> bool {
        (self.in_vocab)(token)
    }

    fn toggled_by(&self, name: &'static str, default_enabled: bool) -> bool {
        self.toggle == Some(ReasoningToggle::Param { name, default_enabled })
    }

    fn glm(&self) -> bool {
        let glm45 =
            (self.has("[gMASK]<sop>") || self.has_unclosed("/nothink") || self.has_unclosed("/think"))
                && self.known("<tool_call>")
                && self.toggled_by("enable_thinking", true)
                && (self.known("<|user|>") || self.known("<|endoftext|>"));
        let glm53 =
            self.has_all(&["[gMASK]<sop>", "Reasoning Effort:", "<tool_call>", "<arg_key>", "<arg_value>"])
                && !self.has("enable_thinking");
        glm45 || glm53
    }

    /// Whether `needle` occurs without a `<` directly before it.
    fn has_unclosed(&self, needle: &str) -> bool {
        self.text.match_indices(needle).any(|(at, _)| !self.text[..at].ends_with('<'))
    }

    fn qwen3_coder(&self) -> bool {
        self.has_all(&["<function=", "<parameter="])
    }

    fn lfm2(&self) -> bool {
        ["<|tool_call_start|>", "<|tool_call_end|>"].iter().all(|t| self.has(t) || self.known(t))
    }

    fn step3p5(&self) -> bool {
        matches(r"(?i)Step-?3(?:\.|p)?[57]", self.text)
            || (self.has_all(&["reasoning_effort", "Reasoning: "]) && self.qwen3_coder())
    }

    fn step3(&self) -> bool {
        self.has("<steptml:invoke") || self.has_all(&["<｜tool_calls_begin｜>", "<｜tool_sep｜>"])
    }

    fn arguments_in_tags(&self) -> bool {
        self.known("<arg_key>") && self.known("<arg_value>")
    }

    fn poolside(&self) -> bool {
        let tags = self.has_all(&["<arg_key>", "<arg_value>"]);
        let preamble = self.has("unescaped XML-like object")
            || self.has("All available function signatures are listed below");
        (tags && preamble)
            || (self.toggled_by("enable_thinking", false) && (tags || self.arguments_in_tags()))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

/// The default that the template gives `name`, recognised by the ways in which templates spell defaults.
fn param_default(name: &str, text: &str) -> Option<bool> {
    let assigned = |value: &str| {
        matches(
            &format!(
                r"(?s)\{{%-?\s*if\s+not\s+{name}\s+is\s+defined\s*-?%\}}.*?\{{%-?\s*set\s+{name}\s*=\s*(?i:{value})\s*-?%\}}"
            ),
            text,
        ) || matches(&format!(r"\b{name}\s*\|\s*(?:default|d)\(\s*(?i:{value})\b"), text)
    };
    if assigned("false") {
        return Some(false);
    }
    let on_unless_told = [
        format!(r"set\s+{name}\s*=\s*{name}\s+if\s+{name}\s+is\s+defined\s+else\s+(?:true|True)"),
        format!(r"\b{name}\s+is\s+defined\s+and\s+(?:{name}\s+is\s+false|not\s+{name})"),
        format!(r"\b{name}\s+is\s+not\s+defined\s+or\s+{name}"),
        format!(r"namespace\([^)]*\b{name}\s*=\s*true"),
    ];
    (assigned("true") || on_unless_told.iter().any(|pattern| matches(pattern, text))).then_some(true)
}

fn toggle(text: &str) -> Option<ReasoningToggle> {
    if text.contains("<|channel|>") {
        return Some(ReasoningToggle::Always);
    }
    let opens_thinking = text.contains("<|im_start|>assistant\\n<think>\\n");
    if opens_thinking && !text.contains("thinking") {
        return Some(ReasoningToggle::Always);
    }
    if text.contains("reasoning_effort") && text.contains("[THINK]") {
        return Some(ReasoningToggle::Effort);
    }
    ["enable_thinking", "thinking"].into_iter().find_map(|name| {
        let default_enabled = param_default(name, text)?;
        Some(ReasoningToggle::Param { name, default_enabled })
    })
}

type Rule = (&'static str, fn(&Template<'_>) -> bool);

/// In the reference's order; the first rule that matches decides. The last five cover model families for which the
/// reference makes the user name the parser.
const TOOL_RULES: &[Rule] = &[
    ("gemma4", |t| t.has("<|channel>")),
    ("gpt-oss", |t| t.has("<|channel|>")),
    ("kimi_k2", |t| t.known("<|tool_calls_section_begin|>")),
    ("minimax-m3", |t| t.has("<mm:think>")),
    ("minimax-m2", |t| t.has("<minimax:tool_call>")),
    ("mistral", |t| t.toggle == Some(ReasoningToggle::Effort)),
    ("deepseekv4", |t| t.has("<｜DSML｜tool_calls>")),
    ("deepseekv32", |t| t.has("<｜DSML｜function_calls>")),
    // V3's template has the markers of V3.1 and a code fence that V3.1 lacks.
    ("deepseekv3", |t| t.has_all(&["<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "```json"])),
    ("deepseekv31", |t| t.has_all(&["<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>"])),
    ("lfm2", |t| t.lfm2()),
    ("glm47", |t| t.glm() && matches(r#"\{\{[-\s]*['"]<tool_call>['"]\s*[+~]\s*tc\.name"#, t.text)),
    ("glm45", |t| t.glm()),
    ("hunyuan", |t| t.has_all(&["<tool_calls>", "<tool_sep>"])),
    ("poolside_v1", |t| t.poolside()),
    ("step3p5", |t| t.step3p5()),
    ("step3", |t| t.step3()),
    ("glm45", |t| t.arguments_in_tags()),
    ("mimo", |t| t.toggled_by("enable_thinking", false)),
    ("qwen3_coder", |t| t.qwen3_coder()),
    ("qwen", |t| t.toggled_by("enable_thinking", true)),
    ("deepseekv3", |t| t.toggled_by("thinking", false) || t.toggle == Some(ReasoningToggle::Always)),
    ("mistral", |t| t.has("[TOOL_CALLS]")),
    ("pythonic", |t| t.has("<|python_start|>")),
    ("llama3", |t| t.has("<|python_tag|>") || t.has_all(&["<|start_header_id|>", "\"parameters\""])),
    ("qwen", |t| t.has("<tool_call>\\n") || t.has("<tool_call>\n")),
    ("hermes", |t| t.has("<tool_call>")),
];

const REASONING_RULES: &[Rule] = &[
    ("gemma4", |t| t.has("<|channel>")),
    ("kimi", |t| t.has("◁think▷")),
    ("interns1", |t| t.has("default_thinking_sys") && t.toggled_by("enable_thinking", true)),
    ("mistral", |t| t.toggle == Some(ReasoningToggle::Effort)),
    ("gpt-oss", |t| t.has("<|channel|>")),
    ("kimi_k2", |t| t.known("<|tool_calls_section_begin|>")),
    ("nemotron_3", |t| t.has("truncate_history_thinking") && t.toggled_by("enable_thinking", true)),
    ("glm45", |t| t.glm()),
    ("hunyuan", |t| t.has_all(&["<tool_calls>", "<tool_sep>"])),
    ("poolside_v1", |t| t.poolside()),
    ("mimo", |t| t.toggled_by("enable_thinking", false)),
    ("minimax-m3", |t| t.has("<mm:think>")),
    ("minimax", |t| t.has("<minimax:tool_call>")),
    ("step3p5", |t| t.step3p5()),
    ("step3", |t| t.step3()),
    ("qwen3", |t| t.toggled_by("enable_thinking", true)),
    ("deepseek-v4", |t| t.has("<｜DSML｜tool_calls>")),
    ("deepseek-v3", |t| t.toggled_by("thinking", false)),
    ("deepseek-r1", |t| t.toggle == Some(ReasoningToggle::Always)),
    ("deepseek-r1", |t| !t.lfm2() && (t.has("<think>") || t.has("</think>"))),
];

/// The parsers that `auto` stands for. `in_vocab` says whether the tokenizer has a token with exactly this text.
pub fn detect_parsers(chat_template: &str, in_vocab: &dyn Fn(&str) -> bool) -> DetectedParsers {
    let template = Template { text: chat_template, in_vocab, toggle: toggle(chat_template) };
    let first = |rules: &[Rule]| rules.iter().find(|(_, holds)| holds(&template)).map(|(name, _)| *name);
    DetectedParsers {
        tool_call_parser: first(TOOL_RULES),
        reasoning_parser: first(REASONING_RULES),
        toggle: template.toggle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(template: &str, vocab: &[&str]) -> (Option<&'static str>, Option<&'static str>) {
        let found = detect_parsers(template, &|token| vocab.contains(&token));
        (found.tool_call_parser, found.reasoning_parser)
    }

    #[test]
    fn auto_means_what_was_detected_and_a_name_means_itself() {
        let detected = DetectedParsers {
            tool_call_parser: Some("qwen"),
            reasoning_parser: Some("qwen3"),
            ..Default::default()
        };
        assert_eq!(
            (detected.tool_call_name("auto"), detected.tool_call_name("llama3")),
            (Some("qwen"), Some("llama3"))
        );
        assert_eq!(
            (detected.reasoning_name("auto"), detected.reasoning_name("kimi")),
            (Some("qwen3"), Some("kimi"))
        );
        let nothing = DetectedParsers::default();
        assert_eq!((nothing.tool_call_name("auto"), nothing.reasoning_name("auto")), (None, None));
    }

    #[test]
    fn each_family_is_told_by_its_template() {
        let qwen3 = "{%- if enable_thinking is defined and enable_thinking is false %}<think>\\n\\n</think>{% endif %}<tool_call>\\n";
        assert_eq!(detect(qwen3, &["<tool_call>"]), (Some("qwen"), Some("qwen3")));
        assert_eq!(detect("{{ '<tool_call>\\n' }}", &[]), (Some("qwen"), None));
        assert_eq!(detect("<tool_call>{{ call }}", &[]), (Some("hermes"), None));
        assert_eq!(detect("[AVAILABLE_TOOLS][TOOL_CALLS]", &[]), (Some("mistral"), None));
        assert_eq!(detect("<|start|><|channel|>", &[]), (Some("gpt-oss"), Some("gpt-oss")));
        assert_eq!(detect("<｜tool▁calls▁begin｜><｜tool▁sep｜>\\n```json", &[]).0, Some("deepseekv3"));
        assert_eq!(detect("<｜tool▁calls▁begin｜><｜tool▁sep｜>", &[]).0, Some("deepseekv31"));
        assert_eq!(detect("<function=x><parameter=y>", &[]).0, Some("qwen3_coder"));
        assert_eq!(detect("x", &["<|tool_calls_section_begin|>"]), (Some("kimi_k2"), Some("kimi_k2")));
        assert_eq!(detect("x", &["<arg_key>", "<arg_value>"]).0, Some("glm45"));
        assert_eq!(detect("◁think▷", &[]).1, Some("kimi"));
        assert_eq!(detect("<think>", &[]).1, Some("deepseek-r1"));
        assert_eq!(detect("{{ messages }}", &[]), (None, None));
    }

    #[test]
    fn a_toggle_is_read_with_its_default() {
        let of = |template: &str| detect_parsers(template, &|_| false).toggle;
        let param = |name, default_enabled| Some(ReasoningToggle::Param { name, default_enabled });
        assert_eq!(
            of("{% if not thinking is defined %}{% set thinking = false %}"),
            param("thinking", false)
        );
        assert_eq!(
            of("{%- set enable_thinking = enable_thinking | default(true) %}"),
            param("enable_thinking", true)
        );
        assert_eq!(of("'<|im_start|>assistant\\n<think>\\n'"), Some(ReasoningToggle::Always));
        assert_eq!(of("plain"), None);
    }
}
