//! Tool-call parsers: they find the calls that a model wrote in its own format, and the text around them.

mod argument_reader;
mod argument_tags;
mod arguments_gate;
mod call_id;
mod call_json;
mod deepseek;
mod dialects;
mod gigachat3;
mod glm45;
mod gpt_oss;
mod json_array;
mod kimi_k2;
mod lfm2;
mod llama3;
mod mistral;
mod parser;
mod python_grammar;
mod pythonic;
mod qwen3_coder;
mod sink;
mod stream;
mod structural_tag;
mod tag_format;
mod tagged_args;
mod tagged_json;
mod tagged_values;
mod trinity;
mod types;
mod value_reader;
mod values;

pub use argument_tags::ArgumentTags;
pub use parser::{ToolParser, ToolParserOptions};
pub use stream::ToolStream;
pub use structural_tag::{Constraint, StructuralTag, Structure, StructureContent};
pub use types::{Function, Parsed, StreamItem, Tool, ToolCallItem, ToolChoice};

#[cfg(test)]
mod tests;
