//! The reader of each route's body, and the route's query parameters.

use std::fmt::Debug;

use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::embedding::EmbeddingReqInput;
use sglang_tokenizer_manager::requests::probe::{self, FieldShape};
use sglang_tokenizer_manager::requests::score::ScoringRequest;
use sglang_tokenizer_manager::requests::{GenerateReqInput, contract};

use super::examples::{Example, examples};
use crate::apis::anthropic::request::MessagesRequest;
use crate::apis::native::{control, disabled, lora, memory, operations, parse, sessions, vertex, weights};
use crate::apis::ollama::chat::OllamaChatRequest;
use crate::apis::ollama::embed::OllamaEmbedRequest;
use crate::apis::ollama::generate::OllamaGenerateRequest;
use crate::apis::ollama::models::read_show;
use crate::apis::openai::completions::request::CompletionRequest;
use crate::apis::openai::embeddings::classify::ClassifyRequest;
use crate::apis::openai::embeddings::embed::EmbeddingRequest;
use crate::apis::openai::rerank::request::V1RerankReqInput;
use crate::apis::openai::tokenize;
use crate::apis::responses::request::ResponsesRequest;
use crate::chat::request::ChatCompletionRequest;

/// Reads a body, and returns what it understood or why it refuses.
pub(super) type Reader = fn(&Map<String, Value>) -> Result<String, String>;

/// The body of a route.
pub(super) struct Body {
    /// The code that reads the body.
    pub read: Reader,
    /// Whether the body is optional.
    pub optional: bool,
    /// Valid bodies; together they show every form that cannot be guessed.
    pub examples: Vec<Example>,
}

impl Body {
    /// The fields that the code reads in the examples and in an empty body.
    pub(super) fn fields(&self) -> Vec<FieldShape> {
        probe::fields_of(|| {
            for example in &self.examples {
                drop((self.read)(&example.body));
            }
            drop((self.read)(&Map::new()));
        })
    }
}

fn shown<T: Debug, E: Debug>(read: Result<T, E>) -> Result<String, String> {
    read.map(|value| format!("{value:?}")).map_err(|error| format!("{error:?}"))
}

macro_rules! reads {
    ($read:path) => {
        |body| shown($read(body))
    };
}

/// `/generate` reads its body twice.
fn generate(body: &Map<String, Value>) -> Result<String, String> {
    let checked = shown(contract::check_generate(body));
    let read = shown(GenerateReqInput::from_json(body))?;
    checked.map(|_| read)
}

/// `/tokenize` reads messages like a chat completion.
fn tokenize(body: &Map<String, Value>) -> Result<String, String> {
    let read = shown(tokenize::read_tokenize(body))?;
    match body.contains_key("messages") {
        true => Ok(read + &shown(ChatCompletionRequest::from_json(body))?),
        false => Ok(read),
    }
}

/// The body of a route; `None` if it has none.
pub(super) fn body(path: &str) -> Option<Body> {
    let read: Reader = match path {
        "/generate" => generate,
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
        "/tokenize" | "/v1/tokenize" => tokenize,
        "/detokenize" | "/v1/detokenize" => reads!(tokenize::read_detokenize),
        "/parse_function_call" => reads!(parse::read_function_call),
        "/separate_reasoning" => reads!(parse::read_reasoning),
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
        "/update_weights_from_disk" => reads!(weights::read_update),
        "/get_weights_by_name" => reads!(weights::read_weights_by_name),
        "/weights_checker" => reads!(weights::read_check),
        "/start_profile" => reads!(operations::read_profile),
        "/load_lora_adapter" => reads!(lora::read_load),
        "/unload_lora_adapter" => reads!(lora::read_unload),
        "/remove_external_corpus" => reads!(disabled::read_corpus),
        "/pd_role_switch" => reads!(disabled::read_role),
        _ => return None,
    };
    let optional = matches!(path, "/weights_checker" | "/start_profile");
    Some(Body { read, optional, examples: examples(path) })
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
        "/remote_instance_transfer_engine_info" | "/get_remote_instance_transfer_engine_info" => {
            vec![parameter("rank", json!({"type": "integer", "minimum": 0}))]
        }
        _ => Vec::new(),
    }
}
