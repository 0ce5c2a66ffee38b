//! Parsers for tool calls and reasoning: they split generated text into text, thinking and calls.
//!
//! Every parser is a state machine that reads one character at a time. So the result cannot depend on where a stream
//! was cut, and since the whole-text functions feed the same machines in one go, streamed and whole answers always
//! agree. Formats, names and results are those of the reference's `srt/function_call` and
//! `srt/parser/reasoning_parser.py`. Where the reference's streaming and whole-text code disagree, the whole-text code
//! is followed as far as a stream allows.

mod detect;
mod harmony;
mod json;
mod python_literal;
pub mod reasoning;
mod scan;
mod schema;
pub mod tools;

pub use detect::{DetectedParsers, ReasoningToggle, detect_parsers};
pub use reasoning::{Delta, ReasoningDefault, ReasoningOptions, ReasoningParser, ReasoningStream};
pub use tools::{
    ArgumentTags, Constraint, Function, Parsed, StreamItem, StructuralTag, Structure, StructureContent, Tool,
    ToolCallItem, ToolChoice, ToolParser, ToolParserOptions, ToolStream,
};
