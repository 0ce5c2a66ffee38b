//! The response object.

use serde_json::{Map, Value, json};
use sglang_proto::messages::FinishReason;
use sglang_tokenizer_manager::state::Counts;

use super::request::ResponsesRequest;

/// The status for a finish reason.
pub fn status_of(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop { .. } => "completed",
        FinishReason::Length { .. } => "incomplete",
        FinishReason::Abort { .. } => "failed",
    }
}

/// The `error` of a failed response.
pub fn error_of(reason: &FinishReason) -> Option<Value> {
    let FinishReason::Abort { message, .. } = reason else { return None };
    let message = if message.is_empty() { "Generation aborted" } else { message.as_str() };
    Some(failure(message))
}

/// An `error` with this message.
pub fn failure(message: &str) -> Value {
    json!({"code": "server_error", "message": message})
}

/// `usage`.
pub fn usage(counts: Counts) -> Value {
    json!({
        "input_tokens": counts.prompt_tokens,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": counts.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
    })
}

/// The fields of a request that its response repeats.
#[derive(Clone, Debug)]
pub struct ResponseFrame {
    id: String,
    created_at: u64,
    model: String,
    /// The fields after `usage`, in order.
    rest: Map<String, Value>,
    has_text: bool,
}

fn is_plain_text(output: &[Value]) -> bool {
    !output.is_empty() && output.iter().all(|item| item["type"] == "message")
}

impl ResponseFrame {
    /// The fields for a request. `model` is the served name, for requests without one.
    pub fn new(request: &ResponsesRequest, model: &str, created_at: u64) -> Self {
        let rest = json!({
            "parallel_tool_calls": request.parallel_tool_calls,
            "tool_choice": request.tool_choice.to_json(),
            "tools": request.tools,
            "error": null,
            "incomplete_details": null,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "previous_response_id": request.previous_response_id,
            "reasoning": {"effort": request.echoed_effort(), "summary": null},
            "store": request.store,
            "temperature": request.echo.get("temperature"),
            "text": request.text,
            "top_p": request.echo.get("top_p"),
            "truncation": request.echo.get("truncation"),
            "user": request.echo.get("user"),
            "metadata": request.echo.get("metadata"),
        });
        Self {
            id: request.request_id.clone(),
            created_at,
            model: request.model.clone().unwrap_or_else(|| model.to_owned()),
            rest: rest.as_object().cloned().unwrap_or_default(),
            has_text: request.text.is_some(),
        }
    }

    /// The response with this output.
    pub fn response(&self, status: &str, output: Vec<Value>, counts: Option<Counts>) -> Value {
        let plain = is_plain_text(&output);
        let mut response = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "model": self.model,
            "output": output,
            "status": status,
            "usage": counts.map(usage),
        });
        if let Value::Object(map) = &mut response {
            map.extend(self.rest.clone());
            if status == "incomplete" {
                map.insert("incomplete_details".into(), json!({"reason": "max_output_tokens"}));
            }
            if !self.has_text && plain {
                map.insert("text".into(), json!({"format": {"type": "text"}}));
            }
        }
        response
    }

    /// The response to a failed request.
    pub fn failed(&self, message: &str) -> Value {
        let mut response = self.response("failed", Vec::new(), None);
        response["error"] = failure(message);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_the_references_keys_in_its_order() {
        let body = json!({"input": "x", "model": "m", "max_output_tokens": 8, "temperature": 0});
        let request = ResponsesRequest::from_json(body.as_object().unwrap()).unwrap();
        let frame = ResponseFrame::new(&request, "served", 7);
        let counts =
            Counts { prompt_tokens: 34, completion_tokens: 6, cached_tokens: 33, ..Counts::default() };
        let item = json!({"type": "message"});
        let response = frame.response("incomplete", vec![item], Some(counts)).to_string();
        assert_eq!(
            response,
            format!(
                "{{\"id\":\"{}\",\"object\":\"response\",\"created_at\":7,\"model\":\"m\",\"output\":[{{\"type\":\"message\"}}],\
                 \"status\":\"incomplete\",\"usage\":{{\"input_tokens\":34,\"input_tokens_details\":{{\"cached_tokens\":33,\
                 \"cache_write_tokens\":0}},\"output_tokens\":6,\"output_tokens_details\":{{\"reasoning_tokens\":0}},\
                 \"total_tokens\":40}},\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],\"error\":null,\
                 \"incomplete_details\":{{\"reason\":\"max_output_tokens\"}},\"instructions\":null,\"max_output_tokens\":8,\
                 \"previous_response_id\":null,\"reasoning\":{{\"effort\":null,\"summary\":null}},\"store\":true,\
                 \"temperature\":0.0,\"text\":{{\"format\":{{\"type\":\"text\"}}}},\"top_p\":null,\"truncation\":\"disabled\",\
                 \"user\":null,\"metadata\":{{}}}}",
                request.request_id
            )
        );
        let failed = frame.failed("gone");
        assert_eq!((&failed["status"], &failed["error"]["message"]), (&json!("failed"), &json!("gone")));
        assert_eq!(failed["text"], Value::Null);
    }
}
