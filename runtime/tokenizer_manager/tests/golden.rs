//! Exchanges recorded from the reference that do not depend on a model's output, field by field.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use serde_json::Value;

/// Answers that differ on purpose, and what is compared instead: a part of the message.
const DIFFERENT_TEXT: [(&str, &str); 2] = [
    // The reference adds its defaulted `tool_choice` to the input that it quotes.
    (
        "error-chat-no-messages",
        "'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {'model': 'my-model'}",
    ),
    // Ours names no input, since a header has none that helps.
    ("error-chat-content-type", "Unsupported Media Type: Only 'application/json' is allowed"),
];

/// Values that say nothing: ids and times.
fn volatile(key: &str) -> bool {
    matches!(key, "id" | "created" | "modified_at" | "root")
        || key.ends_with("_ts")
        || key.ends_with("latency")
}

fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let (ka, kb): (Vec<_>, Vec<_>) = (a.keys().collect(), b.keys().collect());
            if ka != kb {
                out.push(format!("{path}: keys {ka:?} instead of {kb:?}"));
            }
            for (key, value) in b {
                if !volatile(key)
                    && let Some(ours) = a.get(key)
                {
                    differences(&format!("{path}.{key}"), ours, value, out);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, out);
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: {ours} instead of {theirs}")),
    }
}

#[actix_web::test]
async fn recorded_exchanges_are_answered_alike() {
    let server = common::start(&[]).await;
    let golden: Vec<Value> = serde_json::from_str(include_str!("fixtures/golden.json")).unwrap();
    let mut out = Vec::new();
    for exchange in &golden {
        let text = |key: &str| exchange[key].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let method = text("method").parse().unwrap();
        let mut request = server.client.request(method, server.url(&text("path")));
        for (key, value) in exchange["headers"].as_object().unwrap() {
            request = request.header(key, value.as_str().unwrap());
        }
        let response = request.body(text("body")).send().await.unwrap();
        let status = response.status().as_u16();
        if u64::from(status) != exchange["status"] {
            out.push(format!("{name}: status {status} instead of {}", exchange["status"]));
        }
        for (key, value) in exchange["response_headers"].as_object().unwrap() {
            let ours = response.headers().get(key).and_then(|v| v.to_str().ok()).unwrap_or("(absent)");
            if ours != value {
                out.push(format!("{name}: header {key}: {ours} instead of {value}"));
            }
        }
        let (ours, theirs) = (response.text().await.unwrap(), text("response_body"));
        if let Some((_, part)) = DIFFERENT_TEXT.iter().find(|(n, _)| *n == name) {
            if !ours.contains(part) {
                out.push(format!("{name}: {ours} has no {part}"));
            }
            continue;
        }
        match (serde_json::from_str(&ours), serde_json::from_str(&theirs)) {
            (Ok(ours), Ok(theirs)) => differences(&name, &ours, &theirs, &mut out),
            _ if ours == theirs => {}
            _ => out.push(format!("{name}: {ours:?} instead of {theirs:?}")),
        }
    }
    assert!(golden.len() > 50);
    assert!(out.is_empty(), "{} differences:\n{}", out.len(), out.join("\n"));
}
