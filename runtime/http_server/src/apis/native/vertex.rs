//! `/vertex_generate`: a batch of `/generate` in the form of Vertex AI.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::GenerateReqInput;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, list, object};

use super::generate;
use crate::app::App;
use crate::http::errors::ApiError;
use crate::http::extract::NativeJson;
use crate::http::{header_overrides, reply};

/// Keys of an instance that can contain its prompt; the first instance decides which one all of them use.
const PROMPTS: [&str; 3] = ["text", "input_ids", "input_embeds"];

/// Whether Python takes the value for true.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// The body of `/generate` for these instances and parameters.
fn body_of(instances: &[Map<String, Value>], parameters: Map<String, Value>) -> Map<String, Value> {
    let mut body = Map::new();
    let given = |key: &&str| instances.first().and_then(|i| i.get(*key)).is_some_and(truthy);
    if let Some(key) = PROMPTS.into_iter().find(given) {
        let prompts: Vec<Value> = instances.iter().map(|i| i.get(key).cloned().unwrap_or_default()).collect();
        body.insert(key.to_owned(), prompts.into());
    }
    let images: Vec<Value> =
        instances.iter().filter_map(|i| i.get("image_data")).filter(|v| !v.is_null()).cloned().collect();
    if !images.is_empty() {
        body.insert("image_data".to_owned(), images.into());
    }
    body.extend(parameters);
    body
}

/// Instances and parameters.
type VertexBody = (Vec<Map<String, Value>>, Map<String, Value>);

/// Reads the body.
///
/// # Errors
/// Every invalid field.
pub fn read(body: &Map<String, Value>) -> Result<VertexBody, Vec<FieldError>> {
    let mut f = Fields::of_body(body);
    let instances = f.required("instances", list(object));
    let parameters = f.optional("parameters", object).unwrap_or_default();
    f.finish(instances.map(|instances| (instances, parameters)))
}

/// `POST /vertex_generate`.
pub async fn vertex_generate(
    app: web::Data<App>,
    req: HttpRequest,
    body: NativeJson,
) -> Result<HttpResponse, ApiError> {
    let (instances, parameters) = read(&body.0)?;
    if instances.is_empty() {
        return Ok(reply::json(&json!([])));
    }
    let mut request = GenerateReqInput::from_json(&body_of(&instances, parameters))?;
    header_overrides::apply(&app, &req, &mut request)?;
    if request.stream {
        return generate::serve(app, request).await;
    }
    let generation = app.manager.generate_request(request).await.map_err(ApiError::native)?;
    let predictions = generate::collect(&app, generation).await.map_err(ApiError::native)?;
    Ok(reply::text_json(StatusCode::OK, format!("{{\"predictions\":{predictions}}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_become_a_batch_of_the_first_ones_kind() {
        let objects = |value: Value| list(object)(&value).unwrap();
        let parameters = objects(json!([{"sampling_params": {"temperature": 0}}])).remove(0);
        let body = body_of(&objects(json!([{"text": "a"}, {"text": "b", "input_ids": [1]}])), parameters);
        assert_eq!(Value::Object(body), json!({"text": ["a", "b"], "sampling_params": {"temperature": 0}}));
        let ids = body_of(&objects(json!([{"text": "", "input_ids": [1]}])), Map::new());
        assert_eq!(Value::Object(ids), json!({"input_ids": [[1]]}));
        assert!(body_of(&objects(json!([{}])), Map::new()).is_empty());
    }
}
