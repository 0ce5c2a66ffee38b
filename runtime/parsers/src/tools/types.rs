//! What goes into a tool-call parser and what comes out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool of a request, in the OpenAI shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Always `function` so far.
    #[serde(default = "function_type")]
    pub r#type: String,
    /// The function that may be called.
    pub function: Function,
}

/// The function of a [`Tool`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The name that a call must use.
    pub name: String,
    /// For the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON schema of the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Arguments must follow the schema exactly.
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
    /// At least one of them.
    Required,
    /// This one.
    Named(String),
}

/// A call, or a piece of one in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallItem {
    /// In a stream: the place of the call in the answer, from 0. In a whole-text result: what the reference reports,
    /// which for most formats is the place of the tool in the request (-1: none of them) and for `pythonic`,
    /// `qwen3_coder`, `kimi_k2` and `gpt-oss` the place of the call.
    pub tool_index: i32,
    /// The function; `None` on the later pieces of a streamed call.
    pub name: Option<String>,
    /// The arguments as JSON text, or the next piece of it.
    pub parameters: String,
}

/// A whole answer, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// The text around the calls.
    pub normal_text: String,
    /// The complete calls, in order.
    pub calls: Vec<ToolCallItem>,
}

/// One thing that a stream yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// Text for the reader.
    Text(String),
    /// A call begins (a name and no arguments) or goes on (no name).
    Call(ToolCallItem),
}
