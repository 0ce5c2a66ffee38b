//! The OpenAI-style routes of models that embed, score or classify: `/v1/embeddings`, `/v1/classify`, `/v1/rerank`,
//! `/v1/score`.

use actix_web::{HttpResponse, web};
use serde_json::{Map, json};

use super::errors::ApiError;
use super::extract::OpenAiJson;
use super::reply;
use crate::app::App;
use crate::openai::classify::{ClassifyRequest, ClassifyResponse};
use crate::openai::embeddings::{EmbeddingRequest, EmbeddingResponse};
use crate::openai::rerank::{V1RerankReqInput, is_yes_no_template, yes_share};
use crate::openai::score::{Labels, ScoreItems, ScoringRequest, ScoringResponse};
use crate::openai::usage::UsageInfo;
use crate::openai::{fields, updates};
use crate::requests::OneOrMany;
use crate::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput};
use crate::state::Counts;
use crate::text::TextCodec;

/// `POST /v1/embeddings`.
pub async fn embeddings(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let request = EmbeddingRequest::from_json(&body.0)?;
    drop(body);
    let format = request.format()?;
    request.input.check()?;
    let adapter = fields::adapter_of_model(&request.model, app.args.served_model_name());
    let base = EmbeddingReqInput {
        prompts: Some(request.input.prompts(|text| rendered(&app, text))?),
        lora_path: adapter.map(|name| OneOrMany::One(Some(name))).or(request.base.lora_path.clone()),
        ..request.base
    };
    let mut generation = app.manager.embedding_request(base).await.map_err(ApiError::openai)?;
    updates::finished(&mut generation.handles).await.map_err(ApiError::openai)?;
    Ok(reply::json(&EmbeddingResponse::new(&generation.handles, format, &app.args.model_path)))
}

/// The prompt of an input object's text: through the chat template, where the model has one.
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
    let base = EmbeddingReqInput {
        prompts: Some(request.input.prompts(|text| Ok(text.to_owned()))?),
        ..request.base
    };
    let mut generation = app.manager.embedding_request(base).await.map_err(ApiError::openai)?;
    updates::finished(&mut generation.handles).await.map_err(ApiError::openai)?;
    let labels = app.manager.limits.embedding.as_ref().and_then(|facts| facts.labels.clone());
    let labels = labels.unwrap_or_default();
    Ok(reply::json(&ClassifyResponse::new(&generation.handles, &labels, app.args.served_model_name())))
}

/// `POST /v1/rerank`, `PUT /v1/rerank`.
pub async fn rerank(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let request = V1RerankReqInput::from_json(&body.0)?;
    drop(body);
    request.check()?;
    let codec = app.manager.limits.codec.as_deref();
    if let Some(codec) = codec.filter(|c| c.chat_template().is_some_and(is_yes_no_template)) {
        return rerank_by_yes_and_no(&app, &request, codec).await;
    }
    let facts = app.manager.limits.embedding.as_ref();
    if facts.is_some_and(|facts| facts.labels.is_none()) {
        return Err(ApiError::bad_request(
            "This model gives vectors and no scores: /v1/rerank needs a sequence classification model, or a generating \
             model whose chat template asks for \"yes\" or \"no\".",
        ));
    }
    let pair = |document: &String| EmbeddingPrompt::Pair(request.query.clone(), document.clone());
    let pairs = OneOrMany::Many(request.documents.iter().map(pair).collect());
    let mut generation =
        app.manager.embedding_request(EmbeddingReqInput::of(pairs)).await.map_err(ApiError::openai)?;
    updates::finished(&mut generation.handles).await.map_err(ApiError::openai)?;
    let score = |handle: &crate::state::RequestHandle| {
        handle.state().output().embedding.first().map_or(0.0, |score| f64::from(*score))
    };
    let scores: Vec<f64> = generation.handles.iter().map(score).collect();
    Ok(reply::json(&request.response(&scores, &generation.handles, &app)))
}

/// A reranker that is a decoder: its template asks whether the document answers the query, and the score is the share
/// of "yes" in the probability of "yes" and "no".
async fn rerank_by_yes_and_no(
    app: &web::Data<App>,
    request: &V1RerankReqInput,
    codec: &dyn TextCodec,
) -> Result<HttpResponse, ApiError> {
    if app.manager.limits.embedding.is_some() {
        return Err(ApiError::bad_request(
            "Detected Qwen3 reranker chat template, but the server is not in generation mode. Please relaunch without \
             --is-embedding for Qwen3-Reranker models.",
        ));
    }
    let id = |word: &str| match codec.encode(word, false).as_deref() {
        Ok([id]) => Ok(i64::from(*id)),
        _ => Err(ApiError::bad_request(format!(
            "The tokenizer has no single token for \"{word}\", which the reranker's template asks for."
        ))),
    };
    let labels = vec![id("yes")?, id("no")?];
    // Only when it is given: templates have a default of their own.
    let instruct = request.instruct.iter().filter(|text| !text.is_empty());
    let kwargs: Map<_, _> = instruct.map(|text| ("instruct".to_owned(), json!(text))).collect();
    let prompt = |document: &String| {
        let message = |content: &str| json!({"role": "user", "content": content});
        let messages = [message(&request.query), message(document)];
        codec.render_chat(&messages, None, false, &kwargs).map_err(|e| ApiError::bad_request(e.0))
    };
    let prompts = request.documents.iter().map(prompt).collect::<Result<Vec<_>, _>>()?;
    let scoring = ScoringRequest {
        items: Some(ScoreItems::Texts(prompts)),
        label_token_ids: Some(Labels::Shared(labels)),
        temperature: 1.0,
        ..ScoringRequest::default()
    };
    let result = app.manager.score_request(scoring).await.map_err(ApiError::openai)?;
    let share = |row: &Vec<f64>| match row.as_slice() {
        [yes, no] => yes_share(*yes, *no),
        _ => 0.0,
    };
    let scores: Vec<f64> = result.scores.iter().map(share).collect();
    Ok(reply::json(&request.response(&scores, &[], app)))
}

/// `POST /v1/score`.
pub async fn score(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let request = ScoringRequest::from_json(&body.0)?;
    drop(body);
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
