//! The OpenAI-style routes of models that embed, score or classify: `/v1/embeddings`, `/v1/classify`, `/v1/score`.

use actix_web::{HttpResponse, web};
use serde_json::{Map, json};
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::requests::embedding::EmbeddingReqInput;
use sglang_tokenizer_manager::requests::score::ScoringRequest;
use sglang_tokenizer_manager::state::Counts;

use super::classify::{ClassifyRequest, ClassifyResponse};
use super::embed::{EmbeddingRequest, EmbeddingResponse};
use super::score::ScoringResponse;
use crate::apis::openai::usage::UsageInfo;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::reply;

/// `POST /v1/embeddings`.
pub async fn embeddings(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let request = EmbeddingRequest::from_json(&body.0)?;
    drop(body);
    let format = request.format()?;
    request.input.check()?;
    let adapter = app.adapter_of(&request.model)?;
    let base = EmbeddingReqInput {
        prompts: Some(request.input.prompts(|text| rendered(&app, text))?),
        lora_path: adapter.map(|name| OneOrMany::One(Some(name))).or(request.base.lora_path.clone()),
        ..request.base
    };
    let mut generation = app.manager.embedding_request(base).await.map_err(ApiError::openai)?;
    generation.finished().await.map_err(ApiError::openai)?;
    Ok(reply::json(&EmbeddingResponse::new(&generation.handles, format, &app.args.model_path)))
}

/// The prompt for an input object's text: rendered with the chat template, if the model has one.
fn rendered(app: &App, text: &str) -> Result<String, ApiError> {
    match app.manager.limits.codec.as_deref().filter(|codec| codec.has_chat_template()) {
        None => Ok(text.to_owned()),
        Some(codec) => codec
            .render_chat(&[json!({"role": "user", "content": text})], None, true, &Map::new())
            .map_err(|e| ApiError::bad_conversion(e.0)),
    }
}

/// `POST /v1/classify`.
pub async fn classify(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let request = ClassifyRequest::from_json(&body.0)?;
    drop(body);
    request.input.check()?;
    let adapter = app.adapter_of(&request.model)?;
    let base = EmbeddingReqInput {
        prompts: Some(request.input.prompts(|text| Ok(text.to_owned()))?),
        lora_path: adapter.map(|name| OneOrMany::One(Some(name))),
        ..request.base
    };
    let mut generation = app.manager.embedding_request(base).await.map_err(ApiError::openai)?;
    generation.finished().await.map_err(ApiError::openai)?;
    let labels = app.manager.limits.embedding.as_ref().and_then(|facts| facts.labels.clone());
    let labels = labels.unwrap_or_default();
    Ok(reply::json(&ClassifyResponse::new(&generation.handles, &labels, app.args.served_model_name())))
}

/// `POST /v1/score`.
pub async fn score(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let mut request = ScoringRequest::from_json(&body.0)?;
    drop(body);
    request.lora_path = app.adapter_of(&request.model)?;
    let model = request.model.clone();
    let result = app.manager.score_request(request).await.map_err(ApiError::openai)?;
    let counts = Counts { prompt_tokens: result.prompt_tokens, ..Counts::default() };
    Ok(reply::json(&ScoringResponse {
        scores: result.scores,
        pooled_hidden_states: result.pooled_hidden_states,
        token_logprobs: result.token_logprobs,
        model,
        usage: UsageInfo::of_choice(counts, false),
        object: "scoring",
    }))
}
