//! Converts a chat request to the native request that serves it, for every dialect with chats.

use actix_web::{HttpRequest, web};
use serde_json::Value;
use sglang_proto::sampling_params::{Given, SamplingRequest};
use sglang_tokenizer_manager::requests::tokenize::INLINE_BYTES;
use sglang_tokenizer_manager::requests::{GenerateReqInput, OneOrMany};

use crate::app::App;
use crate::chat::prompt::{self, RenderOptions};
use crate::chat::request::ChatCompletionRequest;
use crate::chat::tool_constraint;
use crate::http::errors::ApiError;
use crate::http::header_overrides;
use crate::parsers::Parsers;

/// The value of the header that selects a data-parallel rank.
pub fn dp_header(req: &HttpRequest) -> Option<&str> {
    req.headers().get("x-data-parallel-rank").map(|v| v.to_str().unwrap_or("?"))
}

/// Renders and tokenizes the messages. Long conversations are tokenized on a separate thread.
///
/// # Errors
/// If the template refuses the messages.
pub async fn prompt_ids(
    app: &web::Data<App>,
    request: &ChatCompletionRequest,
    options: RenderOptions,
    bytes: usize,
) -> Result<Vec<u32>, ApiError> {
    let Some(codec) = app.manager.limits.codec.clone() else {
        return Err(ApiError::bad_conversion(
            "Messages need a tokenizer, but the server was launched with --skip-tokenizer-init.",
        ));
    };
    let defaults = app.args.default_chat_template_kwargs.as_ref();
    let options = RenderOptions { reasoning_parser: app.parsers.reasoning, ..options };
    let ids = if bytes <= INLINE_BYTES {
        prompt::prompt_ids(codec.as_ref(), request, defaults, options)
    } else {
        let (request, defaults) = (request.clone(), defaults.cloned());
        let render = move || prompt::prompt_ids(codec.as_ref(), &request, defaults.as_ref(), options);
        tokio::task::spawn_blocking(render).await.map_err(|error| ApiError::OpenAi {
            status: 500,
            kind: "InternalServerError".into(),
            message: format!("Internal server error: rendering failed: {error}"),
        })?
    };
    ids.map_err(|e| ApiError::bad_conversion(e.0))
}

/// The approximate length of a conversation's text in bytes.
pub fn text_bytes(request: &ChatCompletionRequest) -> usize {
    let content = |message: &Value| match &message["content"] {
        Value::String(text) => text.len(),
        Value::Array(parts) => parts.iter().map(|p| p["text"].as_str().map_or(0, str::len)).sum(),
        _ => 0,
    };
    request.messages.iter().map(content).sum()
}

/// The parts of the conversion that a dialect decides.
pub struct Preparation<'a> {
    /// The parsers for the answers.
    pub parsers: &'a Parsers,
    /// Sampling parameters for those that the request leaves out.
    pub sampling_defaults: &'a SamplingRequest,
    /// The adapter to use.
    pub adapter: Option<String>,
}

/// Checks a request and converts it to a native one.
///
/// # Errors
/// If the request is inconsistent or cannot be converted.
pub async fn prepare(
    app: &web::Data<App>,
    req: &HttpRequest,
    request: &ChatCompletionRequest,
) -> Result<GenerateReqInput, ApiError> {
    let preparation = Preparation {
        parsers: &app.parsers,
        sampling_defaults: &app.model.default_sampling_params,
        adapter: app.adapter_of(&request.model)?,
    };
    prepare_with(app, req, request, preparation).await
}

/// The same, for a dialect with its own parsers, defaults or adapter.
pub async fn prepare_with(
    app: &web::Data<App>,
    req: &HttpRequest,
    request: &ChatCompletionRequest,
    preparation: Preparation<'_>,
) -> Result<GenerateReqInput, ApiError> {
    let Preparation { parsers, sampling_defaults, adapter } = preparation;
    // Checked before the template: an embedding model has none, and the client could not fix that.
    app.manager.check_generates().map_err(|e| ApiError::bad_conversion(e.0))?;
    request.validate(app.args.context_length, app.args.allow_auto_truncate).map_err(ApiError::bad_request)?;
    request.check_conversion().map_err(ApiError::bad_conversion)?;
    parsers.check(request).map_err(ApiError::bad_conversion)?;
    let dp_rank = dp_rank(dp_header(req), request.base.routed_dp_rank)?;
    let prompt = match &request.input_ids {
        Some(ids) => ids.clone(),
        None => {
            let ids = prompt_ids(app, request, RenderOptions::default(), text_bytes(request)).await?;
            ids.into_iter().map(i64::from).collect()
        }
    };
    let mut generate = request.to_generate(prompt, sampling_defaults, adapter, dp_rank);
    if let Some(OneOrMany::One(sampling)) = &mut generate.sampling_params {
        tool_constraint::bind(parsers.tool_call, request, sampling);
        if parsers.reads_harmony() {
            sampling.skip_special_tokens = Given::Value(false);
        }
    }
    let template_defaults = app.args.default_chat_template_kwargs.as_ref();
    header_overrides::apply(app, req, &mut generate)?;
    generate.require_reasoning = parsers.opens_with_reasoning(request, template_defaults);
    Ok(generate)
}

/// The rank in the header `X-Data-Parallel-Rank`, or else in the body.
///
/// # Errors
/// If the header is not an integer.
pub fn dp_rank(header: Option<&str>, body: Option<i64>) -> Result<Option<i64>, ApiError> {
    match header {
        None => Ok(body),
        Some(text) => text.trim().parse().map(Some).map_err(|_| ApiError::OpenAi {
            status: 400,
            kind: "400".into(),
            message: format!("Invalid X-Data-Parallel-Rank header: must be an integer, got '{text}'"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_over_the_body_and_must_be_a_number() {
        assert_eq!(dp_rank(Some("2"), Some(1)).unwrap(), Some(2));
        assert_eq!(dp_rank(None, Some(1)).unwrap(), Some(1));
        assert!(dp_rank(Some("abc"), None).unwrap_err().to_string().contains("got 'abc'"));
    }
}
