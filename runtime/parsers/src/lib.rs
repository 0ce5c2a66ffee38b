//! What a model wrote, taken apart: tool calls and reasoning out of generated text. Pure text in, structure out.
//!
//! Every parser here is a machine that reads one character at a time, so what a stream yields cannot depend on where
//! it was cut, and the whole-text functions are the same machines fed in one go: a streamed answer and a plain one
//! always agree. Formats, names and results are those of the reference's `srt/function_call` and
//! `srt/parser/reasoning_parser.py`; where its streaming and its whole-text code disagree, the whole-text code is
//! followed as far as a stream can know it.

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
