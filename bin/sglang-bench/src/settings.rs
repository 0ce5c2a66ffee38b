//! The settings of `serving`, as its results show them.

use serde_json::{Map, Value, json};

use crate::cli::ServingArgs;
use crate::session::Session;

/// The settings for the table.
pub fn shown(args: &ServingArgs) -> Vec<(&'static str, String)> {
    let backend = json!(args.target.backend);
    let concurrency = args.concurrency().map_or("not set".into(), |n| n.to_string());
    let mut shown = vec![
        ("Backend:", backend.as_str().unwrap_or_default().to_owned()),
        ("Traffic request rate:", args.request_rate.to_string()),
        ("Max request concurrency:", concurrency),
    ];
    if let Some(time) = args.limit().time {
        shown.push(("Requests are sent for (s):", time.as_secs_f64().to_string()));
    }
    shown
}

/// The settings for the JSON line.
pub fn record(args: &ServingArgs, session: &Session) -> Map<String, Value> {
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| {
        record.insert(key.to_owned(), value);
    };
    let limit = args.limit();
    put("backend", json!(args.target.backend));
    put("model", json!(session.model));
    // JSON has no infinity; the reference also writes the word.
    put("request_rate", json!(args.request_rate.to_string()));
    put("max_concurrency", json!(args.concurrency()));
    put("num_prompts", json!(limit.count));
    put("duration_limit", json!(limit.time.map(|time| time.as_secs_f64())));
    put("random_input_len", json!(args.random_input_len));
    put("random_output_len", json!(args.random_output_len));
    put("random_range_ratio", json!(args.random_range_ratio));
    put("shared_prefix_len", json!(args.shared_prefix_len));
    put("seed", json!(args.request.seed));
    record
}
