//! The body of `/v1/score` (reference: `serving_score.py`, `tokenizer_manager_score_mixin.py`).

use serde_json::{Map, Value};

use super::validation::{FieldError, Fields, Mismatch, Read, boolean, float, int, list, string};
use crate::model_name::DEFAULT_MODEL;

/// A text or its ids.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreQuery {
    /// Text.
    Text(String),
    /// Ids.
    Ids(Vec<i64>),
}

/// What is scored after (or before) the query.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreItems {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Ids of several texts.
    Ids(Vec<Vec<i64>>),
}

impl ScoreItems {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::Ids(lists) => lists.len(),
        }
    }

    /// Whether there are no items. (As in the reference, a single empty text counts as none.)
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty()) || self.len() == 0
    }
}

/// Ids whose probability is requested.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The same for every item.
    Shared(Vec<i64>),
    /// One list per item.
    PerItem(Vec<Vec<i64>>),
}

/// The body of `/v1/score`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoringRequest {
    /// The part that all items share.
    pub query: Option<ScoreQuery>,
    /// The items to score.
    pub items: Option<ScoreItems>,
    /// Ids whose probability is requested.
    pub label_token_ids: Option<Labels>,
    /// Normalise the probability among the labels.
    pub apply_softmax: bool,
    /// Divides log-probabilities before the normalisation.
    pub temperature: f64,
    /// Also return the log-probabilities.
    pub return_token_logprobs: bool,
    /// Whether items precede the query.
    pub item_first: bool,
    /// Also return the hidden state before the head.
    pub return_pooled_hidden_states: bool,
    /// The model's name, for the answer.
    pub model: String,
    /// The adapter for scoring.
    pub lora_path: Option<String>,
    /// A given field that this version does not support.
    pub unsupported: Option<&'static str>,
}

/// Fields of the reference that change which outputs are used.
const UNSUPPORTED: [&str; 4] =
    ["score_extraction_token", "embed_override_token_id", "query_embed_overrides", "item_embed_overrides"];

impl ScoringRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let positive = |v: &Value| match float(v)? {
            x if x.is_finite() && x > 0.0 => Ok(x),
            _ => Err(Mismatch::new("greater_than", "Input should be greater than 0", v)),
        };
        let lists = |v: &Value| -> Read<Vec<Vec<i64>>> { list(list(int))(v) };
        let request = Self {
            query: f.union(
                "query",
                &[
                    ("str", &|v| string(v).map(ScoreQuery::Text)),
                    ("list[int]", &|v| list(int)(v).map(ScoreQuery::Ids)),
                ],
            ),
            items: f.union(
                "items",
                &[
                    ("str", &|v| string(v).map(ScoreItems::Text)),
                    ("list[str]", &|v| list(string)(v).map(ScoreItems::Texts)),
                    ("list[list[int]]", &|v| lists(v).map(ScoreItems::Ids)),
                ],
            ),
            label_token_ids: f.union(
                "label_token_ids",
                &[
                    ("list[int]", &|v| list(int)(v).map(Labels::Shared)),
                    ("list[list[int]]", &|v| lists(v).map(Labels::PerItem)),
                ],
            ),
            apply_softmax: f.or("apply_softmax", false, boolean),
            temperature: f.or("temperature", 1.0, positive),
            return_token_logprobs: f.or("return_token_logprobs", false, boolean),
            item_first: f.or("item_first", false, boolean),
            return_pooled_hidden_states: f.or("return_pooled_hidden_states", false, boolean),
            model: f.or("model", DEFAULT_MODEL.to_owned(), string),
            lora_path: None,
            unsupported: UNSUPPORTED.into_iter().find(|name| f.has(name)),
        };
        f.finish(Some(request))
    }
}

/// `exp(x / temperature)`, scaled so that the sum is 1.
pub fn softmax(values: &[f64], temperature: f64) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = values.iter().map(|x| ((x - most) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<ScoringRequest, String> {
        ScoringRequest::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_forms_are_read() {
        let request =
            read(json!({"query": [1], "items": [[2], [3, 4]], "label_token_ids": [[5], [6]]})).unwrap();
        assert_eq!(request.query, Some(ScoreQuery::Ids(vec![1])));
        assert_eq!(request.items.as_ref().map(ScoreItems::len), Some(2));
        assert_eq!(request.label_token_ids, Some(Labels::PerItem(vec![vec![5], vec![6]])));
        let request = read(json!({"query": "q", "items": "i", "label_token_ids": [5]})).unwrap();
        assert_eq!(request.items, Some(ScoreItems::Text("i".into())));
        assert_eq!((request.temperature, request.model.as_str()), (1.0, "default"));
        assert!(read(json!({"temperature": 0})).unwrap_err().contains("greater than 0"));
        assert!(read(json!({"items": 5})).unwrap_err().contains("('body', 'items', 'str')"));
        assert_eq!(
            read(json!({"score_extraction_token": "x"})).unwrap().unsupported,
            Some("score_extraction_token")
        );
    }

    #[test]
    fn a_softmax_adds_up_and_survives_small_temperatures() {
        let even = softmax(&[-700.0, -700.0], 1.0);
        assert_eq!(even, [0.5, 0.5]);
        assert_eq!(softmax(&[0.0, -1.0], 1e-6), [1.0, 0.0]);
        assert!((softmax(&[1.0, 2.0, 3.0], 2.0).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
