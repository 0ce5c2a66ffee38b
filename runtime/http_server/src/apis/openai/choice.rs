//! Parts of answers that chat and text completions share.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::state::Output;

use crate::answer::choice::refusal;
use crate::answer::meta_info::{cached_tokens_details, spans, weight_versions};
use crate::app::App;

/// `metadata` of an answer. All values are strings, since clients expect nothing else there.
pub fn metadata(app: &App, output: &Output) -> Value {
    let default = app.weight_version();
    let version = weight_versions(output, &default).pop().map_or(default, |span| span.version);
    json!({"weight_version": version})
}

/// `sglext` of an answer: the weight version of each span of tokens, and the cache details if requested.
pub fn answer_sglext(app: &App, output: &Output, with_cache: bool) -> Value {
    let mut ext = json!({"weight_versions": spans(output, &app.weight_version())});
    if let Some(details) = cached_tokens_details(output).filter(|_| with_cache) {
        ext["cached_tokens_details"] = details;
    }
    ext
}

/// `sglext` of a stream: the cache details, if they are requested and exist.
pub fn sglext(wanted: bool, details: Option<Value>) -> Option<Value> {
    details.filter(|_| wanted).map(|details| json!({"cached_tokens_details": details}))
}

/// The error event for a refusal in a finish reason. The reference writes its JSON with spaces.
pub fn error_event(reason: &FinishReason) -> Option<String> {
    let (code, message) = refusal(reason)?;
    let name = actix_web::http::StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Internal Server Error")
        .to_uppercase()
        .replace([' ', '-'], "_");
    let message = Value::from(message);
    Some(format!(
        "{{\"error\": {{\"object\": \"error\", \"message\": {message}, \"type\": \"{name}\", \"param\": null, \
         \"code\": {code}}}}}"
    ))
}

/// A JSON object without its null members.
pub fn without_nulls(value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect::<Map<_, _>>())
        }
        Ok(other) => other,
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_a_stream_reads_as_in_the_reference() {
        let full = FinishReason::refused("The request queue is full.", 503, "x");
        assert_eq!(
            error_event(&full).unwrap(),
            r#"{"error": {"object": "error", "message": "The request queue is full.", "type": "SERVICE_UNAVAILABLE", "param": null, "code": 503}}"#
        );
        assert_eq!(error_event(&FinishReason::aborted("Aborted")), None);
        assert_eq!(error_event(&FinishReason::Length { length: 1 }), None);
    }
}
