//! The answers of routes.

use serde_json::{Map, Value, json};

/// Status codes other than 200 that a route can have, with their meaning.
const ERRORS: [(&str, &str); 10] = [
    ("400", "The request does not fit, or cannot be served as it is."),
    ("401", "The key is missing or wrong."),
    ("404", "There is no such thing."),
    ("405", "The path has other methods."),
    ("408", "The body did not arrive in time."),
    ("413", "The body is too large."),
    ("500", "The server failed."),
    ("501", "Not supported by this version of the server."),
    ("503", "The server cannot take requests now."),
    ("504", "The scheduler has not answered."),
];

/// Shapes of errors; all of them can come from layers that every route has.
pub(super) fn schemas() -> Value {
    let text = json!({"type": "string"});
    let flat = json!({
        "type": "object",
        "properties": {
            "object": {"const": "error"}, "message": text, "type": text, "param": {"type": ["string", "null"]},
            "code": {"type": ["integer", "string"]},
        },
        "required": ["object", "message", "type", "param", "code"],
    });
    let nested = json!({
        "type": "object",
        "properties": {"error": {"type": ["object", "string"]}},
        "required": ["error"],
    });
    let detail = json!({"type": "object", "properties": {"detail": text}, "required": ["detail"]});
    let done = json!({
        "type": "object",
        "properties": {"success": {"const": false}, "message": text},
        "required": ["success", "message"],
    });
    let adapter = json!({
        "type": "object",
        "properties": {"success": {"const": false}, "error_message": text},
        "required": ["success", "error_message"],
    });
    json!({"Error": {"anyOf": [flat, nested, detail, done, adapter]}})
}

/// Content types of a route's successful answer.
fn content(path: &str) -> Vec<&'static str> {
    match path {
        "/generate"
        | "/vertex_generate"
        | "/v1/chat/completions"
        | "/invocations"
        | "/v1/completions"
        | "/v1/messages"
        | "/v1/responses" => vec!["application/json", "text/event-stream"],
        "/api/chat" | "/api/generate" => vec!["application/json", "application/x-ndjson"],
        "/v1/loads" => vec!["application/json", "text/plain"],
        "/docs" | "/redoc" => vec!["text/html"],
        path if path.starts_with("/metrics") => vec!["text/plain"],
        path if is_untyped(path) => Vec::new(),
        _ => vec!["application/json"],
    }
}

/// Routes that answer with nothing, or with text without a content type (as in the reference).
fn is_untyped(path: &str) -> bool {
    const PROBES: [&str; 4] = ["/health", "/health_generate", "/ready", "/ping"];
    const CONTROLS: [&str; 9] = [
        "/abort_request",
        "/close_session",
        "/configure_logging",
        "/flush_cache",
        "/freeze_gc",
        "/hicache/storage-backend/clear",
        "/set_trace_level",
        "/start_profile",
        "/stop_profile",
    ];
    PROBES.contains(&path) || CONTROLS.contains(&path) || path.ends_with("_expert_distribution_record")
}

/// The responses of a route.
pub(super) fn of(path: &str) -> Value {
    let mut responses = Map::new();
    let any: Map<String, Value> =
        content(path).into_iter().map(|kind| (kind.to_owned(), json!({"schema": {}}))).collect();
    let done = match any.is_empty() {
        true => json!({"description": "Done."}),
        false => json!({"description": "Done.", "content": any}),
    };
    responses.insert("200".into(), done);
    for (status, text) in ERRORS {
        let schema = json!({"schema": {"$ref": "#/components/schemas/Error"}});
        // A probe's 503 is empty; a refused flush is text.
        let untyped = is_untyped(path) && matches!(status, "400" | "503");
        let error = match untyped {
            true => json!({"description": text}),
            false => json!({"description": text, "content": {"application/json": schema}}),
        };
        responses.insert(status.into(), error);
    }
    Value::Object(responses)
}
