//! What the Ollama routes answer.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::state::Counts;

/// The time of an answer: UTC, to the millisecond.
pub fn timestamp(now: OffsetDateTime) -> String {
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        now.date(),
        now.hour(),
        now.minute(),
        now.second(),
        now.millisecond()
    )
}

/// The time of an answer that is made now.
pub fn now() -> String {
    timestamp(OffsetDateTime::now_utc())
}

/// Which of the two generating routes answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate,
}

/// The part of an answer that holds the text.
#[derive(Serialize)]
#[serde(untagged)]
enum Text {
    Chat { message: Message },
    Generate { response: String },
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: String,
    images: Option<Value>,
}

impl Route {
    fn text(self, text: String) -> Text {
        match self {
            Self::Chat => Text::Chat { message: Message { role: "assistant", content: text, images: None } },
            Self::Generate => Text::Generate { response: text },
        }
    }
}

/// One line of a stream.
#[derive(Serialize)]
pub struct Line<'a> {
    model: &'a str,
    created_at: String,
    #[serde(flatten)]
    text: Text,
    done: bool,
    done_reason: Option<&'static str>,
}

impl<'a> Line<'a> {
    /// New text.
    pub fn piece(route: Route, model: &'a str, text: String) -> Self {
        Self { model, created_at: now(), text: route.text(text), done: false, done_reason: None }
    }

    /// The end.
    pub fn end(route: Route, model: &'a str) -> Self {
        let text = route.text(String::new());
        Self { model, created_at: now(), text, done: true, done_reason: Some("stop") }
    }
}

/// A whole answer. Durations are in nanoseconds.
#[derive(Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    total_duration: Option<u64>,
    load_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
    prompt_eval_duration: Option<u64>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
}

impl<'a> Answer<'a> {
    /// An answer with this text; without counts one that took no work.
    pub fn new(route: Route, model: &'a str, text: String, work: Option<(u64, Counts)>) -> Self {
        let line = Line { text: route.text(text), ..Line::end(route, model) };
        Self {
            line,
            // Only this route has the key, and its value was given up by Ollama itself.
            context: (route == Route::Generate).then_some(Value::Null),
            total_duration: work.map(|(nanoseconds, _)| nanoseconds),
            load_duration: None,
            prompt_eval_count: work.map(|(_, counts)| counts.prompt_tokens),
            prompt_eval_duration: None,
            eval_count: work.map(|(_, counts)| counts.completion_tokens),
            eval_duration: None,
        }
    }
}

fn last_step(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The answer of `/api/tags`.
pub fn tags(model: &str) -> Value {
    json!({"models": [{
        "name": model,
        "model": model,
        "modified_at": now(),
        "size": 0,
        "digest": format!("sha256:sglang{}", "0".repeat(58)),
        "details": {"format": "sglang", "family": last_step(model), "parameter_size": "unknown"},
    }]})
}

/// The answer of `/api/show`: `model` is the name that the client gave.
pub fn show(model: &str, context_len: usize) -> Value {
    let name = last_step(model);
    let family = ["-Instruct", "-Chat", "-Base"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let family = family.unwrap_or(name);
    let mut model_info = json!({
        "general.architecture": family,
        "general.name": model,
        "general.parameter_count": 0,
    });
    model_info[format!("{family}.context_length")] = context_len.into();
    for unknown in ["block_count", "embedding_length", "attention.head_count"] {
        model_info[format!("{family}.{unknown}")] = 0.into();
    }
    json!({
        "license": "",
        "modelfile": format!("FROM {model}\nPARAMETER num_ctx {context_len}\n"),
        "parameters": format!("num_ctx {context_len}"),
        "template": "",
        "modified_at": now(),
        "details": {
            "parent_model": "",
            "format": "sglang",
            "family": family,
            "families": [family],
            "parameter_size": "unknown",
            "quantization_level": "",
        },
        "model_info": model_info,
        "capabilities": ["completion"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::choice::to_json;

    #[test]
    fn times_have_milliseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_338_949_187_900_000).unwrap();
        assert_eq!(timestamp(time), "2026-11-22T09:15:49.187Z");
    }

    #[test]
    fn answers_have_the_references_keys_in_its_order() {
        let keys = |text: String| -> Vec<String> {
            let value: Value = serde_json::from_str(&text).unwrap();
            value.as_object().unwrap().keys().cloned().collect()
        };
        let counts = Counts { prompt_tokens: 1, completion_tokens: 4, ..Default::default() };
        let answer = to_json(&Answer::new(Route::Generate, "m", "x".into(), Some((5, counts))));
        assert_eq!(
            keys(answer),
            [
                "model",
                "created_at",
                "response",
                "done",
                "done_reason",
                "context",
                "total_duration",
                "load_duration",
                "prompt_eval_count",
                "prompt_eval_duration",
                "eval_count",
                "eval_duration"
            ]
        );
        let line = to_json(&Line::piece(Route::Chat, "m", "x".into()));
        assert!(line.ends_with(
            r#""message":{"role":"assistant","content":"x","images":null},"done":false,"done_reason":null}"#
        ));
    }

    #[test]
    fn the_family_is_the_name_without_owner_and_kind() {
        let shown = show("org/Tiny-1B-Instruct", 4096);
        assert_eq!(shown["details"]["family"], "Tiny-1B");
        assert_eq!(shown["model_info"]["Tiny-1B.context_length"], 4096);
        assert_eq!(shown["modelfile"], "FROM org/Tiny-1B-Instruct\nPARAMETER num_ctx 4096\n");
        assert_eq!(tags("org/Tiny")["models"][0]["details"]["family"], "Tiny");
    }
}
