//! Reranking: the request of every form, and the reference's answer (reference: `serving_rerank.py`).

use serde::Serialize;
use serde_json::{Map, Value, json};
use sglang_tokenizer_manager::model_name::DEFAULT_MODEL;
use sglang_tokenizer_manager::requests::validation::{
    FieldError, Fields, Loc, Mismatch, Read, boolean, int, list, object, string,
};
use sglang_tokenizer_manager::state::RequestHandle;

use crate::answer::embedding::EmbeddingMetaInfo;
use crate::app::App;
use crate::http::errors::ApiError;

/// The body of `/v1/rerank`, in the reference's form or in that of Cohere and Jina.
#[derive(Clone, Debug, PartialEq)]
pub struct V1RerankReqInput {
    /// Name of the model.
    pub model: String,
    /// The query.
    pub query: String,
    /// The texts of the documents to rank.
    pub documents: Vec<String>,
    /// The documents as sent.
    pub given: Vec<Value>,
    /// A task description, for templates that take one.
    pub instruct: Option<String>,
    /// The number of best documents to return; all by default.
    pub top_n: Option<usize>,
    /// Whether to return the documents; each form has its own default.
    pub return_documents: Option<bool>,
    /// Most tokens of a document that are read.
    pub max_tokens_per_doc: Option<usize>,
    /// Whether only Cohere's or Jina's API would accept the body.
    pub is_foreign: bool,
}

/// Keys that occur only in Cohere's or Jina's bodies.
const FOREIGN: [&str; 4] = ["rank_fields", "max_chunks_per_doc", "max_tokens_per_doc", "truncation"];

/// A text, or the texts of a list of parts; other kinds of parts are refused.
fn content(value: &Value) -> Read<String> {
    let Value::Array(parts) = value else { return string(value) };
    let text = |(i, part): (usize, &Value)| {
        let map = object(part).map_err(|m| m.under(Loc::Index(i)))?;
        match (map.get("type").and_then(Value::as_str), map.get("text")) {
            (Some("text"), Some(text)) => string(text),
            _ => Err(Mismatch::rule("only text parts are supported", part).under(Loc::Index(i))),
        }
    };
    Ok(parts.iter().enumerate().map(text).collect::<Read<Vec<_>>>()?.join(" "))
}

/// A document: a text, a list of parts, or an object whose `keys` are ranked.
fn document(value: &Value, keys: &[String]) -> Read<String> {
    let Value::Object(map) = value else { return content(value) };
    let text = |key: &String| match map.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) | None => Err(Mismatch::rule(format!("the document has no {key:?}"), value)),
        Some(other) => Ok(other.to_string()),
    };
    Ok(keys.iter().map(text).collect::<Read<Vec<_>>>()?.join("\n"))
}

fn positive(value: &Value, name: &str) -> Read<usize> {
    match usize::try_from(int(value)?) {
        Ok(n) if n > 0 => Ok(n),
        _ => {
            let rule = format!("Value error, parameter {name} should be larger than 0.");
            Err(Mismatch::rule(rule, value))
        }
    }
}

impl V1RerankReqInput {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let query = f.required("query", content);
        let keys = f.optional("rank_fields", list(string)).filter(|keys| !keys.is_empty());
        let keys = keys.unwrap_or_else(|| vec!["text".to_owned()]);
        let read = |value: &Value| Ok((document(value, &keys)?, value.clone()));
        let documents = f.required("documents", list(read));
        let top_n = f.optional("top_n", |v| positive(v, "top_n"));
        let instruct = f.optional("instruct", string);
        let return_documents = f.optional("return_documents", boolean);
        let max_tokens_per_doc = f.optional("max_tokens_per_doc", |v| positive(v, "max_tokens_per_doc"));
        // Documents are read whole, so there are no chunks to limit.
        f.optional("max_chunks_per_doc", int);
        f.optional("truncation", boolean);
        let model = f.or("model", DEFAULT_MODEL.to_owned(), string);
        let has_foreign_key = FOREIGN.iter().any(|key| f.has(key));
        let request = query.zip(documents).map(|(query, documents)| {
            let (documents, given): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
            let is_foreign = has_foreign_key || given.iter().any(Value::is_object);
            Self {
                model,
                query,
                documents,
                given,
                instruct,
                top_n,
                return_documents,
                max_tokens_per_doc,
                is_foreign,
            }
        });
        f.finish(request)
    }

    /// The documents' indices by score, best first; equal scores keep the documents' order.
    pub fn order(&self, scores: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.documents.len().min(scores.len())).collect();
        let score = |i: usize| scores.get(i).copied().unwrap_or_default();
        order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        order.truncate(self.top_n.unwrap_or(usize::MAX));
        order
    }

    /// Refuses empty texts, in the reference's words.
    ///
    /// # Errors
    /// The first empty text.
    pub fn check(&self) -> Result<(), ApiError> {
        let problem = if self.query.is_empty() {
            "Query cannot be empty"
        } else if self.query.trim().is_empty() {
            "Query cannot be empty or whitespace only"
        } else if self.documents.is_empty() {
            "Documents cannot be empty"
        } else if let Some(document) = self.documents.iter().find(|d| d.trim().is_empty()) {
            match document.is_empty() {
                true => "Each document must be a non-empty string",
                false => "Each document cannot be empty or whitespace only",
            }
        } else {
            return Ok(());
        };
        Err(ApiError::bad_request(problem))
    }

    /// The ranking in the reference's form, best first. `handles` provide `meta_info`, if there are any.
    pub fn response(&self, scores: &[f64], handles: &[RequestHandle], app: &App) -> Vec<RerankResponse> {
        let with_documents = self.return_documents.unwrap_or(true);
        let response = |index: usize| RerankResponse {
            score: scores.get(index).copied().unwrap_or_default(),
            document: self.documents.get(index).filter(|_| with_documents).cloned(),
            index,
            meta_info: handles.get(index).map_or(Value::Null, |handle| {
                let state = handle.state();
                json!(EmbeddingMetaInfo { state, output: &state.output(), app })
            }),
        };
        self.order(scores).into_iter().map(response).collect()
    }
}

/// One ranked document.
#[derive(Debug, PartialEq, Serialize)]
pub struct RerankResponse {
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    index: usize,
    meta_info: Value,
}

/// Whether a chat template asks for "yes" or "no", as in decoders that rerank.
pub fn is_yes_no_template(template: &str) -> bool {
    let text = template.to_lowercase();
    text.contains("answer can only be") && text.contains("\"yes\"") && text.contains("\"no\"")
}

/// The probability of "yes" among "yes" and "no" (reference: `_qwen3_rerank_score`).
pub fn yes_share(yes: f64, no: f64) -> f64 {
    let both = yes + no;
    if both > 0.0 { yes / both } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<V1RerankReqInput, String> {
        V1RerankReqInput::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn problem(query: &str, documents: &[&str]) -> String {
        let request = read(json!({"query": query, "documents": documents})).unwrap();
        request.check().unwrap_err().body()["message"].as_str().unwrap().to_owned()
    }

    #[test]
    fn empty_texts_are_named_in_the_references_words() {
        assert_eq!(problem("", &["a"]), "Query cannot be empty");
        assert_eq!(problem(" ", &["a"]), "Query cannot be empty or whitespace only");
        assert_eq!(problem("q", &[]), "Documents cannot be empty");
        assert_eq!(problem("q", &["a", ""]), "Each document must be a non-empty string");
        assert_eq!(problem("q", &["\t"]), "Each document cannot be empty or whitespace only");
        let error = read(json!({"query": "q", "documents": ["a"], "top_n": 0})).unwrap_err();
        assert!(error.contains("parameter top_n should be larger than 0."), "{error}");
        assert!(read(json!({"query": "q"})).unwrap_err().contains("'documents'"));
    }

    #[test]
    fn parts_are_joined_and_pictures_refused() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(read(json!({"query": parts, "documents": ["d"]})).unwrap().query, "a b");
        let picture = json!([{"type": "image_url", "image_url": {"url": "x"}}]);
        assert!(read(json!({"query": picture, "documents": ["d"]})).unwrap_err().contains("only text parts"));
    }

    #[test]
    fn documents_may_be_objects_of_which_some_keys_are_ranked_by() {
        let documents = json!([{"text": "a", "id": 7}, "b"]);
        let request = read(json!({"model": "m", "query": "q", "documents": documents})).unwrap();
        assert_eq!((request.documents, request.is_foreign), (vec!["a".to_owned(), "b".to_owned()], true));
        assert_eq!(request.given[0]["id"], 7);
        let fields =
            json!({"query": "q", "rank_fields": ["title", "year"], "documents": [{"title": "t", "year": 5}]});
        assert_eq!(read(fields).unwrap().documents, ["t\n5"]);
        let missing = read(json!({"query": "q", "documents": [{"title": "t"}]})).unwrap_err();
        assert!(missing.contains("the document has no \"text\""), "{missing}");
        let plain =
            json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 1, "return_documents": true});
        assert!(!read(plain).unwrap().is_foreign, "the reference's documentation names a model");
        assert!(read(json!({"query": "q", "documents": ["a"], "truncation": true})).unwrap().is_foreign);
    }

    #[test]
    fn a_yes_no_template_is_recognised() {
        assert!(is_yes_no_template("Note that the answer can only be \"yes\" or \"no\"."));
        assert!(!is_yes_no_template("Say yes or no."));
        assert!((yes_share(0.3, 0.1) - 0.75).abs() < 1e-12);
        assert_eq!(yes_share(0.0, 0.0), 0.0);
    }
}
