//! Exchanges with the native routes recorded from the reference on the same weights, field by field.

use serde_json::{Map, Value};
use sglang_e2e::{Server, sse_events};

/// Largest difference of two log-probabilities: the kernels add in another order.
const LOGPROB_TOLERANCE: f64 = 0.02;

/// Values that say nothing: ids, times, and what ran before.
const VOLATILE: [&str; 13] = [
    "id",
    "created",
    "timestamp",
    "cached_tokens",
    "cached_tokens_details",
    "e2e_latency",
    "response_sent_to_client_ts",
    "model_path",
    "tokenizer_path",
    "gen_throughput",
    "cache_hit_rate",
    "root",
    // A refused grammar is answered before the figures are published anew.
    "grammar",
];

/// Keys that the reference adds with `--enable-metrics` and that are not here, as docs/api.md says.
const WITH_METRICS: [&str; 11] = [
    "queue_time",
    "forward_entry_time",
    "prefill_finished_time",
    "storage_prefetch_wait",
    "storage_staging_wait",
    "request_received_ts",
    "first_token_latency",
    "api_server_dispatch_finish_ts",
    "request_finished_ts",
    "decode_throughput",
    "response_sent_to_client_ts",
];

/// Keys of `/v1/loads` that are not here, as docs/api.md says.
const OF_LOADS: [&str; 18] = [
    "num_active_tokens",
    "num_prealloc_ready_tokens",
    "total_prefill_uncached_tokens",
    "total_prefill_busy_us",
    "decode_moments",
    "weight_gb",
    "kv_cache_gb",
    "graph_gb",
    "speculative",
    "lora",
    "prefill_bootstrap_queue_reqs",
    "prefill_inflight_queue_reqs",
    "decode_prealloc_queue_reqs",
    "decode_transfer_queue_reqs",
    "decode_retracted_queue_reqs",
    "kv_transfer_speed_gb_s",
    "kv_transfer_latency_ms",
    "prealloc_ready",
];

/// Answers that differ on purpose, and what must stand in ours instead; docs/api.md has the reasons.
const DIFFERENT_TEXT: [(&str, &str); 6] = [
    ("error-generate-bad-regex", "Failed to compile regex grammar: "),
    ("error-generate-bad-ebnf", "Failed to compile ebnf grammar: "),
    ("error-generate-bad-schema", "Failed to compile json grammar: "),
    ("error-generate-bad-json", "'type': 'json_invalid', 'loc': ('body', 1), 'msg': 'JSON decode error'"),
    // The documented nine keys instead of the longer set, which is /model_info here.
    ("info-get_model_info", "\"architectures\":[\"LlamaForCausalLM\"]"),
    // The names of the model's files.
    ("info-v1_models", "\"object\":\"list\""),
];

fn known(map: &Map<String, Value>) -> Vec<&String> {
    let skip = |key: &str| VOLATILE.contains(&key) || WITH_METRICS.contains(&key) || OF_LOADS.contains(&key);
    map.keys().filter(|key| !skip(key)).collect()
}

fn differences(path: &str, ours: &Value, theirs: &Value, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let (ka, kb) = (known(a), known(b));
            if ka != kb {
                out.push(format!("{path}: keys {ka:?} instead of {kb:?}"));
            }
            for key in kb {
                if let (Some(a), Some(b)) = (a.get(key), b.get(key)) {
                    differences(&format!("{path}.{key}"), a, b, out);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{i}]"), a, b, out);
            }
        }
        (Value::Number(a), Value::Number(b)) if path.contains("logprobs") => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            if (a - b).abs() > LOGPROB_TOLERANCE {
                out.push(format!("{path}: {a} instead of {b}"));
            }
        }
        _ if ours == theirs => {}
        _ => out.push(format!("{path}: {ours} instead of {theirs}")),
    }
}

/// A stream's events in an order that does not depend on which of several answers was quicker.
fn stream(body: &str) -> Vec<Value> {
    let events = sse_events(body);
    assert_eq!(events.last(), Some(&"[DONE]"), "{body}");
    let mut events: Vec<Value> =
        events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    events.sort_by_key(|event| event["index"].as_u64());
    events
}

/// What the recorded events would be in chunks of ours: a slow reader gets several tokens in one.
fn in_our_chunks(ours: &[Value], theirs: &[Value], incremental: bool) -> Vec<Value> {
    let place = |event: &Value| (event["index"].as_u64(), event["meta_info"]["completion_tokens"].as_u64());
    let (mut out, mut rest) = (Vec::new(), theirs.iter().peekable());
    for event in ours {
        let mut chunk: Option<Value> = None;
        while let Some(next) = rest.next_if(|next| place(next) <= place(event)) {
            let mut next = next.clone();
            if let (true, Some(before)) = (incremental, &chunk) {
                next["text"] =
                    (before["text"].as_str().unwrap().to_owned() + next["text"].as_str().unwrap()).into();
                let ids =
                    [&before["output_ids"], &next["output_ids"]].map(|ids| ids.as_array().unwrap().clone());
                next["output_ids"] = ids.concat().into();
            }
            let reached = place(&next) == place(event);
            chunk = Some(next);
            if reached {
                break;
            }
        }
        out.extend(chunk);
    }
    out.extend(rest.cloned());
    out
}

fn compare(exchange: &Value, ours: &str, out: &mut Vec<String>) {
    let name = exchange["name"].as_str().unwrap();
    let theirs = exchange["response_body"].as_str().unwrap();
    if let Some((_, part)) = DIFFERENT_TEXT.iter().find(|(n, _)| *n == name) {
        if !ours.contains(part) {
            out.push(format!("{name}: {ours} has no {part}"));
        }
        return;
    }
    if theirs.starts_with("data: ") {
        let (ours, theirs) = (stream(ours), stream(theirs));
        let theirs = in_our_chunks(&ours, &theirs, name.contains("incremental"));
        return differences(name, &ours.into(), &theirs.into(), out);
    }
    match (serde_json::from_str(ours), serde_json::from_str(theirs)) {
        (Ok(ours), Ok(theirs)) => differences(name, &ours, &theirs, out),
        _ if ours == theirs => {}
        _ => out.push(format!("{name}: {ours:?} instead of {theirs:?}")),
    }
}

fn replay(set: &str, flags: &[&str], at_least: usize) {
    let server = Server::start(flags).unwrap();
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../fixtures/native_goldens.json")).unwrap();
    let client = reqwest::blocking::Client::new();
    let (mut out, mut seen) = (Vec::new(), 0);
    for exchange in golden.iter().filter(|e| e["server"] == set) {
        seen += 1;
        let text = |key: &str| exchange[key].as_str().unwrap_or_default().to_owned();
        let mut request = client.request(text("method").parse().unwrap(), server.url(&text("path")));
        for (key, value) in exchange["headers"].as_object().unwrap() {
            request = request.header(key, value.as_str().unwrap());
        }
        let response = request.body(text("body")).send().unwrap();
        let status = response.status().as_u16();
        let name = text("name");
        if u64::from(status) != exchange["status"] {
            out.push(format!("{name}: status {status} instead of {}", exchange["status"]));
        }
        let content_type = response.headers().get("content-type").and_then(|v| v.to_str().ok());
        if content_type != exchange["content_type"].as_str() {
            out.push(format!("{name}: {content_type:?} instead of {}", exchange["content_type"]));
        }
        compare(exchange, &response.text().unwrap(), &mut out);
    }
    assert!(seen >= at_least, "{seen} exchanges");
    assert!(out.is_empty(), "{} differences:\n{}", out.len(), out.join("\n"));
}

#[test]
fn native_routes_answer_as_the_reference_did() {
    let flags = ["--context-length", "4096", "--max-total-tokens", "32768", "--max-running-requests", "16"];
    replay("generate", &flags, 40);
}

#[test]
fn keys_and_incremental_streams_answer_as_the_reference_did() {
    let flags = [
        "--context-length",
        "4096",
        "--incremental-streaming-output",
        "--enable-cache-report",
        "--api-key",
        "k",
        "--admin-api-key",
        "a",
        "--page-size",
        "16",
    ];
    replay("auth", &flags, 11);
}
