//! The three protocols: how to write a request, and how to read an answer or a streamed piece of it.

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::request_args::RequestArgs;
use crate::workload::{Job, Prompt, PromptMode};

/// Protocol of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// POST /generate
    Sglang,
    /// POST /v1/completions
    Openai,
    /// POST /v1/chat/completions
    OpenaiChat,
}

/// The contents of an answer, or of one streamed piece.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Whether the piece contains new output.
    pub has_output: bool,
    /// Output tokens so far, if the server counts them.
    pub completion_tokens: Option<u64>,
    pub prompt_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    /// Whether the output is complete.
    pub finished: bool,
}

impl Backend {
    /// Path of the route that generates.
    pub fn path(self) -> &'static str {
        match self {
            Self::Sglang => "/generate",
            Self::Openai => "/v1/completions",
            Self::OpenaiChat => "/v1/chat/completions",
        }
    }

    /// The form of prompts if the user does not choose one.
    pub fn default_prompt_mode(self) -> PromptMode {
        if self == Self::OpenaiChat { PromptMode::Text } else { PromptMode::Ids }
    }

    /// Body of a request; the user's extra fields take precedence.
    pub fn body(self, job: &Job, model: &str, args: &RequestArgs) -> Value {
        let prompt = match &job.prompt {
            Prompt::Ids(ids) => json!(ids),
            Prompt::Text(text) => json!(text),
        };
        let stream = !args.disable_stream;
        let ignore_eos = !args.disable_ignore_eos;
        let mut body = match self {
            Self::Sglang => json!({
                "sampling_params": {
                    "temperature": args.temperature, "max_new_tokens": job.output_len, "ignore_eos": ignore_eos,
                },
                "stream": stream,
            }),
            Self::Openai | Self::OpenaiChat => json!({
                "model": model, "max_tokens": job.output_len, "temperature": args.temperature, "stream": stream,
                "ignore_eos": ignore_eos,
            }),
        };
        if let Value::Object(map) = &mut body {
            match (self, &job.prompt) {
                (Self::Sglang, Prompt::Ids(_)) => map.insert("input_ids".into(), prompt),
                (Self::Sglang, Prompt::Text(_)) => map.insert("text".into(), prompt),
                (Self::Openai, _) => map.insert("prompt".into(), prompt),
                (Self::OpenaiChat, _) => {
                    map.insert("messages".into(), json!([{ "role": "user", "content": prompt }]))
                }
            };
            if self != Self::Sglang && stream {
                map.insert("stream_options".into(), json!({ "include_usage": true }));
            }
            merge(map, args.extra_request_body.as_ref());
        }
        body
    }

    /// Reads an answer, or one event of it.
    ///
    /// # Errors
    /// The text to show if the data is not JSON of this protocol, or reports an error.
    pub fn read(self, data: &[u8]) -> Result<Piece, String> {
        let message: Message = serde_json::from_slice(data).map_err(|error| {
            format!("cannot understand {:?}: {error}", shorten(&String::from_utf8_lossy(data)))
        })?;
        if let Some(error) = message.error.filter(|e| !e.is_null()) {
            return Err(format!("server reported {}", shorten(&error.to_string())));
        }
        if message.object.as_deref() == Some("error") {
            return Err(format!("server reported {}", shorten(&String::from_utf8_lossy(data))));
        }
        match self {
            Self::Sglang => native_piece(message.meta_info.ok_or("the answer lacks meta_info")?),
            Self::Openai | Self::OpenaiChat => Ok(openai_piece(message.choices, message.usage)),
        }
    }
}

/// Adds the user's fields; objects such as `sampling_params` are merged field by field.
fn merge(body: &mut Map<String, Value>, extra: Option<&Map<String, Value>>) {
    for (key, value) in extra.into_iter().flatten() {
        match (body.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(fields)) => merge(inner, Some(fields)),
            _ => {
                body.insert(key.clone(), value.clone());
            }
        }
    }
}

/// At most 300 characters of `text`.
pub fn shorten(text: &str) -> String {
    const MOST: usize = 300;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

// Only the needed fields are deserialised: a cumulative stream repeats the whole text in every event.
#[derive(Deserialize)]
struct Message {
    error: Option<Value>,
    object: Option<String>,
    meta_info: Option<MetaInfo>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct MetaInfo {
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    finish_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    text: Option<String>,
    delta: Option<Delta>,
    message: Option<Delta>,
    finish_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

fn native_piece(meta: MetaInfo) -> Result<Piece, String> {
    let finish = meta.finish_reason.filter(|f| !f.is_null());
    if let Some(finish) = &finish
        && finish.get("type").and_then(Value::as_str) == Some("abort")
    {
        return Err(format!("aborted: {}", shorten(&finish.to_string())));
    }
    Ok(Piece {
        has_output: meta.completion_tokens > 0,
        completion_tokens: Some(meta.completion_tokens),
        prompt_tokens: meta.prompt_tokens,
        cached_tokens: meta.cached_tokens,
        finished: finish.is_some(),
    })
}

fn openai_piece(choices: Vec<Choice>, usage: Option<Usage>) -> Piece {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    let mut piece = Piece::default();
    for choice in &choices {
        piece.has_output |= filled(&choice.text);
        for delta in [&choice.delta, &choice.message].into_iter().flatten() {
            piece.has_output |= filled(&delta.content)
                || filled(&delta.reasoning_content)
                || delta.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
        }
        piece.finished |= choice.finish_reason.as_ref().is_some_and(|f| !f.is_null());
    }
    if let Some(usage) = usage {
        piece.completion_tokens = usage.completion_tokens;
        piece.prompt_tokens = usage.prompt_tokens;
        piece.cached_tokens = usage.prompt_tokens_details.and_then(|d| d.cached_tokens);
    }
    piece
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn request_args(extra: &[&str]) -> RequestArgs {
        let args = ["sglang-bench", "serving"].iter().chain(extra);
        match Cli::parse_from(args).command {
            Command::Serving(args) => args.request,
            other => panic!("{other:?}"),
        }
    }

    fn job(prompt: Prompt) -> Job {
        Job { prompt, prompt_len: 2, output_len: 9, arrival: 0.0 }
    }

    #[test]
    fn bodies_follow_each_protocol() {
        let args = request_args(&["--extra-request-body", r#"{"sampling_params":{"top_p":0.5},"x":1}"#]);
        let native = Backend::Sglang.body(&job(Prompt::Ids(vec![5, 6])), "", &args);
        assert_eq!(
            native,
            json!({"input_ids": [5, 6], "stream": true, "x": 1, "sampling_params":
                {"temperature": 0.0, "max_new_tokens": 9, "ignore_eos": true, "top_p": 0.5}})
        );
        let args = request_args(&["--disable-stream", "--disable-ignore-eos"]);
        let chat = Backend::OpenaiChat.body(&job(Prompt::Text("a b".into())), "m", &args);
        assert_eq!(chat["messages"][0]["content"], "a b");
        assert_eq!((&chat["stream"], &chat["ignore_eos"]), (&json!(false), &json!(false)));
        assert!(chat.get("stream_options").is_none());
        let openai = Backend::Openai.body(&job(Prompt::Ids(vec![7])), "m", &request_args(&[]));
        assert_eq!(openai["prompt"], json!([7]));
        assert_eq!(openai["stream_options"], json!({"include_usage": true}));
    }

    #[test]
    fn native_pieces_carry_counts_and_aborts_are_errors() {
        let piece = Backend::Sglang.read(
            br#"{"text":"","output_ids":[4],"meta_info":{"completion_tokens":3,"prompt_tokens":7,"cached_tokens":2,"finish_reason":{"type":"length","length":3}}}"#,
        );
        let expected = Piece {
            has_output: true,
            completion_tokens: Some(3),
            prompt_tokens: Some(7),
            cached_tokens: Some(2),
            finished: true,
        };
        assert_eq!(piece, Ok(expected));
        let aborted =
            br#"{"text":"","meta_info":{"finish_reason":{"type":"abort","message":"queue is full"}}}"#;
        assert!(Backend::Sglang.read(aborted).unwrap_err().contains("queue is full"));
        assert!(Backend::Sglang.read(b"{}").unwrap_err().contains("meta_info"));
        assert!(Backend::Sglang.read(b"<html>").unwrap_err().contains("<html>"));
    }

    #[test]
    fn openai_pieces_tell_output_from_role_and_usage() {
        let read = |text: &str| Backend::OpenaiChat.read(text.as_bytes()).unwrap();
        assert!(!read(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).has_output);
        assert!(read(r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}]}"#).has_output);
        assert!(read(r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#).has_output);
        assert!(read(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).finished);
        let usage = read(
            r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}}"#,
        );
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
            (Some(4), Some(5), Some(1))
        );
        assert!(Backend::Openai.read(br#"{"error":{"message":"no"}}"#).unwrap_err().contains("no"));
        assert!(Backend::Openai.read(br#"{"object":"error","message":"bad"}"#).unwrap_err().contains("bad"));
    }
}
