//! Answers recorded from the reference on the same weights, replayed field by field: chat, completions, tools,
//! reasoning, responses, and the APIs of Anthropic and Ollama. (Exchanges that need no model are replayed in
//! `runtime/tokenizer_manager/tests/golden.rs`.)
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use sglang_e2e::Server;

/// How far a log-probability may lie from the reference's.
const TOLERANCE: f64 = 1e-3;

/// Flags of the recorded servers, and their keys.
const SETS: [(&str, &[&str], Option<&str>); 4] = [
    ("generate", &["--context-length", "4096", "--served-model-name", "MODELS/smollm2-135m-fp32"], None),
    ("auth", &["--enable-cache-report", "--api-key", "k", "--admin-api-key", "a"], Some("k")),
    (
        "tool_parser",
        &[
            "--tool-call-parser",
            "qwen25",
            "--constrained-json-disable-any-whitespace",
            "--served-model-name",
            "tiny",
        ],
        None,
    ),
    (
        "reasoning_parser",
        &[
            "--tool-call-parser",
            "qwen25",
            "--reasoning-parser",
            "qwen3",
            "--enable-response-store",
            "--served-model-name",
            "tiny",
        ],
        None,
    ),
];

/// Where answers differ on purpose (docs/api.md gives the reasons): the exchange and the beginning of the places.
const DIFFERENT: [(&str, &[&str]); 15] = [
    // White space inside JSON is another grammar library's.
    ("chat-json_schema", &["[0].usage", "[0].metadata"]),
    ("chat-tool-required", &["[0].usage", "[0].metadata"]),
    // Arguments follow the schema, a named tool is called once, and the model goes on from there.
    (
        "tool-named",
        &[
            "[0].choices[0].message.tool_calls",
            "[0].choices[0].finish_reason",
            "[0].choices[0].matched_stop",
            "[0].usage",
            "[0].metadata",
        ],
    ),
    (
        "tool-required",
        &[
            "[0].choices[0].message.tool_calls",
            "[0].choices[0].finish_reason",
            "[0].choices[0].matched_stop",
            "[0].usage",
            "[0].metadata",
        ],
    ),
    ("tool-required-stream", &[""]),
    ("tool-anthropic-any", &[""]),
    ("tool-anthropic-any-stream", &[""]),
    ("tool-responses-required", &["[0].output", "[0].usage", "[0].status", "[0].incomplete_details"]),
    // Times inside the server that are not taken here.
    ("chat-return-ids-meta", &["[0].choices[0].meta_info"]),
    // The refusal carries a source file's name and a time there.
    ("error-chat-grammar", &["[0].message"]),
    // Ollama's streams lose their last piece there.
    ("ollama-generate-stream", &["[0].response", "[1].response"]),
    ("ollama-chat-stream", &["[0].message.content", "[1].message.content"]),
    // A source file's place is left out of schema errors.
    ("error-responses-no-input", &["[0].error.message"]),
    // Without a model whatever is loaded answers.
    ("error-responses-no-model", &[""]),
    // Logits of quantised weights lie close enough together here for another choice among the alternatives.
    ("completions-logprobs-echo", &["[0].choices[0].logprobs.top_logprobs"]),
];

fn volatile(key: &str) -> bool {
    let keys = [
        "id",
        "call_id",
        "item_id",
        "created",
        "created_at",
        "modified_at",
        "cached_tokens",
        "sequence_number",
    ];
    keys.contains(&key) || key.ends_with("_duration")
}

/// Takes the text that an event adds out of it.
fn take_piece(event: &mut Value) -> Option<(&'static str, String)> {
    const PLACES: [&str; 8] = [
        "/choices/0/delta/tool_calls/0/function/arguments",
        "/choices/0/delta/content",
        "/choices/0/delta/reasoning_content",
        "/choices/0/text",
        "/delta/text",
        "/delta/partial_json",
        "/message/content",
        "/response",
    ];
    let place = PLACES
        .into_iter()
        .chain(["/delta"])
        .find(|place| event.pointer(place).is_some_and(Value::is_string))?;
    let text = event.pointer_mut(place)?.take();
    Some((place, text.as_str()?.to_owned()))
}

fn without_volatile(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !volatile(key))
            .map(|(key, value)| (key.clone(), without_volatile(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(without_volatile).collect(),
        other => other.clone(),
    }
}

/// An answer as a list: of one object, or of events in which neighbours that only add text are one, since how many
/// tokens come together is a matter of time.
fn events(body: &str) -> Vec<Value> {
    let lines: Vec<&str> = match body.contains("data: ") {
        true => {
            body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|l| *l != "[DONE]").collect()
        }
        false if body.trim_end().contains("}\n{") => body.lines().collect(),
        false => vec![body],
    };
    let mut out: Vec<Value> = Vec::new();
    let mut last: Option<(Value, &'static str)> = None;
    for line in lines {
        let mut event = without_volatile(&serde_json::from_str(line).unwrap_or_else(|_| line.into()));
        let whole = event.clone();
        let Some((place, text)) = take_piece(&mut event) else {
            last = None;
            out.push(whole);
            continue;
        };
        // Counts grow and log-probabilities come with every piece.
        let usage = event.get_mut("usage").filter(|usage| usage.is_object()).map(Value::take);
        let logprobs = event.pointer_mut("/choices/0/logprobs/content").map(Value::take);
        if last == Some((event.clone(), place)) {
            let before = out.last_mut().unwrap();
            let joined = before.pointer(place).and_then(Value::as_str).unwrap().to_owned() + &text;
            *before.pointer_mut(place).unwrap() = joined.into();
            if let (Some(all), Some(more)) =
                (before.pointer_mut("/choices/0/logprobs/content").and_then(Value::as_array_mut), logprobs)
            {
                all.extend(more.as_array().cloned().unwrap_or_default());
            }
            if let Some(usage) = usage {
                before["usage"] = usage;
            }
        } else {
            out.push(whole);
        }
        last = Some((event, place));
    }
    out
}

/// Text that is JSON is compared as such: white space in it is free.
fn as_json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let (ka, kb): (Vec<_>, Vec<_>) = (a.keys().collect(), b.keys().collect());
            if ka != kb {
                out.push(format!("{path}: keys {ka:?} instead of {kb:?}"));
            }
            for (key, value) in b {
                if let Some(ours) = a.get(key) {
                    differences(&format!("{path}.{key}"), ours, value, out);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, out);
            }
        }
        (Value::Number(a), Value::Number(b)) if b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            if (a - b).abs() > TOLERANCE {
                out.push(format!("{path}: {a} instead of {b}"));
            }
        }
        (Value::String(a), Value::String(b))
            if a != b && as_json(a).is_some() && as_json(a) == as_json(b) => {}
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: {ours} instead of {theirs}")),
    }
}

fn replay(server: &Server, key: Option<&str>, exchange: &Value) -> (u16, String) {
    let text = |key: &str| exchange[key].as_str().unwrap_or_default().to_owned();
    let client = reqwest::blocking::Client::new();
    let mut request = client
        .request(text("method").parse().unwrap(), server.url(&text("path")))
        .header("content-type", "application/json")
        .body(text("body"));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().unwrap();
    (response.status().as_u16(), response.text().unwrap())
}

#[test]
fn recorded_answers_of_the_reference_come_out_alike() {
    let golden: Vec<Value> = serde_json::from_str(include_str!("../fixtures/golden.json")).unwrap();
    let mut out = Vec::new();
    for (set, flags, key) in SETS {
        let server = Server::start(flags).unwrap();
        let mut seen = 0;
        for exchange in golden.iter().filter(|e| e["set"] == set) {
            seen += 1;
            let name = exchange["name"].as_str().unwrap();
            let (status, body) = replay(&server, key, exchange);
            let theirs = exchange["response_body"].as_str().unwrap();
            let mut found = Vec::new();
            if u64::from(status) != exchange["status"] {
                found.push(format!(": status {status} instead of {}: {body}", exchange["status"]));
            }
            if theirs.contains("data: [DONE]") != body.contains("data: [DONE]") {
                found.push(": only one of the streams has an end mark".to_owned());
            }
            let (ours, theirs) = (Value::from(events(&body)), Value::from(events(theirs)));
            differences("", &ours, &theirs, &mut found);
            let places = DIFFERENT.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, places)| places);
            found.retain(|line| !places.iter().any(|place| line.starts_with(place)));
            out.extend(found.into_iter().map(|line| format!("{set}/{name}{line}")));
        }
        assert!(seen > 0, "{set} has no exchanges");
    }
    assert!(out.is_empty(), "{} differences:\n{}", out.len(), out.join("\n"));
}
