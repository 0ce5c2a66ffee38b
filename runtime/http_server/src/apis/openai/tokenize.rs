//! `/tokenize`, `/detokenize`.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::requests::tokenize::INLINE_BYTES;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, boolean, int, list};
use sglang_tokenizer_manager::text::{TextCodec, TextError};

use crate::app::App;
use crate::chat::prompt::RenderOptions;
use crate::chat::request::ChatCompletionRequest;
use crate::http::errors::ApiError;
use crate::http::extract::OpenAiJson;
use crate::http::reply;
use crate::preparation::{prompt_ids, text_bytes};
use crate::request_fields;

fn codec(app: &App) -> Result<Arc<dyn TextCodec>, ApiError> {
    app.manager.limits.codec.clone().ok_or_else(|| {
        ApiError::bad_request("There is no tokenizer: the server was launched with --skip-tokenizer-init.")
    })
}

/// Runs short `work` here and long work on a separate thread.
async fn off_loop<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, TextError> + Send + 'static,
) -> Result<T, ApiError> {
    let result = if bytes <= INLINE_BYTES {
        work()
    } else {
        tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::OpenAi {
            status: 500,
            kind: "InternalServerError".into(),
            message: format!("Internal server error during tokenization: {error}"),
        })?
    };
    result.map_err(|e| ApiError::bad_request(e.0))
}

fn max_model_len(app: &App, codec: &dyn TextCodec) -> u64 {
    let context = app.max_model_len() as u64;
    codec.model_max_length().map_or(context, |limit| limit.min(context))
}

/// Prompt, `add_special_tokens` and `add_generation_prompt` of `/tokenize`.
type TokenizeBody = (Option<OneOrMany<String>>, bool, Option<bool>);

/// Reads the body of `/tokenize`, except the messages.
///
/// # Errors
/// Every invalid field, as for the reader below.
pub fn read_tokenize(body: &Map<String, Value>) -> Result<TokenizeBody, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let prompt = request_fields::texts(&mut f, "prompt");
    let add_special_tokens = f.or("add_special_tokens", true, boolean);
    let add_generation_prompt = f.optional("add_generation_prompt", boolean);
    if f.has("prompt") == f.has("messages") {
        f.push_rule("Exactly one of 'prompt' or 'messages' must be provided.");
    }
    f.finish(Some((prompt, add_special_tokens, add_generation_prompt)))
}

/// Reads the body of `/detokenize`: ids, and whether to leave out special tokens.
pub fn read_detokenize(body: &Map<String, Value>) -> Result<(OneOrMany<Vec<i64>>, bool), Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    f.required("tokens", |_| Ok(()));
    let (one, many) = (list(int), list(list(int)));
    let tokens = f.union(
        "tokens",
        &[
            ("list[int]", &|v: &Value| one(v).map(OneOrMany::One)),
            ("list[list[int]]", &|v: &Value| many(v).map(OneOrMany::Many)),
        ],
    );
    let skip_special_tokens = f.or("skip_special_tokens", true, boolean);
    f.finish(tokens.map(|tokens| (tokens, skip_special_tokens)))
}

/// `POST /tokenize`: a prompt, several, or messages.
pub async fn tokenize(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let (prompt, add_special_tokens, add_generation_prompt) = read_tokenize(&body.0)?;
    let codec = codec(&app)?;
    let max_model_len = max_model_len(&app, codec.as_ref());
    let (tokens, count) = match prompt {
        Some(OneOrMany::One(text)) => {
            let ids = off_loop(text.len(), move || codec.encode(&text, add_special_tokens)).await?;
            (json!(ids), json!(ids.len()))
        }
        Some(OneOrMany::Many(texts)) => {
            let bytes = texts.iter().map(String::len).sum();
            let encode = move || {
                texts.iter().map(|t| codec.encode(t, add_special_tokens)).collect::<Result<Vec<_>, _>>()
            };
            let lists = off_loop(bytes, encode).await?;
            (json!(lists), json!(lists.iter().map(Vec::len).collect::<Vec<_>>()))
        }
        None => {
            let ids = tokenize_messages(&app, &body.0, add_generation_prompt, add_special_tokens).await?;
            (json!(ids), json!(ids.len()))
        }
    };
    Ok(reply::json(&json!({"tokens": tokens, "count": count, "max_model_len": max_model_len})))
}

async fn tokenize_messages(
    app: &web::Data<App>,
    body: &Map<String, Value>,
    add_generation_prompt: Option<bool>,
    add_special_tokens: bool,
) -> Result<Vec<u32>, ApiError> {
    let request = ChatCompletionRequest::from_json(body)?;
    request.validate(app.args.context_length, app.args.allow_auto_truncate).map_err(ApiError::bad_request)?;
    if add_generation_prompt == Some(false) && request.continue_final_message {
        return Err(ApiError::bad_request(
            "continue_final_message needs add_generation_prompt to open the assistant turn.",
        ));
    }
    // Only a request that sets its own form may request special tokens around it.
    let explicit = add_generation_prompt.is_some() && body.contains_key("add_special_tokens");
    let add_special_tokens = explicit && add_special_tokens;
    let options = RenderOptions { add_generation_prompt, add_special_tokens, ..Default::default() };
    prompt_ids(app, &request, options, text_bytes(&request)).await
}

/// `POST /detokenize`: one list of ids, or several.
pub async fn detokenize(app: web::Data<App>, body: OpenAiJson) -> Result<HttpResponse, ApiError> {
    let (tokens, skip_special_tokens) = read_detokenize(&body.0)?;
    let codec = codec(&app)?;
    let limits = app.manager.limits.clone();
    let bytes = match &tokens {
        OneOrMany::One(ids) => ids.len(),
        OneOrMany::Many(lists) => lists.iter().map(Vec::len).sum(),
    };
    let decode = move |ids: &[i64]| {
        let ids = limits.valid_ids(ids, "tokens").map_err(|e| TextError(e.0))?;
        codec.decode(&ids, skip_special_tokens)
    };
    let text = off_loop(bytes, move || match tokens {
        OneOrMany::One(ids) => decode(&ids).map(Value::from),
        OneOrMany::Many(lists) => {
            lists.iter().map(|ids| decode(ids)).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
    });
    let text = text.await.map_err(|error| match error {
        ApiError::OpenAi { status: 400, message, .. } => ApiError::OpenAi {
            status: 400,
            kind: "DecodeError".into(),
            message: format!(
                "Error decoding tokens: {message}. Input tokens might be invalid for the model."
            ),
        },
        other => other,
    })?;
    Ok(reply::json(&json!({"text": text})))
}
