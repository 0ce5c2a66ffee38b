//! The answers of the generating routes.

use serde::Serialize;
use serde_json::Value;
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::state::{Counts, ReqState};
use time::OffsetDateTime;

use super::reply::Parts;

/// The time of an answer: UTC with milliseconds.
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

/// The current time, for an answer.
pub fn now() -> String {
    timestamp(OffsetDateTime::now_utc())
}

/// `done_reason`. A tool call counts as a normal stop.
pub fn done_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Length { .. } => "length",
        _ => "stop",
    }
}

/// Which of the two generating routes answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate,
}

/// The part of an answer with the generated text.
#[derive(Serialize)]
#[serde(untagged)]
enum Text {
    Chat {
        message: Message,
    },
    Generate {
        response: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        thinking: String,
    },
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    images: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
}

impl Route {
    fn text(self, parts: Parts) -> Text {
        let Parts { thinking, content, tool_calls } = parts;
        match self {
            Self::Chat => Text::Chat {
                message: Message { role: "assistant", content, thinking, images: None, tool_calls },
            },
            Self::Generate => Text::Generate { response: content, thinking },
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
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
}

impl<'a> Line<'a> {
    /// A line with the new parts.
    pub fn piece(route: Route, model: &'a str, parts: Parts, logprobs: Option<Value>) -> Self {
        let text = route.text(parts);
        Self { model, created_at: now(), text, done: false, done_reason: None, logprobs }
    }
}

/// Counts and durations (in nanoseconds) of a finished answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    total: u64,
    prompt: Option<u64>,
    output: Option<u64>,
    counts: Counts,
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Work {
    /// The cost of a request so far. `first` is the time of its first token, in seconds after the request, if the
    /// answer was streamed; otherwise it is known only with `--enable-metrics`.
    pub fn of(state: &ReqState, counts: Counts, first: Option<f64>) -> Self {
        let total = state.timing.elapsed();
        let prompt = first.or_else(|| state.timing.first_token_latency()).map(|first| first.min(total));
        Self {
            total: nanoseconds(total),
            prompt: prompt.map(nanoseconds),
            output: prompt.map(|prompt| nanoseconds(total - prompt)),
            counts,
        }
    }
}

/// How an answer ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// `done_reason`.
    pub done_reason: &'static str,
    /// The cost of the answer; `None` if no model ran.
    pub work: Option<Work>,
    /// Ids from which a later request can continue.
    pub context: Option<Vec<u32>>,
}

/// A whole answer, or the last line of a stream.
#[derive(Serialize)]
pub struct Answer<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Option<Vec<u32>>>,
    total_duration: Option<u64>,
    load_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
    prompt_eval_duration: Option<u64>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
}

impl<'a> Answer<'a> {
    /// An answer with these parts.
    pub fn new(route: Route, model: &'a str, parts: Parts, logprobs: Option<Value>, end: End) -> Self {
        let line = Line::piece(route, model, parts, logprobs);
        let work = end.work;
        Self {
            line: Line { done: true, done_reason: Some(end.done_reason), ..line },
            // Only this route has this key.
            context: (route == Route::Generate).then_some(end.context),
            total_duration: work.map(|work| work.total),
            load_duration: None,
            prompt_eval_count: work.map(|work| work.counts.prompt_tokens),
            prompt_eval_duration: work.and_then(|work| work.prompt),
            eval_count: work.map(|work| work.counts.completion_tokens),
            eval_duration: work.and_then(|work| work.output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::to_json;
    use serde_json::json;

    fn content(text: &str) -> Parts {
        Parts { content: text.into(), ..Parts::default() }
    }

    #[test]
    fn times_have_milliseconds() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_338_949_187_900_000).unwrap();
        assert_eq!(timestamp(time), "2026-11-22T09:15:49.187Z");
    }

    #[test]
    fn answers_have_the_references_keys_in_its_order() {
        let counts = Counts { prompt_tokens: 1, completion_tokens: 4, ..Default::default() };
        let work = Work { total: 5, prompt: Some(2), output: Some(3), counts };
        let end = End { done_reason: "stop", work: Some(work), context: Some(vec![7]) };
        let mut answer = to_json(&Answer::new(Route::Generate, "m", content("x"), None, end));
        let at = answer.find(",\"response\"").unwrap();
        answer.replace_range(..at, "");
        assert_eq!(
            answer,
            ",\"response\":\"x\",\"done\":true,\"done_reason\":\"stop\",\"context\":[7],\"total_duration\":5,\
             \"load_duration\":null,\"prompt_eval_count\":1,\"prompt_eval_duration\":2,\"eval_count\":4,\
             \"eval_duration\":3}"
        );
        let line = to_json(&Line::piece(Route::Chat, "m", content("x"), None));
        assert!(line.ends_with(
            r#""message":{"role":"assistant","content":"x","images":null},"done":false,"done_reason":null}"#
        ));
    }

    #[test]
    fn thinking_and_calls_are_shown_where_there_are_any() {
        let parts =
            Parts { thinking: "hm".into(), content: String::new(), tool_calls: vec![json!({"id": "c"})] };
        let line = to_json(&Line::piece(Route::Chat, "m", parts.clone(), None));
        assert!(
            line.contains(r#""content":"","thinking":"hm","images":null,"tool_calls":[{"id":"c"}]"#),
            "{line}"
        );
        let line = to_json(&Line::piece(Route::Generate, "m", parts, Some(json!([]))));
        assert!(line.contains(r#""response":"","thinking":"hm","done":false"#), "{line}");
        assert!(line.ends_with(r#""logprobs":[]}"#));
    }

    #[test]
    fn the_limit_is_told_from_a_stop() {
        assert_eq!(done_reason(&FinishReason::Length { length: 3 }), "length");
        assert_eq!(done_reason(&FinishReason::matched_token(2)), "stop");
    }
}
