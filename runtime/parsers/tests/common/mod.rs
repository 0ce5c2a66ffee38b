//! Loads fixtures and reassembles streams.
// Each test file uses only some of these helpers; a helper that panics fails its test.
#![allow(dead_code, clippy::unwrap_used)]

pub mod calls;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sglang_parsers::{
    Delta, Parsed, ReasoningOptions, ReasoningParser, StreamItem, Tool, ToolCallItem, ToolParser,
    ToolParserOptions,
};

#[derive(Debug, Deserialize)]
pub struct Fixture<T> {
    #[serde(default)]
    pub tools: Vec<Tool>,
    pub cases: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub struct ToolCase {
    pub parser: String,
    pub text: String,
    pub normal_text: String,
    pub calls: Vec<ToolCallItem>,
}

#[derive(Debug, Deserialize)]
pub struct ReasoningCase {
    pub parser: String,
    pub force_reasoning: Option<bool>,
    pub text: String,
    pub reasoning: String,
    pub normal: String,
}

pub fn fixture<T: DeserializeOwned>(name: &str) -> Fixture<T> {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn tool_fixture() -> Fixture<ToolCase> {
    fixture("tools")
}

/// Names and arguments, in order.
pub type Calls = Vec<(String, String)>;

pub fn call_list(parsed: &Parsed) -> Calls {
    parsed.calls.iter().map(|c| (c.name.clone().unwrap(), c.parameters.clone())).collect()
}

/// Feeds the pieces, asserts the invariants of streams, and returns the text and the complete calls.
pub fn stream_tools(parser: ToolParser, tools: &[Tool], pieces: &[&str]) -> (String, Calls) {
    let mut stream = parser.stream(tools, ToolParserOptions::default());
    let mut items = Vec::new();
    for piece in pieces {
        items.extend(stream.push(piece));
    }
    items.extend(stream.finish());
    let (mut text, mut calls) = (String::new(), Calls::new());
    for item in items {
        match item {
            StreamItem::Text(piece) => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
            }
            StreamItem::Call(ToolCallItem { tool_index, name: Some(name), parameters }) => {
                assert_eq!(usize::try_from(tool_index), Ok(calls.len()), "calls are numbered in order");
                assert_eq!(parameters, "", "a name comes without arguments");
                calls.push((name, String::new()));
            }
            StreamItem::Call(ToolCallItem { tool_index, name: None, parameters }) => {
                assert_eq!(
                    usize::try_from(tool_index),
                    Ok(calls.len() - 1),
                    "arguments belong to the last call"
                );
                let arguments = &mut calls.last_mut().unwrap().1;
                arguments.push_str(&parameters);
                assert!(is_json_prefix(arguments), "{arguments:?} is no prefix of JSON");
            }
        }
    }
    let incomplete = stream.incomplete_calls();
    let complete: Calls = calls
        .into_iter()
        .enumerate()
        .filter(|(i, _)| !incomplete.iter().any(|n| usize::try_from(*n) == Ok(*i)))
        .map(|(_, call)| call)
        .collect();
    for (_, arguments) in &complete {
        serde_json::from_str::<serde::de::IgnoredAny>(arguments).unwrap();
    }
    (text, complete)
}

/// Whether `text` is JSON or only lacks its end.
fn is_json_prefix(text: &str) -> bool {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => {
            // An unfinished number is not valid JSON yet.
            let unfinished = ["surrogate", "invalid number"];
            error.is_eof() || unfinished.iter().any(|what| error.to_string().contains(what))
        }
    }
}

pub fn stream_reasoning(parser: ReasoningParser, options: &ReasoningOptions, pieces: &[&str]) -> Delta {
    let mut stream = parser.stream(options);
    let mut all = Delta::default();
    for piece in pieces {
        let delta = stream.push(piece);
        all.reasoning.push_str(&delta.reasoning);
        all.normal.push_str(&delta.normal);
    }
    let end = stream.finish();
    all.reasoning.push_str(&end.reasoning);
    all.normal.push_str(&end.normal);
    all
}
