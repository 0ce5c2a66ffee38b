//! `/encode` and `/classify`: the same handler under two names.

use actix_web::{HttpResponse, web};
use sglang_tokenizer_manager::requests::embedding::EmbeddingReqInput;

use crate::answer::embedding::EmbeddingAnswer;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;

/// `POST /encode`, `PUT /encode`, and the same under `/classify`.
pub async fn encode(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let request = EmbeddingReqInput::from_json(&body.0)?;
    drop(body);
    let mut generation = app.manager.embedding_request(request).await.map_err(ApiError::native)?;
    generation.finished().await.map_err(ApiError::native)?;
    let answer = |handle| EmbeddingAnswer { state: handle, show: generation.show, app: &app };
    let answers: Vec<_> = generation.handles.iter().map(|handle| answer(handle.state())).collect();
    Ok(match answers.as_slice() {
        [one] if generation.is_single => reply::json(one),
        all => reply::json(&all),
    })
}
