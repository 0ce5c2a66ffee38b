//! Input and output types of the tool-call parsers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool of a request, in OpenAI's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Always `function`.
    #[serde(default = "function_type")]
    pub r#type: String,
    /// The function that can be called.
    pub function: Function,
}

/// The function of a [`Tool`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The name that a call must use.
    pub name: String,
    /// A description for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON schema of the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Whether arguments must follow the schema exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

fn function_type() -> String {
    "function".to_owned()
}

/// Which tools an answer must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// At least one tool must be called.
    Required,
    /// This tool must be called.
    Named(String),
}

/// A call, or a piece of a streamed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallItem {
    /// In a stream: the index of the call in the answer, from 0. In a whole-text result: what the reference reports,
    /// for most formats the index of the tool in the request (-1: none of them), and for `pythonic`, `qwen3_coder`,
    /// `kimi_k2` and `gpt-oss` the index of the call.
    pub tool_index: i32,
    /// The name of the function; `None` in the later pieces of a streamed call.
    pub name: Option<String>,
    /// The arguments as JSON text, or the next piece of it.
    pub parameters: String,
}

/// A whole answer, split into text and calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// The text around the calls.
    pub normal_text: String,
    /// The complete calls, in order.
    pub calls: Vec<ToolCallItem>,
}

/// One item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// Text for the user.
    Text(String),
    /// A call begins (name, no arguments) or continues (no name).
    Call(ToolCallItem),
}
