//! `/api/embed` and the older `/api/embeddings`.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::requests::OneOrMany;
use sglang_tokenizer_manager::requests::embedding::{EmbeddingPrompt, EmbeddingReqInput};
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, boolean, float, int, list, object, string,
};

/// A request for vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct OllamaEmbedRequest {
    /// Name of the model.
    pub model: String,
    /// The texts to embed.
    pub input: Vec<String>,
    /// Whether to cut texts that are too long.
    truncate: bool,
    /// Requested size of the vectors.
    dimensions: Option<i64>,
}

/// Fields without effect on vectors; only their form is checked.
fn without_effect(f: &mut Fields<'_>) {
    f.optional("options", object);
    f.union::<()>(
        "keep_alive",
        &[("float", &|v: &Value| float(v).map(drop)), ("str", &|v: &Value| string(v).map(drop))],
    );
}

impl OllamaEmbedRequest {
    /// Reads the body of `/api/embed`.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let model = f.required("model", string);
        f.required("input", |_| Ok(()));
        let texts = list(string);
        let input = f.union(
            "input",
            &[("str", &|v: &Value| string(v).map(|text| vec![text])), ("list[str]", &|v: &Value| texts(v))],
        );
        without_effect(&mut f);
        let request = Self {
            model: model.unwrap_or_default(),
            // An empty text only loads the model.
            input: input.unwrap_or_default().into_iter().filter(|text| !text.is_empty()).collect(),
            truncate: f.or("truncate", true, boolean),
            dimensions: f.optional("dimensions", int),
        };
        f.finish(Some(request))
    }

    /// Reads the body of `/api/embeddings`.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_prompt_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let model = f.required("model", string);
        let prompt = f.optional("prompt", string).filter(|text| !text.is_empty());
        without_effect(&mut f);
        let input = prompt.into_iter().collect();
        f.finish(model.map(|model| Self { model, input, truncate: true, dimensions: None }))
    }

    /// The native request. `adapter` comes from the model's name.
    pub fn to_native(&self, adapter: Option<String>) -> EmbeddingReqInput {
        let prompts = self.input.iter().cloned().map(EmbeddingPrompt::Text).collect();
        EmbeddingReqInput {
            truncate: self.truncate,
            dimensions: self.dimensions,
            lora_path: adapter.map(|name| OneOrMany::One(Some(name))),
            ..EmbeddingReqInput::of(OneOrMany::Many(prompts))
        }
    }
}

/// The vector, scaled to length 1.
fn normalized(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return vector.to_vec();
    }
    vector.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}

/// The answer of `/api/embed`. Durations are in nanoseconds.
#[derive(Serialize)]
pub struct EmbedResponse<'a> {
    model: &'a str,
    embeddings: Vec<Vec<f32>>,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
}

impl<'a> EmbedResponse<'a> {
    /// Vectors scaled to length 1, as in Ollama.
    pub fn new(model: &'a str, vectors: &[Vec<f32>], total_duration: u64, prompt_tokens: u64) -> Self {
        Self {
            model,
            embeddings: vectors.iter().map(|vector| normalized(vector)).collect(),
            total_duration,
            load_duration: 0,
            prompt_eval_count: prompt_tokens,
        }
    }
}

/// The answer of `/api/embeddings`: the vector as the model computes it.
pub fn embedding(vector: &[f32]) -> Value {
    json!({"embedding": vector})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<OllamaEmbedRequest, String> {
        OllamaEmbedRequest::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_text_and_several_are_read_and_empty_ones_left_out() {
        let input = |input: Value| read(json!({"model": "m", "input": input})).unwrap().input;
        assert_eq!(input(json!("a")), ["a"]);
        assert_eq!(input(json!(["a", "", "b"])), ["a", "b"]);
        assert!(input(json!("")).is_empty() && input(json!([])).is_empty());
        assert!(read(json!({"model": "m"})).unwrap_err().contains("'input'"));
        assert!(read(json!({"model": "m", "input": 5})).unwrap_err().contains("'input'"));
        let native = read(json!({"model": "m", "input": "a", "truncate": false, "dimensions": 3})).unwrap();
        let native = native.to_native(Some("sql".into()));
        assert_eq!((native.truncate, native.dimensions), (false, Some(3)));
        assert_eq!(native.lora_path, Some(OneOrMany::One(Some("sql".to_owned()))));
    }

    #[test]
    fn vectors_have_length_1() {
        assert_eq!(normalized(&[3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(normalized(&[0.0]), [0.0]);
    }
}
