//! The ranking in Cohere's and Jina's form: one object with `results`.

use serde::Serialize;
use serde_json::Value;
use sglang_tokenizer_manager::requests::normalize::new_rid;

use super::request::V1RerankReqInput;

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerankForm {
    /// A list of scores, as in the reference.
    Reference,
    /// An object with `results`.
    Results {
        /// Version of Cohere's API.
        version: &'static str,
        /// Whether documents are returned if the request does not say.
        with_documents: bool,
    },
}

impl RerankForm {
    /// The form of the answer to a call of `path`. `/v1/rerank` uses the reference's form, unless the body has another
    /// one's keys, the call comes from Cohere's client (`sdk` is how it identifies itself), or the server always uses
    /// the other form (`always_results`).
    pub fn of(path: &str, sdk: Option<&str>, is_foreign: bool, always_results: bool) -> Self {
        let is_cohere = sdk.is_some_and(|name| name.eq_ignore_ascii_case("cohere"));
        match path {
            path if path.ends_with("/v2/rerank") => Self::Results { version: "2", with_documents: false },
            path if path.ends_with("/v1/rerank") && !(is_cohere || is_foreign || always_results) => {
                Self::Reference
            }
            _ => Self::Results { version: "1", with_documents: !is_cohere },
        }
    }
}

#[derive(Serialize)]
struct RankedDocument {
    index: usize,
    relevance_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct ApiVersion {
    version: &'static str,
}

#[derive(Serialize)]
struct BilledUnits {
    search_units: u64,
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

#[derive(Serialize)]
struct Meta {
    api_version: ApiVersion,
    billed_units: BilledUnits,
    tokens: Tokens,
}

/// The answer: `model` and `usage` are Jina's, `meta` is Cohere's.
#[derive(Serialize)]
pub struct RerankResults {
    id: String,
    model: String,
    results: Vec<RankedDocument>,
    usage: Usage,
    meta: Meta,
}

impl RerankResults {
    /// The best documents of `request` by `scores` between 0 and 1. `prompt_tokens` is the number of tokens of all
    /// pairs.
    pub fn new(
        request: &V1RerankReqInput,
        scores: &[f64],
        prompt_tokens: u64,
        version: &'static str,
        with_documents: bool,
    ) -> Self {
        let with_documents = request.return_documents.unwrap_or(with_documents);
        let document = |index: usize| match request.given.get(index).filter(|_| with_documents)? {
            Value::Object(map) => Some(Value::Object(map.clone())),
            _ => Some(serde_json::json!({"text": request.documents.get(index)?})),
        };
        let ranked = |index: usize| RankedDocument {
            index,
            relevance_score: scores.get(index).copied().unwrap_or_default(),
            document: document(index),
        };
        Self {
            id: new_rid(),
            model: request.model.clone(),
            results: request.order(scores).into_iter().map(ranked).collect(),
            usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
            meta: Meta {
                api_version: ApiVersion { version },
                billed_units: BilledUnits { search_units: 1 },
                tokens: Tokens { input_tokens: prompt_tokens, output_tokens: 0 },
            },
        }
    }
}

/// A classifier's score, mapped to 0 to 1.
pub fn relevance(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_path_the_body_or_the_client_chooses_the_form() {
        let of = RerankForm::of;
        assert_eq!(of("/v1/rerank", None, false, false), RerankForm::Reference);
        let jina = RerankForm::Results { version: "1", with_documents: true };
        assert_eq!(of("/rerank", None, false, false), jina);
        assert_eq!(of("/v1/rerank", None, true, false), jina);
        assert_eq!(of("/v1/rerank", None, false, true), jina);
        let cohere = |version| RerankForm::Results { version, with_documents: false };
        assert_eq!(of("/p/v1/rerank", Some("cohere"), false, false), cohere("1"));
        assert_eq!(of("/v2/rerank", None, false, false), cohere("2"));
    }

    #[test]
    fn results_are_sorted_and_have_the_documents_as_they_were_given() {
        let body = json!({"model": "m", "query": "q", "documents": ["a", {"text": "b", "id": 5}]});
        let request = V1RerankReqInput::from_json(body.as_object().unwrap()).unwrap();
        let answer =
            |with| serde_json::to_value(RerankResults::new(&request, &[0.2, 0.9], 12, "1", with)).unwrap();
        assert_eq!(
            answer(true)["results"],
            json!([{"index": 1, "relevance_score": 0.9, "document": {"text": "b", "id": 5}},
                {"index": 0, "relevance_score": 0.2, "document": {"text": "a"}}])
        );
        assert_eq!(answer(false)["results"][0], json!({"index": 1, "relevance_score": 0.9}));
        assert_eq!(answer(true)["usage"], json!({"prompt_tokens": 12, "total_tokens": 12}));
        assert!((relevance(0.0) - 0.5).abs() < 1e-12 && relevance(40.0) > 0.999 && relevance(-800.0) == 0.0);
    }
}
