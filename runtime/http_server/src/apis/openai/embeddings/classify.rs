//! `/v1/classify`: request and answer (reference: `serving_classify.py`).

use serde::Serialize;
use serde_json::{Map, Value};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::embedding::EmbeddingReqInput;
use sglang_tokenizer_manager::requests::generate::{many, one};
use sglang_tokenizer_manager::requests::normalize::new_rid;
use sglang_tokenizer_manager::requests::score::softmax;
use sglang_tokenizer_manager::requests::validation::{FieldError, Fields, int, string};
use sglang_tokenizer_manager::state::{RequestHandle, unix_seconds};

use super::embed::{EmbeddingInput, usage};
use crate::apis::openai::usage::UsageInfo;

/// The body of `/v1/classify`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifyRequest {
    /// What to classify.
    pub input: EmbeddingInput,
    /// Name of the model.
    pub model: String,
    /// The other fields.
    pub base: EmbeddingReqInput,
}

impl ClassifyRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let input = EmbeddingInput::read(&mut f, false);
        let model = f.or("model", DEFAULT_MODEL.to_owned(), string);
        let base = EmbeddingReqInput {
            rid: f.union("rid", &[("list[str]", &many(string)), ("str", &one(string))]),
            priority: f.optional("priority", int),
            ..EmbeddingReqInput::default()
        };
        f.finish(input.map(|input| Self { input, model, base }))
    }
}

#[derive(Serialize)]
struct ClassifyData {
    index: usize,
    label: String,
    probs: Vec<f64>,
    num_classes: usize,
}

/// The answer of `/v1/classify`.
#[derive(Serialize)]
pub struct ClassifyResponse {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    data: Vec<ClassifyData>,
    usage: UsageInfo,
}

impl ClassifyResponse {
    /// The answer from finished requests. `labels` are the classes' names; `model` is the served name.
    pub fn new(handles: &[RequestHandle], labels: &[String], model: &str) -> Self {
        let data = handles.iter().enumerate().map(|(i, h)| class(i, &h.state().output().embedding, labels));
        Self {
            id: format!("classify-{}", new_rid()),
            object: "list",
            created: unix_seconds() as u64,
            model: model.to_owned(),
            data: data.collect(),
            usage: usage(handles),
        }
    }
}

fn class(index: usize, scores: &[f32], labels: &[String]) -> ClassifyData {
    let scores: Vec<f64> = scores.iter().map(|x| f64::from(*x)).collect();
    // The first of equal values, as in `argmax`.
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if scores.get(best).is_some_and(|top| score > top) {
            best = i;
        }
    }
    let label = labels.get(best).cloned().unwrap_or_else(|| format!("LABEL_{best}"));
    ClassifyData { index, label, num_classes: scores.len(), probs: softmax(&scores, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_class_has_its_name() {
        let labels = ["no".to_owned(), "yes".to_owned()];
        let class = class(3, &[0.0, (3.0f32).ln()], &labels);
        assert_eq!((class.index, class.label.as_str(), class.num_classes), (3, "yes", 2));
        assert!((class.probs[1] - 0.75).abs() < 1e-6);
        assert_eq!(super::class(0, &[1.0, 1.0, 2.0], &labels).label, "LABEL_2");
    }
}
