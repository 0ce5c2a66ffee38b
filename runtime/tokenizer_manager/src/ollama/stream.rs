//! An answer as lines of JSON: pieces of text as they come, then the end.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::json;

use super::response::{Line, Route};
use crate::manager::check_finish;
use crate::openai::choice::to_json;
use crate::openai::updates::{Update, updates};
use crate::state::RequestHandle;

/// One line.
pub fn line(value: &impl Serialize) -> Bytes {
    let mut line = to_json(value);
    line.push('\n');
    line.into()
}

fn lines(route: Route, model: &str, update: Update) -> Bytes {
    let mut out = Vec::new();
    let refused = update.finish.as_ref().and_then(|reason| check_finish(reason).err());
    if let Some(error) = refused {
        return line(&json!({"error": error.to_string()}));
    }
    if !update.text.is_empty() {
        out.extend(line(&Line::piece(route, model, update.text)));
    }
    if update.finish.is_some() {
        out.extend(line(&Line::end(route, model)));
    }
    out.into()
}

/// The lines of a started request's answer.
pub fn stream(route: Route, model: String, handles: Vec<RequestHandle>) -> impl Stream<Item = Bytes> {
    updates(handles)
        .map(move |update| lines(route, &model, update))
        // A token may have no text yet.
        .filter(|lines| futures::future::ready(!lines.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use sglang_proto::messages::FinishReason;

    fn read(text: &str, finish: Option<FinishReason>) -> Vec<Value> {
        let update = Update {
            index: 0,
            first: false,
            text: text.into(),
            output_ids: Vec::new(),
            counts: Default::default(),
            logprobs: Default::default(),
            cached_tokens_details: None,
            hidden_states: None,
            finish,
        };
        let lines = lines(Route::Generate, "m", update);
        let lines = String::from_utf8(lines.to_vec()).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_last_piece_comes_before_the_end() {
        let lines = read("abc", Some(FinishReason::Length { length: 1 }));
        assert_eq!((&lines[0]["response"], &lines[0]["done"]), (&json!("abc"), &json!(false)));
        assert_eq!((&lines[1]["response"], &lines[1]["done"]), (&json!(""), &json!(true)));
        assert!(read("", None).is_empty());
    }

    #[test]
    fn a_refusal_is_a_line_with_an_error() {
        let lines = read("", Some(FinishReason::refused("The request queue is full.", 503, "x")));
        assert_eq!(lines, [json!({"error": "The request queue is full."})]);
    }
}
