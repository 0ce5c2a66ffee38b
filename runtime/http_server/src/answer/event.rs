//! What happens to an answer, whatever dialect tells of it.

use serde::Serialize;
use sglang_proto::messages::FinishReason;

/// The function that a call names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionCall {
    /// The function; null in the later pieces of a stream.
    pub name: Option<String>,
    /// The arguments as JSON text, or the next piece of it.
    pub arguments: String,
}

/// One entry of `tool_calls`, or a piece of one in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// Its id; null in the later pieces of a stream.
    pub id: Option<String>,
    /// Its place in the answer.
    pub index: usize,
    /// Always `function`.
    pub r#type: &'static str,
    /// What is called.
    pub function: FunctionCall,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Why.
    pub reason: FinishReason,
    /// `finish_reason` of a chat completion: the reason's word, or `tool_calls` for a stop behind a complete call.
    pub finish_word: &'static str,
    /// The hidden state behind the last token, where it is wanted.
    pub hidden_states: Option<Vec<f32>>,
}

/// What happens to one answer. `Started` comes first, `End` last, each once.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first output has come.
    Started,
    /// More reasoning.
    Reasoning(String),
    /// More text for the reader.
    Text(String),
    /// A call begins (a name and no arguments), or its arguments go on.
    Call(ToolCall),
    /// Nothing more will come.
    End(End),
}
