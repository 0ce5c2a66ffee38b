//! `/parse_function_call`, `/separate_reasoning`: apply the parsers to a given text, without a model.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_parsers::{ReasoningOptions, ReasoningParser, Tool, ToolParser};
use sglang_tokenizer_manager::requests::tokenize::INLINE_BYTES;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, boolean, list, string};

use crate::app::App;
use crate::chat::message;
use crate::chat::tool_constraint::parser_tool;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::reply;

/// The error for an unknown parser name. (The reference answers with a plain 500.)
fn unknown(field: &str, name: Option<&str>, names: impl Iterator<Item = &'static str>) -> ApiError {
    let names: Vec<&str> = names.collect();
    let what = match name {
        Some(name) => format!("Unsupported {field}: {name}"),
        None => format!("{field} is missing, and the server was launched without one"),
    };
    ApiError::Http { status: 400, detail: format!("{what}. Expected one of: {}.", names.join(", ")) }
}

/// Parses a long text on a separate thread.
async fn parse<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes <= INLINE_BYTES {
        return Ok(work());
    }
    let failed = |error| ApiError::Http {
        status: 500,
        detail: format!("Internal server error: parsing failed: {error}"),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

/// Text, tools and parser of `/parse_function_call`.
type FunctionCallBody = (String, Vec<Value>, Option<String>);

/// Reads the body of `/parse_function_call`.
///
/// # Errors
/// Every invalid field, as for the reader below.
pub fn read_function_call(body: &Map<String, Value>) -> Result<FunctionCallBody, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let text = f.required("text", string);
    let tools: Vec<Value> = f.or("tools", Vec::new(), list(message::tool));
    let name = f.optional("tool_call_parser", string);
    f.finish(text.map(|text| (text, tools, name)))
}

/// Reads the body of `/separate_reasoning`: text, parser, and whether to return blocks.
pub fn read_reasoning(body: &Map<String, Value>) -> Result<(String, String, bool), Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let text = f.required("text", string);
    let name = f.required("reasoning_parser", string);
    let return_blocks = f.or("return_blocks", false, boolean);
    f.finish(text.zip(name).map(|(text, name)| (text, name, return_blocks)))
}

/// `POST /parse_function_call`. Without `tool_call_parser` the server's parser is used.
pub async fn parse_function_call(app: web::Data<App>, body: NativeJson) -> Result<HttpResponse, ApiError> {
    let (text, tools, name) = read_function_call(&body.0)?;
    let parser = match &name {
        Some(name) => ToolParser::by_name(name),
        None => app.parsers.tool_call,
    };
    let parser = parser.ok_or_else(|| unknown("tool_call_parser", name.as_deref(), ToolParser::names()))?;
    let options = app.parsers.tool_options;
    let parsed = parse(text.len(), move || {
        let tools: Vec<Tool> = tools.iter().map(parser_tool).collect();
        parser.parse(&text, &tools, options)
    });
    Ok(reply::json(&parsed.await?))
}

/// `POST /separate_reasoning`.
pub async fn separate_reasoning(body: NativeJson) -> Result<HttpResponse, ApiError> {
    let (text, name, return_blocks) = read_reasoning(&body.0)?;
    let parser = ReasoningParser::by_name(&name)
        .ok_or_else(|| unknown("reasoning_parser", Some(&name), ReasoningParser::names()))?;
    let parts = parse(text.len(), move || parser.parse(&text, &ReasoningOptions::default())).await?;
    let mut answer = json!({"reasoning_text": parts.reasoning, "text": parts.normal});
    if return_blocks {
        let reasoning: Vec<&str> =
            Some(parts.reasoning.as_str()).filter(|t| !t.is_empty()).into_iter().collect();
        let blocks = reasoning.iter().map(|text| json!({"type": "reasoning", "text": text}));
        let text = json!({"type": "text", "text": parts.normal});
        let blocks: Vec<Value> = blocks.chain([text]).collect();
        answer["reasoning_blocks"] = json!(reasoning);
        answer["text_blocks"] = json!([parts.normal]);
        answer["blocks"] = blocks.into();
    }
    Ok(reply::json(&answer))
}
