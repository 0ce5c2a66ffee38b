//! Answers of all routes in one form.

use std::collections::BTreeMap;

use serde_json::Value;
use sglang_e2e::Server;

use super::routes::{Route, Wish};

/// One choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub text: String,
    /// The finish reasons: exactly one if all is well.
    pub finishes: Vec<String>,
}

/// Token counts of the prompt and of the answer.
pub type Usage = (u64, u64);

/// An answer, or a reassembled stream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub choices: BTreeMap<u64, Choice>,
    pub usage: Option<Usage>,
    /// Every piece of text in order of arrival, with its choice.
    pub pieces: Vec<(u64, String)>,
    /// Whether `data: [DONE]` is the last event and occurs only once.
    pub end_mark: bool,
}

impl Answer {
    fn add(&mut self, index: u64, piece: &str) {
        self.choices.entry(index).or_default().text.push_str(piece);
        self.pieces.push((index, piece.to_owned()));
    }

    fn finish(&mut self, index: u64, reason: &Value) {
        if !reason.is_null() {
            let reason = reason["type"].as_str().or(reason.as_str()).unwrap().to_owned();
            self.choices.entry(index).or_default().finishes.push(reason);
        }
    }

    fn count(&mut self, usage: &Value, prompt: &str, output: &str) {
        if let (Some(prompt), Some(output)) = (usage[prompt].as_u64(), usage[output].as_u64()) {
            self.usage = Some((prompt, output));
            if let Some(total) = usage["total_tokens"].as_u64() {
                assert_eq!(total, prompt + output, "{usage}");
            }
        }
    }
}

fn bytes(server: &Server, route: Route, wish: &Wish<'_>, stream: bool) -> String {
    let response = server.post(route.path(), &route.body(wish, stream)).unwrap();
    let status = response.status();
    // The bytes must be valid UTF-8.
    let body = String::from_utf8(response.bytes().unwrap().to_vec()).unwrap();
    assert_eq!(status, 200, "{route:?} {wish:?}: {body}");
    body
}

pub fn whole(server: &Server, route: Route, wish: &Wish<'_>) -> Answer {
    let body: Value = serde_json::from_str(&bytes(server, route, wish, false)).unwrap();
    let mut answer = Answer::default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match route {
        Route::Generate => {
            let items = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
            let mut total = (0, 0);
            for (i, item) in (0..).zip(&items) {
                answer.add(i, &text(&item["text"]));
                answer.finish(i, &item["meta_info"]["finish_reason"]);
                let meta = &item["meta_info"];
                let made = meta["completion_tokens"].as_u64().unwrap();
                assert_eq!(item["output_ids"].as_array().unwrap().len() as u64, made, "{item}");
                total = (meta["prompt_tokens"].as_u64().unwrap(), total.1 + made);
            }
            answer.usage = Some(total);
        }
        Route::Completions | Route::Chat => {
            for choice in body["choices"].as_array().unwrap() {
                let index = choice["index"].as_u64().unwrap();
                let place =
                    if route == Route::Chat { &choice["message"]["content"] } else { &choice["text"] };
                answer.add(index, &text(place));
                answer.finish(index, &choice["finish_reason"]);
            }
            answer.count(&body["usage"], "prompt_tokens", "completion_tokens");
        }
        Route::Messages => {
            let texts: String =
                body["content"].as_array().unwrap().iter().map(|b| text(&b["text"])).collect();
            answer.add(0, &texts);
            answer.finish(0, &body["stop_reason"]);
            answer.count(&body["usage"], "input_tokens", "output_tokens");
        }
        Route::Responses => {
            let parts = body["output"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|item| item["content"].as_array().unwrap());
            let texts: String = parts.map(|part| text(&part["text"])).collect();
            answer.add(0, &texts);
            answer.finish(0, &body["status"]);
            answer.count(&body["usage"], "input_tokens", "output_tokens");
        }
        Route::OllamaGenerate | Route::OllamaChat => ollama(&mut answer, route, &body),
    }
    answer
}

fn ollama(answer: &mut Answer, route: Route, event: &Value) {
    let place = if route == Route::OllamaChat { &event["message"]["content"] } else { &event["response"] };
    answer.add(0, place.as_str().unwrap());
    if event["done"] == true {
        answer.finish(0, &event["done_reason"]);
        answer.count(event, "prompt_eval_count", "eval_count");
    }
}

pub fn streamed(server: &Server, route: Route, wish: &Wish<'_>) -> Answer {
    let body = bytes(server, route, wish, true);
    let mut answer = Answer::default();
    if matches!(route, Route::OllamaGenerate | Route::OllamaChat) {
        for line in body.lines() {
            ollama(&mut answer, route, &serde_json::from_str(line).unwrap());
        }
        return answer;
    }
    let data: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    answer.end_mark =
        data.last() == Some(&"[DONE]") && data.iter().filter(|data| **data == "[DONE]").count() == 1;
    let mut counts: BTreeMap<u64, Usage> = BTreeMap::new();
    for event in data.iter().filter(|data| **data != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap();
        assert!(event.get("error").is_none_or(Value::is_null), "{event}");
        read(&mut answer, &mut counts, route, &event);
    }
    if route == Route::Generate {
        let prompt = counts.values().next().unwrap().0;
        answer.usage = Some((prompt, counts.values().map(|(_, made)| made).sum()));
    }
    answer
}

fn read(answer: &mut Answer, counts: &mut BTreeMap<u64, Usage>, route: Route, event: &Value) {
    match route {
        Route::Generate => {
            let index = event["index"].as_u64().unwrap_or(0);
            // Chunks contain everything so far.
            let (text, before) = (event["text"].as_str().unwrap(), answer.choices.entry(index).or_default());
            let new = text.strip_prefix(&before.text);
            let new =
                new.unwrap_or_else(|| panic!("{text:?} does not go on from {:?}", before.text)).to_owned();
            answer.add(index, &new);
            let meta = &event["meta_info"];
            answer.finish(index, &meta["finish_reason"]);
            let made = meta["completion_tokens"].as_u64().unwrap();
            assert_eq!(event["output_ids"].as_array().unwrap().len() as u64, made, "{event}");
            counts.insert(index, (meta["prompt_tokens"].as_u64().unwrap(), made));
        }
        Route::Completions | Route::Chat => {
            for choice in event["choices"].as_array().unwrap() {
                let index = choice["index"].as_u64().unwrap();
                let place = if route == Route::Chat { &choice["delta"]["content"] } else { &choice["text"] };
                answer.add(index, place.as_str().unwrap_or_default());
                answer.finish(index, &choice["finish_reason"]);
            }
            answer.count(&event["usage"], "prompt_tokens", "completion_tokens");
        }
        Route::Messages => {
            if event["type"] == "content_block_delta" {
                answer.add(0, event["delta"]["text"].as_str().unwrap());
            }
            // The prompt is counted at the start, the output at the end.
            if event["type"] == "message_start" {
                answer.count(&event["message"]["usage"], "input_tokens", "output_tokens");
            }
            if event["type"] == "message_delta" {
                answer.finish(0, &event["delta"]["stop_reason"]);
                let prompt = answer.usage.map(|(prompt, _)| prompt);
                answer.usage = prompt.zip(event["usage"]["output_tokens"].as_u64());
            }
        }
        Route::Responses => {
            if event["type"] == "response.output_text.delta" {
                answer.add(0, event["delta"].as_str().unwrap());
            }
            if event["type"] == "response.completed" || event["type"] == "response.incomplete" {
                answer.finish(0, &event["response"]["status"]);
                answer.count(&event["response"]["usage"], "input_tokens", "output_tokens");
            }
        }
        Route::OllamaGenerate | Route::OllamaChat => {}
    }
}
