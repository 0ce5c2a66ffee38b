//! Reasoning parsers: they separate an answer's thinking from the answer proper.

mod gpt_oss;
mod think;

use gpt_oss::GptOssReasoning;
use think::{ThinkReasoning, ThinkTags};

/// What one piece of a stream adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Thinking, without its tags.
    pub reasoning: String,
    /// Text for the user or for a tool-call parser.
    pub normal: String,
}

/// Whether a model thinks when the chat template does not say, and which template argument switches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningDefault {
    /// Always.
    Always,
    /// Unless `chat_template_kwargs.enable_thinking` is false.
    EnableThinking,
    /// Unless `chat_template_kwargs.thinking` is false.
    Thinking,
    /// Only when `chat_template_kwargs.enable_thinking` is true.
    ExplicitEnableThinking,
    /// Only when `chat_template_kwargs.thinking` is true.
    ExplicitThinking,
    /// Only with a `reasoning_effort` other than `none`.
    Effort,
}

impl ReasoningDefault {
    /// The chat template argument that switches thinking, if any does.
    pub fn toggle_param(self) -> Option<&'static str> {
        match self {
            Self::Always | Self::Effort => None,
            Self::EnableThinking | Self::ExplicitEnableThinking => Some("enable_thinking"),
            Self::Thinking | Self::ExplicitThinking => Some("thinking"),
        }
    }

    /// Whether a request thinks, given the value of its template argument (`None`: not given).
    pub fn enabled(self, toggle: Option<bool>) -> bool {
        match self {
            Self::Always => true,
            Self::EnableThinking | Self::Thinking => toggle != Some(false),
            Self::ExplicitEnableThinking | Self::ExplicitThinking | Self::Effort => toggle == Some(true),
        }
    }
}

/// The settings of a request that affect how its answer is split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasoningOptions {
    /// Whether the answer starts inside the thinking, without a start tag. `None`: the parser's default.
    pub force_reasoning: Option<bool>,
    /// Send thinking as it arrives; otherwise in one piece when it ends.
    pub stream_reasoning: bool,
    /// The assistant text that the answer continues (`continue_final_message`); its tags decide where it starts.
    pub previous_content: String,
    /// Return an answer that is all thinking as text.
    pub force_nonempty_content: bool,
}

impl Default for ReasoningOptions {
    fn default() -> Self {
        Self {
            force_reasoning: None,
            stream_reasoning: true,
            previous_content: String::new(),
            force_nonempty_content: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Tags around the thinking; see [`ThinkTags`].
    Think(ThinkTags),
    GptOss,
    /// Everything is text; the start tag, which the template put into the prompt, is added in front.
    AppendThink,
}

/// A reasoning parser, chosen by its `--reasoning-parser` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasoningParser {
    name: &'static str,
    kind: Kind,
    /// Overrides the request's `force_reasoning`.
    forced: Option<bool>,
    force_by_default: bool,
    /// Line breaks between the thinking and the text are dropped.
    trims_lines: bool,
    default: ReasoningDefault,
}

const THINK: ThinkTags = ThinkTags { start: "<think>", end: "</think>", tool_start: None };
const QWEN3: ThinkTags = ThinkTags { tool_start: Some("<tool_call>"), ..THINK };
const HUNYUAN: ThinkTags = ThinkTags { tool_start: Some("<tool_calls>"), ..THINK };
const MISTRAL: ThinkTags = ThinkTags { start: "[THINK]", end: "[/THINK]", tool_start: None };
const KIMI: ThinkTags = ThinkTags { start: "◁think▷", end: "◁/think▷", tool_start: None };
const KIMI_K2: ThinkTags = ThinkTags { tool_start: Some("<|tool_calls_section_begin|>"), ..THINK };

const fn parser(name: &'static str, kind: Kind, default: ReasoningDefault) -> ReasoningParser {
    ReasoningParser { name, kind, forced: None, force_by_default: false, trims_lines: false, default }
}

const fn forced_by_default(parser: ReasoningParser) -> ReasoningParser {
    ReasoningParser { force_by_default: true, ..parser }
}

const fn trims_lines(parser: ReasoningParser) -> ReasoningParser {
    ReasoningParser { trims_lines: true, ..parser }
}

const fn forced(parser: ReasoningParser, value: bool) -> ReasoningParser {
    ReasoningParser { forced: Some(value), ..parser }
}

/// Every parser of this crate, under each of the reference's names.
static PARSERS: &[ReasoningParser] = &[
    forced(parser("deepseek-r1", Kind::Think(THINK), ReasoningDefault::Always), true),
    forced(parser("step3", Kind::Think(THINK), ReasoningDefault::Always), true),
    forced(parser("step3p5", Kind::Think(THINK), ReasoningDefault::Always), true),
    forced(parser("gigachat35", Kind::Think(THINK), ReasoningDefault::Always), true),
    parser("qwen3", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    forced(parser("qwen3-thinking", Kind::Think(QWEN3), ReasoningDefault::EnableThinking), true),
    forced(parser("minimax", Kind::Think(QWEN3), ReasoningDefault::EnableThinking), true),
    parser("minimax-append-think", Kind::AppendThink, ReasoningDefault::Always),
    parser("glm45", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    parser("deepseek-v3", Kind::Think(QWEN3), ReasoningDefault::ExplicitThinking),
    parser("deepseek-v4", Kind::Think(THINK), ReasoningDefault::ExplicitThinking),
    parser("deepseek-v41", Kind::Think(THINK), ReasoningDefault::ExplicitThinking),
    parser("ling3", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    parser("nemotron_3", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    trims_lines(parser("granite_thinking_parser", Kind::Think(QWEN3), ReasoningDefault::EnableThinking)),
    parser("hunyuan", Kind::Think(HUNYUAN), ReasoningDefault::Always),
    forced_by_default(parser("iquest_q1", Kind::Think(THINK), ReasoningDefault::EnableThinking)),
    parser("mistral", Kind::Think(MISTRAL), ReasoningDefault::Effort),
    parser("dots", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    parser("interns1", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    parser("nanbeige", Kind::Think(QWEN3), ReasoningDefault::EnableThinking),
    parser("mimo", Kind::Think(QWEN3), ReasoningDefault::ExplicitEnableThinking),
    parser("poolside_v1", Kind::Think(QWEN3), ReasoningDefault::ExplicitEnableThinking),
    forced(parser("kimi", Kind::Think(KIMI), ReasoningDefault::Always), false),
    parser("kimi_k2", Kind::Think(KIMI_K2), ReasoningDefault::Thinking),
    forced(parser("gpt-oss", Kind::GptOss, ReasoningDefault::Always), true),
];

impl ReasoningParser {
    /// The parser with this `--reasoning-parser` name, ignoring case.
    pub fn by_name(name: &str) -> Option<Self> {
        PARSERS.iter().find(|p| p.name.eq_ignore_ascii_case(name)).copied()
    }

    /// Every name that [`by_name`](Self::by_name) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARSERS.iter().map(|p| p.name)
    }

    /// The name of this parser.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether a request thinks if its chat template does not say.
    pub fn reasoning_default(&self) -> ReasoningDefault {
        self.default
    }

    /// The tag that opens the thinking.
    pub fn think_start(&self) -> &'static str {
        match self.kind {
            Kind::Think(tags) => tags.start,
            Kind::GptOss => "<|channel|>analysis<|message|>",
            Kind::AppendThink => THINK.start,
        }
    }

    /// The tag that closes the thinking; a grammar applies only after it.
    pub fn think_end(&self) -> &'static str {
        match self.kind {
            Kind::Think(tags) => tags.end,
            Kind::GptOss => "<|end|>",
            Kind::AppendThink => THINK.end,
        }
    }

    /// Whether an answer with these options starts inside the thinking.
    pub fn starts_in_reasoning(&self, options: &ReasoningOptions) -> bool {
        let forced = self.forced.or(options.force_reasoning).unwrap_or(self.force_by_default);
        let previous = &options.previous_content;
        (forced || previous.contains(self.think_start())) && !previous.contains(self.think_end())
    }

    /// Splits a whole answer.
    pub fn parse(&self, full_text: &str, options: &ReasoningOptions) -> Delta {
        let mut stream = self.stream(&ReasoningOptions { force_nonempty_content: false, ..options.clone() });
        let mut all = stream.push(full_text);
        let end = stream.finish();
        all.reasoning.push_str(&end.reasoning);
        all.normal.push_str(&end.normal);
        if options.force_nonempty_content && all.normal.is_empty() {
            std::mem::swap(&mut all.reasoning, &mut all.normal);
        }
        all
    }

    /// Begins to split an answer that arrives in pieces.
    pub fn stream(&self, options: &ReasoningOptions) -> ReasoningStream {
        let machine = match self.kind {
            Kind::Think(tags) => {
                let closed = options.previous_content.contains(tags.end);
                Machine::Think(ThinkReasoning::new(tags, self.starts_in_reasoning(options), closed))
            }
            Kind::GptOss => Machine::GptOss(GptOssReasoning::new()),
            Kind::AppendThink => Machine::AppendThink { started: false },
        };
        ReasoningStream {
            machine,
            stream_reasoning: options.stream_reasoning,
            force_nonempty_content: options.force_nonempty_content,
            trims_lines: self.trims_lines,
            kept: String::new(),
            content_seen: false,
        }
    }
}

#[derive(Debug)]
enum Machine {
    Think(ThinkReasoning),
    GptOss(GptOssReasoning),
    AppendThink { started: bool },
}

/// Splits one answer as it arrives. However the text is cut, the pieces add up to the result of
/// [`ReasoningParser::parse`].
#[derive(Debug)]
pub struct ReasoningStream {
    machine: Machine,
    stream_reasoning: bool,
    force_nonempty_content: bool,
    trims_lines: bool,
    /// Thinking so far: not yet sent without `stream_reasoning`, kept for the end with `force_nonempty_content`.
    kept: String,
    content_seen: bool,
}

impl ReasoningStream {
    /// Takes the next piece of the answer.
    pub fn push(&mut self, delta: &str) -> Delta {
        let mut out = Delta::default();
        match &mut self.machine {
            Machine::Think(think) => delta.chars().for_each(|c| think.feed(c, &mut out)),
            Machine::GptOss(harmony) => delta.chars().for_each(|c| harmony.feed(c, &mut out)),
            Machine::AppendThink { started } => {
                if !std::mem::replace(started, true) {
                    out.normal.push_str(THINK.start);
                }
                out.normal.push_str(delta);
            }
        }
        self.deliver(out)
    }

    /// Ends the answer and emits what was held back. With `force_nonempty_content` an answer that was all thinking is
    /// repeated as text.
    pub fn finish(&mut self) -> Delta {
        let mut out = Delta::default();
        match &mut self.machine {
            Machine::Think(think) => think.finish(&mut out),
            Machine::GptOss(harmony) => harmony.finish(&mut out),
            Machine::AppendThink { started } => {
                if !std::mem::replace(started, true) {
                    out.normal.push_str(THINK.start);
                }
            }
        }
        let mut last = self.deliver(out);
        let kept = std::mem::take(&mut self.kept);
        if self.force_nonempty_content && !self.content_seen {
            return Delta { reasoning: String::new(), normal: kept };
        }
        if !self.stream_reasoning {
            last.reasoning = kept + &last.reasoning;
        }
        last
    }

    fn deliver(&mut self, mut out: Delta) -> Delta {
        let over = matches!(&self.machine, Machine::Think(think) if think.is_over());
        if self.trims_lines && over && !self.content_seen {
            let lines = out.normal.len() - out.normal.trim_start_matches('\n').len();
            out.normal.drain(..lines);
        }
        self.content_seen |= !out.normal.is_empty();
        if !self.stream_reasoning {
            self.kept.push_str(&out.reasoning);
            out.reasoning.clear();
            if self.content_seen {
                out.reasoning = std::mem::take(&mut self.kept);
            }
        } else if self.force_nonempty_content && !self.content_seen {
            self.kept.push_str(&out.reasoning);
        }
        out
    }
}

#[cfg(test)]
mod tests;
