//! `/v1/embeddings`: request and answer (reference: `serving_embedding.py`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput};
use sglang_tokenizer_manager::requests::generate::{many, one};
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Mismatch, Read, int, list, nullable, object, string,
};
use sglang_tokenizer_manager::state::RequestHandle;

use crate::apis::openai::usage::UsageInfo;
use crate::http::errors::ApiError;

/// `input` in its forms.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbeddingInput {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Ids of one text.
    Ids(Vec<i64>),
    /// Ids of several texts.
    IdLists(Vec<Vec<i64>>),
    /// Objects with a text; other media are not supported.
    Objects(Vec<Map<String, Value>>),
}

/// One form of the input: its name in errors, and its reader.
type Arm<'a> = (&'static str, &'a dyn Fn(&Value) -> Read<EmbeddingInput>);

impl EmbeddingInput {
    /// Reads `input` in the first form that fits, in the order of the reference's union.
    pub fn read(f: &mut Fields<'_>, with_objects: bool) -> Option<Self> {
        f.required("input", |_| Ok(()))?;
        let objects = |v: &Value| list(object)(v).map(Self::Objects);
        let mut arms: Vec<Arm<'_>> = vec![
            ("str", &|v| string(v).map(Self::Text)),
            ("list[str]", &|v| list(string)(v).map(Self::Texts)),
            ("list[int]", &|v| list(int)(v).map(Self::Ids)),
            ("list[list[int]]", &|v| list(list(int))(v).map(Self::IdLists)),
        ];
        if with_objects {
            arms.push(("list[MultimodalEmbeddingInput]", &objects));
        }
        let read = f.union("input", &arms);
        if read.is_none() && !f.has("input") {
            f.push("input", Mismatch::new("string_type", "Input should be a valid string", &Value::Null));
        }
        read
    }

    /// Refuses empty input, in the reference's words.
    ///
    /// # Errors
    /// The first empty text or invalid id.
    pub fn check(&self) -> Result<(), ApiError> {
        let bad = |text: String| Err(ApiError::bad_request(text));
        let empty = match self {
            Self::Text(text) => text.is_empty(),
            Self::Texts(texts) => texts.is_empty(),
            Self::Ids(ids) => ids.is_empty(),
            Self::IdLists(lists) => lists.is_empty(),
            Self::Objects(objects) => objects.is_empty(),
        };
        if empty {
            return bad("Input cannot be empty".into());
        }
        match self {
            Self::Text(text) if text.trim().is_empty() => {
                bad("Input cannot be empty or whitespace only".into())
            }
            Self::Texts(texts) => match texts.iter().position(|text| text.trim().is_empty()) {
                Some(i) => bad(format!("Input at index {i} cannot be empty or whitespace only")),
                None => Ok(()),
            },
            Self::Ids(ids) => match ids.iter().position(|id| *id < 0) {
                Some(i) => bad(format!("Token ID at index {i} must be non-negative")),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The prompts to embed. `render` makes the prompt for an object's text.
    ///
    /// # Errors
    /// If an object has images or videos, or `render` refuses it.
    pub fn prompts(
        self,
        render: impl Fn(&str) -> Result<String, ApiError>,
    ) -> Result<OneOrMany<EmbeddingPrompt>, ApiError> {
        Ok(match self {
            Self::Text(text) => OneOrMany::One(EmbeddingPrompt::Text(text)),
            Self::Texts(texts) => OneOrMany::Many(texts.into_iter().map(EmbeddingPrompt::Text).collect()),
            Self::Ids(ids) => OneOrMany::One(EmbeddingPrompt::Ids(ids)),
            Self::IdLists(lists) => OneOrMany::Many(lists.into_iter().map(EmbeddingPrompt::Ids).collect()),
            Self::Objects(objects) => {
                let prompt = |object: &Map<String, Value>| {
                    if ["image", "video"].iter().any(|key| object.get(*key).is_some_and(|v| !v.is_null())) {
                        let text = "Model only supports text input; received image, video or audio data.";
                        return Err(ApiError::bad_request(text));
                    }
                    let text = object.get("text").and_then(Value::as_str).unwrap_or("padding");
                    render(text).map(EmbeddingPrompt::Text)
                };
                OneOrMany::Many(objects.iter().map(prompt).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The encoding of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingFormat {
    /// A list of numbers.
    Float,
    /// Little-endian float32 in base64.
    Base64,
}

/// The body of `/v1/embeddings`.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingRequest {
    /// What to embed.
    pub input: EmbeddingInput,
    /// Name of the model; a part after a colon names an adapter.
    pub model: String,
    /// The encoding of vectors, as the client named it.
    pub encoding_format: String,
    /// The other fields.
    pub base: EmbeddingReqInput,
}

impl EmbeddingRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let input = EmbeddingInput::read(&mut f, true);
        let model = f.or("model", DEFAULT_MODEL.to_owned(), string);
        let encoding_format = f.or("encoding_format", "float".to_owned(), string);
        let base = EmbeddingReqInput {
            rid: f.union("rid", &[("list[str]", &many(string)), ("str", &one(string))]),
            dimensions: f.optional("dimensions", int),
            priority: f.optional("priority", int),
            lora_path: f.union(
                "lora_path",
                &[("list[str]", &many(nullable(string))), ("str", &one(nullable(string)))],
            ),
            ..EmbeddingReqInput::default()
        };
        f.finish(input.map(|input| Self { input, model, encoding_format, base }))
    }

    /// The requested encoding.
    ///
    /// # Errors
    /// If the name is unknown.
    pub fn format(&self) -> Result<EncodingFormat, ApiError> {
        match self.encoding_format.as_str() {
            "float" => Ok(EncodingFormat::Float),
            "base64" => Ok(EncodingFormat::Base64),
            other => Err(ApiError::bad_request(format!(
                "encoding_format must be either 'float' or 'base64', got {}",
                sglang_tokenizer_manager::requests::python::str_repr(other)
            ))),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    List(Vec<f32>),
    Text(String),
}

#[derive(Serialize)]
struct EmbeddingObject {
    embedding: Values,
    index: usize,
    object: &'static str,
}

/// The answer of `/v1/embeddings`.
#[derive(Serialize)]
pub struct EmbeddingResponse {
    data: Vec<EmbeddingObject>,
    model: String,
    object: &'static str,
    usage: UsageInfo,
}

/// Token counts of prompts without output.
pub fn usage(handles: &[RequestHandle]) -> UsageInfo {
    let counts = handles.iter().enumerate().map(|(i, handle)| (i, handle.state().output().counts));
    UsageInfo::of_choices(counts, 1, false)
}

impl EmbeddingResponse {
    /// The answer from finished requests. `model` is the model's path.
    pub fn new(handles: &[RequestHandle], format: EncodingFormat, model: &str) -> Self {
        let object = |(index, handle): (usize, &RequestHandle)| EmbeddingObject {
            embedding: written(&handle.state().output().embedding, format),
            index,
            object: "embedding",
        };
        Self {
            data: handles.iter().enumerate().map(object).collect(),
            model: model.to_owned(),
            object: "list",
            usage: usage(handles),
        }
    }
}

fn written(values: &[f32], format: EncodingFormat) -> Values {
    match format {
        EncodingFormat::Float => Values::List(values.to_vec()),
        EncodingFormat::Base64 => {
            Values::Text(STANDARD.encode(values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<EmbeddingRequest, String> {
        EmbeddingRequest::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn error(input: Value) -> String {
        let request = read(json!({"input": input})).unwrap();
        request.input.check().unwrap_err().body()["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn empty_inputs_are_named_in_the_references_words() {
        assert_eq!(error(json!("")), "Input cannot be empty");
        assert_eq!(error(json!([])), "Input cannot be empty");
        assert_eq!(error(json!(" \n")), "Input cannot be empty or whitespace only");
        assert_eq!(error(json!(["a", " "])), "Input at index 1 cannot be empty or whitespace only");
        assert_eq!(error(json!([3, -1])), "Token ID at index 1 must be non-negative");
        let format = read(json!({"input": "x", "encoding_format": "hex"})).unwrap().format().unwrap_err();
        assert_eq!(format.body()["message"], "encoding_format must be either 'float' or 'base64', got 'hex'");
        assert!(read(json!({"model": "m"})).unwrap_err().contains("Field required"));
    }

    #[test]
    fn objects_give_their_text_and_no_media() {
        let prompts = |input: Value| {
            let request = read(json!({"input": input})).unwrap();
            request.input.prompts(|text| Ok(format!("<{text}>"))).map_err(|e| e.to_string())
        };
        let expected = OneOrMany::Many(vec![EmbeddingPrompt::Text("<a>".into())]);
        assert_eq!(prompts(json!([{"text": "a"}])), Ok(expected));
        assert!(prompts(json!([{"text": "a", "image": "x"}])).unwrap_err().contains("only supports text"));
    }

    #[test]
    fn base64_is_little_endian_float32() {
        let Values::Text(text) = written(&[1.0, -2.5], EncodingFormat::Base64) else { panic!("text") };
        assert_eq!(STANDARD.decode(text).unwrap(), [0, 0, 128, 63, 0, 0, 32, 192]);
    }
}
