//! `/v1/rerank`, `/rerank` and `/v2/rerank`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, json};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput};
use sglang_tokenizer_manager::requests::score::{Labels, ScoreItems, ScoringRequest};
use sglang_tokenizer_manager::state::RequestHandle;
use sglang_tokenizer_manager::text::{TextCodec, TextError};

use super::request::{V1RerankReqInput, is_yes_no_template, yes_share};
use super::results::{RerankForm, RerankResults, relevance};
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::reply;

/// The result of a ranking.
struct Ranking {
    scores: Vec<f64>,
    /// Whether the scores are between 0 and 1.
    is_share: bool,
    prompt_tokens: u64,
    /// The requests that gave the scores; empty if token probabilities did.
    handles: Vec<RequestHandle>,
}

/// `POST` and `PUT` of all three paths.
pub async fn rerank(
    app: web::Data<App>,
    req: HttpRequest,
    body: OpenAiJson,
) -> Result<HttpResponse, ApiError> {
    let mut request = V1RerankReqInput::from_json(&body.0)?;
    drop(body);
    request.check()?;
    let adapter = app.adapter_of(&request.model)?;
    if request.model == DEFAULT_MODEL {
        request.model = app.served_model_name();
    }
    let codec = app.manager.limits.codec.as_deref();
    if let (Some(codec), Some(most)) = (codec, request.max_tokens_per_doc) {
        shorten(&mut request.documents, codec, most).map_err(|e| ApiError::bad_request(e.0))?;
    }
    let ranking = match codec.filter(|c| c.chat_template().is_some_and(is_yes_no_template)) {
        Some(codec) => by_yes_and_no(&app, &request, codec, adapter).await?,
        None => by_class(&app, &request, adapter).await?,
    };
    let sdk = req.headers().get("x-fern-sdk-name").and_then(|name| name.to_str().ok());
    Ok(match RerankForm::of(req.path(), sdk, request.is_foreign, app.env.rerank_results) {
        RerankForm::Reference => reply::json(&request.response(&ranking.scores, &ranking.handles, &app)),
        RerankForm::Results { version, with_documents } => {
            let share = |score: &f64| if ranking.is_share { *score } else { relevance(*score) };
            let shares: Vec<f64> = ranking.scores.iter().map(share).collect();
            let tokens = ranking.prompt_tokens;
            reply::json(&RerankResults::new(&request, &shares, tokens, version, with_documents))
        }
    })
}

/// Cuts documents to their first `most` tokens.
fn shorten(documents: &mut [String], codec: &dyn TextCodec, most: usize) -> Result<(), TextError> {
    for document in documents {
        let ids = codec.encode(document, false)?;
        if let Some(first) = ids.get(..most).filter(|_| ids.len() > most) {
            *document = codec.decode(first, true)?;
        }
    }
    Ok(())
}

/// Scores with a classifier, which reads query and document as a pair.
async fn by_class(
    app: &web::Data<App>,
    request: &V1RerankReqInput,
    adapter: Option<String>,
) -> Result<Ranking, ApiError> {
    let facts = app.manager.limits.embedding.as_ref();
    if facts.is_some_and(|facts| facts.labels.is_none()) {
        return Err(ApiError::bad_request(
            "This model gives vectors and no scores: /v1/rerank needs a sequence classification model, or a generating \
             model whose chat template asks for \"yes\" or \"no\".",
        ));
    }
    let pair = |document: &String| EmbeddingPrompt::Pair(request.query.clone(), document.clone());
    let pairs = OneOrMany::Many(request.documents.iter().map(pair).collect());
    let lora_path = adapter.map(|name| OneOrMany::One(Some(name)));
    let input = EmbeddingReqInput { lora_path, ..EmbeddingReqInput::of(pairs) };
    let mut generation = app.manager.embedding_request(input).await.map_err(ApiError::openai)?;
    generation.finished().await.map_err(ApiError::openai)?;
    let score = |handle: &RequestHandle| {
        handle.state().output().embedding.first().map_or(0.0, |score| f64::from(*score))
    };
    Ok(Ranking {
        scores: generation.handles.iter().map(score).collect(),
        is_share: false,
        prompt_tokens: generation.handles.iter().map(|h| h.state().output().counts.prompt_tokens).sum(),
        handles: generation.handles,
    })
}

/// Scores with a reranking decoder: its template asks whether the document answers the query, and the score is the
/// probability of "yes" among "yes" and "no".
async fn by_yes_and_no(
    app: &web::Data<App>,
    request: &V1RerankReqInput,
    codec: &dyn TextCodec,
    adapter: Option<String>,
) -> Result<Ranking, ApiError> {
    if let Some(facts) = &app.manager.limits.embedding {
        let other =
            if facts.by_flag { "relaunch without --is-embedding for" } else { "serve one of the generating" };
        return Err(ApiError::bad_request(format!(
            "Detected Qwen3 reranker chat template, but the server is not in generation mode. Please {other} Qwen3-Reranker \
             models."
        )));
    }
    let id = |word: &str| match codec.encode(word, false).as_deref() {
        Ok([id]) => Ok(i64::from(*id)),
        _ => Err(ApiError::bad_request(format!(
            "The tokenizer has no single token for \"{word}\", which the reranker's template asks for."
        ))),
    };
    let labels = vec![id("yes")?, id("no")?];
    // Only if given: templates have their own default.
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
        lora_path: adapter,
        ..ScoringRequest::default()
    };
    let result = app.manager.score_request(scoring).await.map_err(ApiError::openai)?;
    let share = |row: &Vec<f64>| match row.as_slice() {
        [yes, no] => yes_share(*yes, *no),
        _ => 0.0,
    };
    Ok(Ranking {
        scores: result.scores.iter().map(share).collect(),
        is_share: true,
        prompt_tokens: result.prompt_tokens,
        handles: Vec::new(),
    })
}
