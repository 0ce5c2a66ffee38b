//! There is one log-probability per token, in streams too.

use serde_json::{Value, json};
use sglang_e2e::{Server, sse_events};

fn events(server: &Server, path: &str, body: &Value) -> Vec<Value> {
    let text = server.post_text(path, body).unwrap();
    let events = sse_events(&text);
    assert_eq!(events.last(), Some(&"[DONE]"), "{text}");
    events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn there_is_one_log_probability_per_token() {
    let characters = json!({"regex": "(😀|漢字|é| ab){9}"}).to_string();
    for flags in [&[][..], &["--incremental-streaming-output"], &["--preferred-sampling-params", &characters]]
    {
        let server = Server::start(&[flags, &["--stream-interval", "2"]].concat()).unwrap();
        let incremental = flags.contains(&"--incremental-streaming-output");
        for max_tokens in [1, 7, 30] {
            generate(&server, max_tokens, incremental);
            completions(&server, max_tokens);
            chat(&server, max_tokens);
        }
    }
}

fn generate(server: &Server, max_tokens: u64, incremental: bool) {
    let mut body = json!({
        "text": "The capital of France is", "return_logprob": true, "top_logprobs_num": 2,
        "sampling_params": {"temperature": 0, "max_new_tokens": max_tokens},
    });
    let whole = server.post_json("/generate", &body).unwrap();
    let of = |event: &Value, key: &str| list(&event["meta_info"][key]);
    let (chosen, top) = (of(&whole, "output_token_logprobs"), of(&whole, "output_top_logprobs"));
    let ids = list(&whole["output_ids"]);
    assert_eq!((chosen.len(), top.len()), (ids.len(), ids.len()));
    assert_eq!(whole["meta_info"]["output_token_logprobs_length"], ids.len());
    assert_eq!(chosen.iter().map(|entry| entry[1].clone()).collect::<Vec<_>>(), ids);

    body["stream"] = true.into();
    let (mut streamed, mut streamed_ids) = (Vec::new(), Vec::new());
    for event in events(server, "/generate", &body) {
        let (new, new_ids) = (of(&event, "output_token_logprobs"), list(&event["output_ids"]));
        if incremental {
            streamed.extend(new);
            streamed_ids.extend(new_ids);
        } else {
            (streamed, streamed_ids) = (new, new_ids);
        }
        assert_eq!(streamed.len(), streamed_ids.len(), "{event}");
        assert_eq!(event["meta_info"]["output_token_logprobs_length"], streamed.len(), "{event}");
        assert_eq!(event["meta_info"]["completion_tokens"], streamed.len(), "{event}");
    }
    assert_eq!((streamed_ids, streamed), (ids, chosen));
}

fn completions(server: &Server, max_tokens: u64) {
    let mut body = json!({"model": "m", "prompt": "The capital of France is", "temperature": 0, "max_tokens": max_tokens, "logprobs": 2});
    let whole = server.post_json("/v1/completions", &body).unwrap();
    let keys = ["tokens", "token_logprobs", "top_logprobs", "text_offset"];
    let lists = |value: &Value| keys.map(|key| list(&value["choices"][0]["logprobs"][key]));
    let expected = lists(&whole);
    for list in &expected {
        assert_eq!(whole["usage"]["completion_tokens"], list.len(), "{whole}");
    }
    body["stream"] = true.into();
    let mut streamed: [Vec<Value>; 4] = Default::default();
    for event in events(server, "/v1/completions", &body) {
        streamed.iter_mut().zip(lists(&event)).for_each(|(all, new)| all.extend(new));
    }
    assert_eq!(streamed, expected);
}

fn chat(server: &Server, max_tokens: u64) {
    let messages = json!([{"role": "user", "content": "Name one colour."}]);
    let mut body = json!({"model": "m", "messages": messages, "temperature": 0, "max_tokens": max_tokens, "logprobs": true, "top_logprobs": 3});
    let whole = server.post_json("/v1/chat/completions", &body).unwrap();
    let entries = |value: &Value| list(&value["choices"][0]["logprobs"]["content"]);
    let expected = entries(&whole);
    assert_eq!(whole["usage"]["completion_tokens"], expected.len(), "{whole}");
    // The bytes of all tokens make up the text and the token that ended it.
    let bytes: Vec<u8> =
        expected.iter().flat_map(|e| list(&e["bytes"])).map(|b| b.as_u64().unwrap() as u8).collect();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    let written = text.trim_end_matches('\u{FFFD}');
    assert!(bytes.starts_with(written.as_bytes()), "{bytes:?} {text:?}");
    body["stream"] = true.into();
    let streamed: Vec<Value> =
        events(server, "/v1/chat/completions", &body).iter().flat_map(entries).collect();
    assert_eq!(streamed, expected);
}
