//! Splits a chat answer into reasoning, text and tool calls. Streamed and whole answers use the same parsers.

use serde_json::{Map, Value};
use sglang_parsers::{
    ReasoningOptions, ReasoningParser, ReasoningStream, StreamItem, Tool, ToolCallItem, ToolParser,
    ToolParserOptions, ToolStream,
};
use sglang_proto::messages::FinishReason;

use super::choice::{finish_word, matched_stop};
use super::event::{Event, FunctionCall, ToolCall};
use crate::chat::fields::ToolChoice;
use crate::chat::request::ChatCompletionRequest;
use crate::chat::tool_constraint;
use crate::parsers::Parsers;

/// The parts of a whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Text of the answer proper.
    pub content: String,
    /// Reasoning, if there was any.
    pub reasoning_content: Option<String>,
    /// The calls. If a call is cut off or broken, its arguments are only the beginning of a JSON object.
    pub tool_calls: Vec<ToolCall>,
    /// `finish_reason`.
    pub finish_reason: Option<&'static str>,
    /// `matched_stop`.
    pub matched_stop: Option<Value>,
}

#[derive(Clone, Debug)]
struct ToolRules {
    /// The parser for the calls of this answer.
    parser: ToolParser,
    /// The server's parser, which determines the calls' ids.
    server_parser: ToolParser,
    tools: Vec<Tool>,
    options: ToolParserOptions,
    /// Whether an answer may have more than one call.
    parallel: bool,
    /// Number of calls in the conversation so far.
    history: usize,
}

/// How to parse the answers to one request.
#[derive(Clone, Debug, Default)]
pub struct AnswerFormat {
    reasoning: Option<(ReasoningParser, ReasoningOptions)>,
    tools: Option<ToolRules>,
}

impl AnswerFormat {
    /// The format of the answers to `request`. `defaults` are template arguments that the server adds.
    pub fn new(
        parsers: &Parsers,
        request: &ChatCompletionRequest,
        defaults: Option<&Map<String, Value>>,
    ) -> Self {
        let reasoning = parsers.reasoning.filter(|_| request.separate_reasoning).map(|parser| {
            let nonempty = request.chat_template_kwargs.get("force_nonempty_content");
            let mut previous_content = request.continued_text().unwrap_or_default();
            if request.reasoning_is_over {
                previous_content.push_str(parser.think_end());
            }
            let options = ReasoningOptions {
                force_reasoning: Some(parsers.thinks(request, defaults)),
                stream_reasoning: request.stream_reasoning,
                previous_content,
                force_nonempty_content: nonempty == Some(&Value::Bool(true)),
            };
            (parser, options)
        });
        let rules = |parser| {
            let calls = |m: &Value| m.get("tool_calls").and_then(Value::as_array).map_or(0, Vec::len);
            let tools = tool_constraint::effective_tools(request);
            ToolRules {
                parser: tool_constraint::answer_parser(parser, &tools, request),
                server_parser: parser,
                tools,
                options: parsers.tool_options,
                parallel: request.parallel_tool_calls,
                history: request.messages.iter().filter(|m| m["role"] == "assistant").map(calls).sum(),
            }
        };
        let active = parsers.tool_call.filter(|_| request.tool_choice != ToolChoice::None);
        Self { reasoning, tools: active.map(rules).filter(|rules| !rules.tools.is_empty()) }
    }

    /// Parses a whole answer.
    pub fn parse(&self, text: &str, reason: Option<&FinishReason>) -> Answer {
        let mut answer = Answer {
            content: String::new(),
            reasoning_content: None,
            tool_calls: Vec::new(),
            finish_reason: reason.map(finish_word),
            matched_stop: reason.and_then(matched_stop),
        };
        answer.content = match &self.reasoning {
            None => text.to_owned(),
            Some((parser, options)) => {
                let parts = parser.parse(text, options);
                answer.reasoning_content = Some(parts.reasoning).filter(|r| !r.is_empty());
                parts.normal
            }
        };
        let Some(rules) = &self.tools else { return answer };
        // Uses the parser for streams, so that cut-off and broken calls look the same in both forms.
        let mut stream = rules.stream();
        let text = std::mem::take(&mut answer.content);
        let mut pieces = stream.push(&text);
        pieces.extend(stream.finish());
        for piece in pieces {
            match piece {
                Event::Text(text) => answer.content.push_str(&text),
                Event::Call(call) if call.function.name.is_some() => answer.tool_calls.push(call),
                Event::Call(more) => {
                    if let Some(call) = answer.tool_calls.last_mut() {
                        call.function.arguments.push_str(&more.function.arguments);
                    }
                }
                Event::Started | Event::Reasoning(_) | Event::End(_) => {}
            }
        }
        if let Some(reason) = reason {
            answer.finish_reason = Some(stream.finish_word(reason));
        }
        if answer.finish_reason == Some("tool_calls") {
            answer.matched_stop = None;
        }
        answer
    }

    /// The events that a stream of this whole answer would have, without its start and end; and the indices of calls
    /// that stay incomplete.
    pub fn events(&self, text: &str) -> (Vec<Event>, Vec<usize>) {
        let mut answer = self.stream();
        let mut events = answer.push(text);
        events.append(&mut answer.finish());
        (events, answer.cut_calls())
    }

    /// A parser for one answer that arrives in pieces.
    pub fn stream(&self) -> AnswerStream {
        AnswerStream {
            reasoning: self.reasoning.as_ref().map(|(parser, options)| parser.stream(options)),
            tools: self.tools.as_ref().map(ToolRules::stream),
        }
    }
}

impl ToolRules {
    fn stream(&self) -> CallStream {
        CallStream { stream: self.parser.stream(&self.tools, self.options), rules: self.clone() }
    }

    fn call(&self, index: usize, item: ToolCallItem) -> ToolCall {
        ToolCall {
            id: item.name.as_deref().map(|name| self.server_parser.call_id(name, index, self.history)),
            index,
            r#type: "function",
            function: FunctionCall { name: item.name, arguments: item.parameters },
        }
    }
}

/// Splits an answer without its reasoning into text and calls.
struct CallStream {
    rules: ToolRules,
    stream: ToolStream,
}

impl CallStream {
    fn push(&mut self, text: &str) -> Vec<Event> {
        let items = self.stream.push(text);
        self.pieces(items)
    }

    fn finish(&mut self) -> Vec<Event> {
        let items = self.stream.finish();
        self.pieces(items)
    }

    fn pieces(&self, items: Vec<StreamItem>) -> Vec<Event> {
        let mut pieces = Vec::new();
        for item in items {
            match item {
                StreamItem::Text(text) => add(&mut pieces, Event::Text(text)),
                StreamItem::Call(item) => {
                    let index = usize::try_from(item.tool_index).unwrap_or_default();
                    if index < self.limit() {
                        add(&mut pieces, Event::Call(self.rules.call(index, item)));
                    }
                }
            }
        }
        pieces
    }

    /// The most calls that the answer may have.
    fn limit(&self) -> usize {
        if self.rules.parallel { usize::MAX } else { 1 }
    }

    fn is_cut(&self, index: usize) -> bool {
        let cut = |call: &i32| usize::try_from(*call) == Ok(index);
        self.stream.incomplete_calls().iter().any(cut)
    }

    /// `finish_reason` of the finished answer: `tool_calls` instead of a stop if it has a complete call.
    fn finish_word(&self, reason: &FinishReason) -> &'static str {
        let called = (0..self.stream.calls().min(self.limit())).any(|index| !self.is_cut(index));
        match reason {
            FinishReason::Stop { .. } if called => "tool_calls",
            _ => finish_word(reason),
        }
    }
}

/// The parser of one streamed choice.
pub struct AnswerStream {
    reasoning: Option<ReasoningStream>,
    tools: Option<CallStream>,
}

impl AnswerStream {
    /// Parses the next piece of text.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        let mut events = Vec::new();
        match &mut self.reasoning {
            None => self.normal(&mut events, text),
            Some(stream) => {
                let delta = stream.push(text);
                add(&mut events, Event::Reasoning(delta.reasoning));
                self.normal(&mut events, &delta.normal);
            }
        }
        events
    }

    /// Ends the answer and returns what was held back.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(stream) = &mut self.reasoning {
            let delta = stream.finish();
            add(&mut events, Event::Reasoning(delta.reasoning));
            self.normal(&mut events, &delta.normal);
        }
        if let Some(calls) = &mut self.tools {
            calls.finish().into_iter().for_each(|event| add(&mut events, event));
        }
        events
    }

    fn normal(&mut self, events: &mut Vec<Event>, text: &str) {
        match &mut self.tools {
            None => add(events, Event::Text(text.to_owned())),
            Some(calls) => calls.push(text).into_iter().for_each(|event| add(events, event)),
        }
    }

    /// Indices of calls that stay incomplete. For the last call this is known only when the answer has ended.
    pub fn cut_calls(&self) -> Vec<usize> {
        let cut = self.tools.as_ref().map(|calls| calls.stream.incomplete_calls()).unwrap_or_default();
        cut.iter().filter_map(|call| usize::try_from(*call).ok()).collect()
    }

    /// `finish_reason` of the finished answer.
    pub fn finish_word(&self, reason: &FinishReason) -> &'static str {
        self.tools.as_ref().map_or_else(|| finish_word(reason), |calls| calls.finish_word(reason))
    }
}

/// Adds a piece, or joins it to the last one if both are of the same kind.
fn add(pieces: &mut Vec<Event>, piece: Event) {
    match (pieces.last_mut(), piece) {
        (_, Event::Reasoning(text) | Event::Text(text)) if text.is_empty() => {}
        (Some(Event::Reasoning(last)), Event::Reasoning(text))
        | (Some(Event::Text(last)), Event::Text(text)) => last.push_str(&text),
        // The piece with the name stays without arguments, so that clients see the name at once.
        (Some(Event::Call(last)), Event::Call(next))
            if last.index == next.index && last.id.is_none() && next.id.is_none() =>
        {
            last.function.arguments.push_str(&next.function.arguments);
        }
        (_, piece) => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests;
