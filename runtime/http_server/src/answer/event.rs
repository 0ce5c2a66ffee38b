//! The events of an answer. They are the same for every dialect.

use serde::Serialize;
use sglang_proto::messages::FinishReason;

/// The function that the model calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionCall {
    /// The function's name; null in later pieces of a stream.
    pub name: Option<String>,
    /// The arguments as JSON text, or the next piece of it.
    pub arguments: String,
}

/// One entry of `tool_calls`, or a piece of one in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolCall {
    /// Id of the call; null in later pieces of a stream.
    pub id: Option<String>,
    /// Position of the call among the calls of the answer.
    pub index: usize,
    /// Always `function`.
    pub r#type: &'static str,
    /// The called function.
    pub function: FunctionCall,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The reason.
    pub reason: FinishReason,
    /// `finish_reason` of a chat completion: the reason's word, or `tool_calls` if the answer stopped after a complete
    /// call.
    pub finish_word: &'static str,
    /// The hidden state of the last token, if the request asks for it.
    pub hidden_states: Option<Vec<f32>>,
}

/// An event of one answer. `Started` comes first and `End` last, each exactly once.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first output has arrived.
    Started,
    /// More reasoning.
    Reasoning(String),
    /// More text of the answer proper.
    Text(String),
    /// A call begins (a name and no arguments), or its arguments continue.
    Call(ToolCall),
    /// The answer is complete; no event follows.
    End(End),
}
