//! The table of tool-call parsers, by name.

use super::call_id::{kimi_k2_call_id, random_call_id};
use super::deepseek::{self, DeepSeek};
use super::dialects::{
    DEEPSEEK_V4, DEEPSEEK_V32, DEEPSEEK_V41, DOTS, GIGACHAT35, GLM47, HUNYUAN, IQUEST_Q1, MIMO, MINICPM5,
    MINIMAX_M2, POOLSIDE, SPARK25, STEP3,
};
use super::gigachat3::{self, GigaChat3};
use super::glm45::{self, Glm45};
use super::gpt_oss::GptOss;
use super::json_array::JsonArray;
use super::kimi_k2::{self, KimiK2};
use super::lfm2::{self, Lfm2};
use super::llama3::{self, Llama3};
use super::mistral::{self, Mistral};
use super::pythonic::Pythonic;
use super::qwen3_coder::{self, Qwen3Coder};
use super::sink::{After, Before, Event, Sink};
use super::stream::{Format, IndexOf, ToolStream, collect};
use super::tagged_args::{Dialect, TaggedArguments};
use super::tagged_json::TaggedJson;
use super::trinity::Trinity;
use super::types::{Parsed, Tool};

/// The formats of this crate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ToolFormat {
    Qwen25,
    Hermes,
    Llama3,
    Mistral,
    Pythonic,
    DeepSeekV3,
    DeepSeekV31,
    Qwen3Coder,
    Glm45,
    KimiK2,
    GptOss,
    JsonArray,
    InternS1,
    Cohere,
    Trinity,
    GigaChat3,
    Lfm2,
    /// Tags around names and arguments.
    Tagged(&'static Dialect),
}

/// A tool-call parser, chosen by its `--tool-call-parser` name.
#[derive(Debug, Clone, Copy)]
pub struct ToolParser {
    name: &'static str,
    format: ToolFormat,
}

/// Two parsers with the same name are equal: a name stands for one format.
impl PartialEq for ToolParser {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ToolParser {}

/// Server-wide settings for tool calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToolParserOptions {
    /// Pass on calls of functions that the request does not list (`SGLANG_FORWARD_UNKNOWN_TOOLS`).
    pub forward_unknown_tools: bool,
}

const fn parser(name: &'static str, format: ToolFormat) -> ToolParser {
    ToolParser { name, format }
}

/// Every parser, under each of the reference's names.
static PARSERS: &[ToolParser] = &[
    parser("qwen", ToolFormat::Qwen25),
    parser("qwen25", ToolFormat::Qwen25),
    parser("hermes", ToolFormat::Hermes),
    parser("llama3", ToolFormat::Llama3),
    parser("mistral", ToolFormat::Mistral),
    parser("pythonic", ToolFormat::Pythonic),
    parser("deepseekv3", ToolFormat::DeepSeekV3),
    parser("deepseekv31", ToolFormat::DeepSeekV31),
    parser("qwen3_coder", ToolFormat::Qwen3Coder),
    parser("step3p5", ToolFormat::Qwen3Coder),
    parser("nanbeige", ToolFormat::Qwen3Coder),
    parser("glm", ToolFormat::Glm45),
    parser("glm45", ToolFormat::Glm45),
    parser("kimi_k2", ToolFormat::KimiK2),
    parser("gpt-oss", ToolFormat::GptOss),
    parser("ling3", ToolFormat::Glm45),
    parser("interns1", ToolFormat::InternS1),
    parser("cohere_command4", ToolFormat::Cohere),
    parser("trinity", ToolFormat::Trinity),
    parser("gigachat3", ToolFormat::GigaChat3),
    parser("lfm2", ToolFormat::Lfm2),
    parser("minimax-m2", ToolFormat::Tagged(&MINIMAX_M2)),
    parser("step3", ToolFormat::Tagged(&STEP3)),
    parser("dots", ToolFormat::Tagged(&DOTS)),
    parser("deepseekv32", ToolFormat::Tagged(&DEEPSEEK_V32)),
    parser("deepseekv4", ToolFormat::Tagged(&DEEPSEEK_V4)),
    parser("deepseekv41", ToolFormat::Tagged(&DEEPSEEK_V41)),
    parser("gigachat35", ToolFormat::Tagged(&GIGACHAT35)),
    parser("mimo", ToolFormat::Tagged(&MIMO)),
    parser("hunyuan", ToolFormat::Tagged(&HUNYUAN)),
    parser("glm47", ToolFormat::Tagged(&GLM47)),
    parser("poolside_v1", ToolFormat::Tagged(&POOLSIDE)),
    parser("spark25", ToolFormat::Tagged(&SPARK25)),
    parser("iquest_q1", ToolFormat::Tagged(&IQUEST_Q1)),
    parser("minicpm5", ToolFormat::Tagged(&MINICPM5)),
];

impl ToolParser {
    /// The parser with this `--tool-call-parser` name. `auto` is not a parser: see
    /// [`detect_parsers`](crate::detect_parsers).
    pub fn by_name(name: &str) -> Option<Self> {
        PARSERS.iter().find(|p| p.name == name).copied()
    }

    /// Every name that [`by_name`](Self::by_name) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARSERS.iter().map(|p| p.name)
    }

    /// The parser for an answer that a grammar forced into `[{"name": …, "parameters": …}, …]`; use it with
    /// [`Constraint::JsonSchema`](super::Constraint::JsonSchema).
    pub fn json_array() -> Self {
        parser("json_array", ToolFormat::JsonArray)
    }

    /// The name of this parser.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name that the server reports: `qwen25` is an old name of `qwen`.
    pub fn reported_name(&self) -> &'static str {
        if matches!(self.format, ToolFormat::Qwen25) { "qwen" } else { self.name }
    }

    pub(crate) fn format(&self) -> ToolFormat {
        self.format
    }

    /// Whether the text contains a call in this format, complete or not.
    pub fn has_tool_call(&self, text: &str) -> bool {
        match self.format {
            ToolFormat::Qwen25 => text.contains(TaggedJson::QWEN_OPEN),
            ToolFormat::Hermes => text.contains(TaggedJson::HERMES_OPEN),
            ToolFormat::Llama3 => text.contains(llama3::PYTHON_TAG) || text.starts_with('{'),
            ToolFormat::Mistral => text.contains(mistral::MARKER),
            ToolFormat::DeepSeekV3 | ToolFormat::DeepSeekV31 => text.contains(deepseek::CALLS_BEGIN),
            ToolFormat::Qwen3Coder => text.contains(qwen3_coder::OPEN),
            ToolFormat::Glm45 => text.contains(glm45::OPEN),
            ToolFormat::KimiK2 => text.contains(kimi_k2::SECTION_BEGIN),
            ToolFormat::JsonArray => text.contains(['[', '{']),
            ToolFormat::InternS1 => text.contains(TaggedJson::INTERN_OPEN),
            ToolFormat::Cohere => text.contains(TaggedJson::COHERE_OPEN),
            ToolFormat::GigaChat3 => gigachat3::OPENINGS.iter().any(|opening| text.contains(opening)),
            ToolFormat::Lfm2 => text.contains(lfm2::OPEN),
            ToolFormat::Tagged(dialect) => dialect.text.iter().any(|opening| text.contains(opening)),
            // No single marker decides, so look for a call.
            ToolFormat::Pythonic | ToolFormat::GptOss | ToolFormat::Trinity => {
                let mut stream = self.stream_of(&[], ToolParserOptions { forward_unknown_tools: true });
                let mut events = stream.push_events(text);
                events.extend(stream.finish_events());
                events.iter().any(|event| matches!(event, Event::CallStart { .. }))
            }
        }
    }

    /// Splits a whole answer into text and calls. Calls that are incomplete, whose arguments are not JSON or whose
    /// function the request does not list are left out. Without tools everything is text.
    pub fn parse(&self, text: &str, tools: &[Tool], options: ToolParserOptions) -> Parsed {
        let mut stream = self.stream(tools, options);
        let mut events = stream.push_events(text);
        events.extend(stream.finish_events());
        let index_of = match self.format {
            ToolFormat::Qwen3Coder | ToolFormat::KimiK2 | ToolFormat::GptOss | ToolFormat::JsonArray => {
                IndexOf::Call
            }
            ToolFormat::Tagged(dialect) if dialect.counts_calls => IndexOf::Call,
            _ => IndexOf::Tool,
        };
        collect(events, index_of)
    }

    /// Begins to split an answer that arrives in pieces.
    pub fn stream(&self, tools: &[Tool], options: ToolParserOptions) -> ToolStream {
        if tools.is_empty() {
            let sink = Sink::new(tools, options.forward_unknown_tools, Before::Keep, After::Keep);
            return ToolStream::new(None, sink);
        }
        self.stream_of(tools, options)
    }

    fn stream_of(&self, tools: &[Tool], options: ToolParserOptions) -> ToolStream {
        let (format, before, after): (Box<dyn Format>, _, _) = match self.format {
            ToolFormat::Qwen25 => (Box::new(TaggedJson::qwen()), Before::Trim, After::Drop),
            ToolFormat::Hermes => (Box::new(TaggedJson::hermes()), Before::Trim, After::Drop),
            ToolFormat::Llama3 => (Box::new(Llama3::new()), Before::Keep, After::Trim),
            ToolFormat::Mistral => (Box::new(Mistral::new()), Before::Trim, After::Join),
            ToolFormat::Pythonic => (Box::new(Pythonic::new()), Before::KeepUnlessBlank, After::Keep),
            ToolFormat::DeepSeekV3 => (Box::new(DeepSeek::v3()), Before::Trim, After::Drop),
            ToolFormat::DeepSeekV31 => (Box::new(DeepSeek::v31()), Before::Trim, After::Drop),
            ToolFormat::Qwen3Coder => (Box::new(Qwen3Coder::new()), Before::Keep, After::Drop),
            ToolFormat::Glm45 => (Box::new(Glm45::new()), Before::Trim, After::Drop),
            ToolFormat::KimiK2 => (Box::new(KimiK2::new()), Before::Keep, After::Drop),
            ToolFormat::GptOss => (Box::new(GptOss::new()), Before::Trim, After::Join),
            ToolFormat::JsonArray => (Box::new(JsonArray::new()), Before::Trim, After::Drop),
            ToolFormat::InternS1 => (Box::new(TaggedJson::intern()), Before::Trim, After::Drop),
            ToolFormat::Cohere => (Box::new(TaggedJson::cohere()), Before::Keep, After::Drop),
            ToolFormat::Trinity => (Box::new(Trinity::new()), Before::Trim, After::Drop),
            ToolFormat::GigaChat3 => (Box::new(GigaChat3::new()), Before::Keep, After::Drop),
            ToolFormat::Lfm2 => (Box::new(Lfm2::new()), Before::Trim, After::Drop),
            ToolFormat::Tagged(dialect) => {
                (Box::new(TaggedArguments::new(dialect)), dialect.before, dialect.behind)
            }
        };
        ToolStream::new(Some(format), Sink::new(tools, options.forward_unknown_tools, before, after))
    }

    /// A new id for a call. `index` is the position of the call in the answer, `history` the number of earlier calls in
    /// the conversation; only `kimi_k2` uses them.
    pub fn call_id(&self, name: &str, index: usize, history: usize) -> String {
        match self.format {
            ToolFormat::KimiK2 => kimi_k2_call_id(name, history + index),
            _ => random_call_id(),
        }
    }
}
