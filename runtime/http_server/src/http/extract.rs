//! Reads JSON bodies: content type, size, time limits and syntax (reference: FastAPI with `validate_json_request`).

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures::StreamExt;
use serde_json::{Map, Value};
use sglang_tokenizer_manager::call_trace;
use sglang_tokenizer_manager::requests::validation::{FieldError, Loc};

use super::body_limit::{MAX_BODY_BYTES, too_large};
use super::compressed::Compression;
use super::errors::ApiError;
use crate::app::App;
use crate::environment::ClientLimits;

/// A value of the query; if the name occurs several times, the last one, as in the reference.
pub fn query(request: &HttpRequest, name: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?.into_inner();
    pairs.into_iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A JSON object as body. With `STRICT` the content type must be `application/json`, as on OpenAI's routes.
pub struct Json<const STRICT: bool>(pub Map<String, Value>);
/// The body of an OpenAI route.
pub type OpenAiJson = Json<true>;
/// The body of a native route.
pub type NativeJson = Json<false>;

impl<const STRICT: bool> FromRequest for Json<STRICT> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let wrong_type = STRICT && !is_json(req);
        let (source, payload) = (Source::of(req), payload.take());
        Box::pin(async move {
            if wrong_type {
                return Err(ApiError::Validation(vec![content_type_error()]));
            }
            parse_object(&source.read(payload).await?).map(Self)
        })
    }
}

/// A JSON object as body; a missing body counts as an empty object.
pub struct OptionalJson(pub Map<String, Value>);

impl FromRequest for OptionalJson {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (source, payload) = (Source::of(req), payload.take());
        Box::pin(async move {
            let body = source.read(payload).await?;
            match body.trim_ascii() {
                b"" | b"null" => Ok(Self(Map::new())),
                body => parse_object(body).map(Self),
            }
        })
    }
}

fn is_json(req: &HttpRequest) -> bool {
    let header = req.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    header.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

fn content_type_error() -> FieldError {
    FieldError {
        kind: "value_error",
        loc: vec!["header".into(), "content-type".into()],
        msg: "Unsupported Media Type: Only 'application/json' is allowed".into(),
        input: Value::Null,
        ctx: Vec::new(),
    }
}

/// What is known about a body before it arrives.
struct Source {
    limits: ClientLimits,
    compression: Result<Compression, ApiError>,
}

impl Source {
    fn of(req: &HttpRequest) -> Self {
        let app = req.app_data::<web::Data<App>>().map(|app| app.get_ref());
        Self {
            limits: app.map(|app| app.env.clients).unwrap_or_default(),
            compression: Compression::of(req, app),
        }
    }

    /// The whole body, unpacked.
    async fn read(self, mut payload: Payload) -> Result<Vec<u8>, ApiError> {
        let compression = self.compression?;
        let mut body = Vec::new();
        let started = Instant::now();
        loop {
            let wait = self.limits.wait_for_piece(started.elapsed(), body.len());
            let piece = tokio::time::timeout(wait, payload.next()).await.map_err(|_| ApiError::Http {
                status: 408,
                detail: format!(
                    "The body did not arrive in time: {} bytes came in {} seconds.",
                    body.len(),
                    started.elapsed().as_secs()
                ),
            })?;
            let Some(piece) = piece else { return compression.unpack(body).await };
            let piece = piece.map_err(|e| ApiError::Http {
                status: 400,
                detail: format!("The body could not be read: {e}"),
            })?;
            if body.len() + piece.len() > MAX_BODY_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
    }
}

fn parse_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let error = |kind, loc, msg: &str, input, ctx| {
        ApiError::Validation(vec![FieldError { kind, loc, msg: msg.into(), input, ctx }])
    };
    if body.is_empty() {
        return Err(error("missing", vec!["body".into()], "Field required", Value::Null, Vec::new()));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => {
            // Noted as early as possible, so that the log has the ids however the call ends.
            for key in ["rid", "request_id"] {
                if let Some(rid) = map.get(key).and_then(Value::as_str) {
                    call_trace::note_request(rid);
                }
            }
            Ok(map)
        }
        Ok(other) => Err(error(
            "model_attributes_type",
            vec!["body".into()],
            "Input should be a valid dictionary or object to extract fields from",
            other,
            Vec::new(),
        )),
        Err(e) => Err(error(
            "json_invalid",
            vec!["body".into(), Loc::Index(offset(body, &e))],
            "JSON decode error",
            Value::Object(Map::new()),
            vec![("error", sglang_tokenizer_manager::requests::python::str_repr(&e.to_string()))],
        )),
    }
}

/// Position of a syntax error in the body.
fn offset(body: &[u8], error: &serde_json::Error) -> usize {
    let before: usize =
        body.split(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(|l| l.len() + 1).sum();
    (before + error.column()).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> String {
        parse_object(body).unwrap_err().body()["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn bodies_that_are_no_objects_say_why() {
        assert!(message(b"").contains("'loc': ('body',), 'msg': 'Field required', 'input': None"));
        assert!(message(b"[1,2]").contains("valid dictionary"));
        assert!(message(b"{broken").contains("'loc': ('body', 1), 'msg': 'JSON decode error'"));
        assert!(message(b"{\n \"a\": NaN}").contains("('body', 8)"), "{}", message(b"{\n \"a\": NaN}"));
        let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
        assert!(message(&deep).contains("recursion limit"));
    }
}
