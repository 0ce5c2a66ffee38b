//! Which code reads the body of which route.

use serde_json::{Map, Value, json};

use crate::anthropic::request::MessagesRequest;
use crate::http::{control, memory, operations, parsers, sessions, tokenize, vertex, weights};
use crate::ollama::chat::OllamaChatRequest;
use crate::ollama::embed::OllamaEmbedRequest;
use crate::ollama::generate::OllamaGenerateRequest;
use crate::ollama::models::read_show;
use crate::openai::chat_request::ChatCompletionRequest;
use crate::openai::classify::ClassifyRequest;
use crate::openai::completion_request::CompletionRequest;
use crate::openai::embeddings::EmbeddingRequest;
use crate::openai::rerank::V1RerankReqInput;
use crate::openai::score::ScoringRequest;
use crate::requests::GenerateReqInput;
use crate::requests::embedding::EmbeddingReqInput;
use crate::responses::request::ResponsesRequest;

/// Asks for every field of an empty body; only what it asks for matters.
macro_rules! reads {
    ($read:path) => {
        || drop($read(&Map::new()))
    };
}

/// What reads the body of a route, and whether there may be none. `None` for routes that take no body, or whose body is
/// described elsewhere.
pub(super) fn reader(path: &str) -> Option<(fn(), bool)> {
    let read: fn() = match path {
        "/generate" => reads!(GenerateReqInput::from_json),
        "/vertex_generate" => reads!(vertex::read),
        "/v1/chat/completions" | "/invocations" => reads!(ChatCompletionRequest::from_json),
        "/v1/completions" => reads!(CompletionRequest::from_json),
        "/v1/messages" => reads!(MessagesRequest::from_json),
        "/v1/messages/count_tokens" => reads!(MessagesRequest::from_count_json),
        "/v1/responses" => reads!(ResponsesRequest::from_json),
        "/encode" | "/classify" => reads!(EmbeddingReqInput::from_json),
        "/v1/embeddings" => reads!(EmbeddingRequest::from_json),
        "/v1/classify" => reads!(ClassifyRequest::from_json),
        "/v1/rerank" | "/rerank" | "/v2/rerank" => reads!(V1RerankReqInput::from_json),
        "/v1/score" => reads!(ScoringRequest::from_json),
        "/api/chat" => reads!(OllamaChatRequest::from_json),
        "/api/generate" => reads!(OllamaGenerateRequest::from_json),
        "/api/embed" => reads!(OllamaEmbedRequest::from_json),
        "/api/embeddings" => reads!(OllamaEmbedRequest::from_prompt_json),
        "/api/show" => reads!(read_show),
        "/tokenize" | "/v1/tokenize" => reads!(tokenize::read_tokenize),
        "/detokenize" | "/v1/detokenize" => reads!(tokenize::read_detokenize),
        "/parse_function_call" => reads!(parsers::read_function_call),
        "/separate_reasoning" => reads!(parsers::read_reasoning),
        "/open_session" => reads!(sessions::read_open),
        "/close_session" => reads!(sessions::read_close),
        "/abort_request" => reads!(control::read_abort),
        "/pause_generation" => reads!(control::read_pause),
        "/continue_generation" => reads!(control::read_continue),
        "/update_weight_version" => reads!(control::read_weight_version),
        "/set_internal_state" => reads!(control::read_internal_state),
        "/configure_logging" => reads!(operations::read_logging),
        "/release_memory_occupation" | "/resume_memory_occupation" => reads!(memory::read_tags),
        "/slow_down" => reads!(memory::read_slow_down),
        "/weights_checker" => return Some((reads!(weights::read_check), true)),
        "/start_profile" => return Some((reads!(operations::read_profile), true)),
        _ => return None,
    };
    Some((read, false))
}

/// Query parameters of a route.
pub(super) fn query(path: &str) -> Vec<Value> {
    let parameter =
        |name: &str, schema: Value| json!({"name": name, "in": "query", "required": false, "schema": schema});
    match path {
        "/flush_cache" => vec![parameter("timeout", json!({"type": "number", "minimum": 0}))],
        "/set_trace_level" => vec![parameter("level", json!({"type": "integer", "minimum": 0}))],
        "/v1/loads" => vec![
            parameter("dp_rank", json!({"const": 0})),
            parameter("include", json!({"type": "string"})),
            parameter("format", json!({"enum": ["json", "prometheus"]})),
        ],
        _ => Vec::new(),
    }
}
