//! `/api/embed` and `/api/embeddings`.

use std::time::Instant;

use actix_web::{HttpResponse, web};

use super::embed::{EmbedResponse, OllamaEmbedRequest, embedding};
use super::error::OllamaError;
use super::routes::{Body, model};
use crate::app::App;
use crate::http::reply;

/// The vectors of a request's texts, and the number of tokens.
async fn vectors(
    app: &App,
    request: &OllamaEmbedRequest,
    adapter: Option<String>,
) -> Result<(Vec<Vec<f32>>, u64), OllamaError> {
    if request.input.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let mut generation = app.manager.embedding_request(request.to_native(adapter)).await?;
    generation.finished().await?;
    let outputs = generation.handles.iter().map(|handle| handle.state().output());
    let (vectors, counts): (Vec<_>, Vec<_>) =
        outputs.map(|output| (output.embedding.clone(), output.counts.prompt_tokens)).unzip();
    Ok((vectors, counts.iter().sum()))
}

/// `POST /api/embed`.
pub async fn embed(app: web::Data<App>, body: Body) -> Result<HttpResponse, OllamaError> {
    let started = Instant::now();
    let request = OllamaEmbedRequest::from_json(&body?.0)?;
    let (adapter, model) = model(&app, &request.model)?;
    let (vectors, tokens) = vectors(&app, &request, adapter).await?;
    let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Ok(reply::json(&EmbedResponse::new(&model, &vectors, nanoseconds, tokens)))
}

/// `POST /api/embeddings`: a single text; used by older clients.
pub async fn embeddings(app: web::Data<App>, body: Body) -> Result<HttpResponse, OllamaError> {
    let request = OllamaEmbedRequest::from_prompt_json(&body?.0)?;
    let (adapter, _) = model(&app, &request.model)?;
    let (vectors, _) = vectors(&app, &request, adapter).await?;
    Ok(reply::json(&embedding(vectors.first().map(Vec::as_slice).unwrap_or_default())))
}
