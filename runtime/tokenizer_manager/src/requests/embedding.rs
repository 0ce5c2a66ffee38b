//! Reads, checks and splits the body of `/encode` and `/classify` (reference: `EmbeddingReqInput` in
//! `managers/io_struct.py`). The OpenAI routes build the same struct.

use serde_json::{Map, Value};
use sglang_proto::refusal::NOT_A_GENERATION_MODEL;

use super::generate::{MEDIA, OneOrMany, input_ids, many, one};
use super::normalize::rids;
use super::validation::{FieldError, Fields, Mismatch, Read, boolean, int, nullable, string};
use super::{ValueError, python};

/// The input for one vector.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbeddingPrompt {
    /// A text.
    Text(String),
    /// Two texts that an encoder reads as one; their tokens have different segments.
    Pair(String, String),
    /// Ids, as the client gave them.
    Ids(Vec<i64>),
}

/// An embedding request as the client gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingReqInput {
    /// Request ids.
    pub rid: Option<OneOrMany<String>>,
    /// The prompts; `None` if the client gave none.
    pub prompts: Option<OneOrMany<EmbeddingPrompt>>,
    /// Whether both text and ids were given.
    pub has_both: bool,
    /// Whether images, videos or audio were given.
    pub has_media: bool,
    /// Requested size of the vectors.
    pub dimensions: Option<i64>,
    /// Whether to return the hidden state before the head.
    pub return_pooled_hidden_states: bool,
    /// Whether to return the prompt's ids.
    pub return_prompt_token_ids: bool,
    /// Adapter names.
    pub lora_path: Option<OneOrMany<Option<String>>>,
    /// Priority.
    pub priority: Option<i64>,
    /// Whether to cut prompts that are longer than the context.
    pub truncate: bool,
}

/// A request for one vector.
#[derive(Clone, Debug, PartialEq)]
pub struct SingleEmbeddingReqInput {
    /// Request id.
    pub rid: String,
    /// The input.
    pub prompt: EmbeddingPrompt,
    /// Requested size of the vector.
    pub dimensions: Option<i64>,
    /// Whether to return the hidden state before the head.
    pub return_pooled_hidden_states: bool,
    /// Adapter name.
    pub lora_path: Option<String>,
    /// Priority.
    pub priority: Option<i64>,
    /// Whether to cut a prompt that is longer than the context.
    pub truncate: bool,
}

/// Reads `text`: one text, a list of texts, or a list of pairs.
fn texts(value: &Value) -> Read<OneOrMany<EmbeddingPrompt>> {
    let pair = |v: &Value| match v.as_array().map(Vec::as_slice) {
        Some([Value::String(a), Value::String(b)]) => Ok(EmbeddingPrompt::Pair(a.clone(), b.clone())),
        Some(_) => Err(Mismatch::rule("a pair must be two strings", v)),
        None => string(v).map(EmbeddingPrompt::Text),
    };
    match value {
        Value::Array(items) => items.iter().map(pair).collect::<Read<_>>().map(OneOrMany::Many),
        other => string(other).map(EmbeddingPrompt::Text).map(OneOrMany::One),
    }
}

impl EmbeddingReqInput {
    /// Reads a body.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn from_json(body: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut f = Fields::of_body(body);
        let given = |value: Option<&Value>| match value {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(items)) => items.iter().any(|v| !v.is_null()),
            Some(_) => true,
        };
        let text = f.optional("text", texts);
        let ids = f.optional("input_ids", input_ids);
        let request = Self {
            rid: f.union("rid", &[("list[str]", &many(string)), ("str", &one(string))]),
            has_both: text.is_some() && ids.is_some(),
            prompts: text.or(ids.map(|ids| match ids {
                OneOrMany::One(ids) => OneOrMany::One(EmbeddingPrompt::Ids(ids)),
                OneOrMany::Many(lists) => {
                    OneOrMany::Many(lists.into_iter().map(EmbeddingPrompt::Ids).collect())
                }
            })),
            has_media: MEDIA.map(|name| given(f.raw(name))).contains(&true),
            dimensions: f.optional("dimensions", int),
            return_pooled_hidden_states: f.or("return_pooled_hidden_states", false, boolean),
            return_prompt_token_ids: f.or("return_prompt_token_ids", false, boolean),
            lora_path: f.union(
                "lora_path",
                &[("list[str]", &many(nullable(string))), ("str", &one(nullable(string)))],
            ),
            priority: f.optional("priority", int),
            truncate: false,
        };
        f.finish(Some(request))
    }

    /// A request for these prompts, with defaults for everything else.
    pub fn of(prompts: OneOrMany<EmbeddingPrompt>) -> Self {
        Self { prompts: Some(prompts), ..Self::default() }
    }

    /// Splits the request. The flag says whether the answer is one object instead of an array.
    ///
    /// # Errors
    /// If there is no prompt, several kinds of prompts or an empty prompt, or if request ids are too few or repeated.
    pub fn normalize(self) -> Result<(Vec<SingleEmbeddingReqInput>, bool), ValueError> {
        let fail = |text: &str| Err(ValueError(text.to_owned()));
        let prompts = match self.prompts {
            None if self.has_media => {
                return fail("Model only supports text input; received image, video or audio data.");
            }
            None => {
                return fail("At least one of text, input_ids, image, video, or audio should be provided");
            }
            Some(_) if self.has_both => {
                return fail("text and input_ids cannot be provided at the same time");
            }
            Some(prompts) => prompts,
        };
        if self.has_media {
            return fail("Model only supports text input; received image, video or audio data.");
        }
        let (prompts, is_single) = match prompts {
            OneOrMany::One(prompt) => (vec![prompt], true),
            OneOrMany::Many(prompts) => (prompts, false),
        };
        if prompts.len() > super::normalize::MAX_BATCH {
            return Err(ValueError(format!(
                "{} prompts are more than {} in one request.",
                prompts.len(),
                super::normalize::MAX_BATCH
            )));
        }
        let size = prompts.len();
        let lora_path = match self.lora_path {
            None => vec![None; size],
            Some(OneOrMany::One(name)) => vec![name; size],
            Some(OneOrMany::Many(names)) if names.len() == size => names,
            Some(OneOrMany::Many(names)) => {
                return Err(ValueError(format!(
                    "lora_path list length ({}) must match batch size ({size})",
                    names.len()
                )));
            }
        };
        let rids = rids(self.rid, size, is_single, 1)?;
        let item = |((prompt, rid), lora_path): (_, Option<String>)| SingleEmbeddingReqInput {
            rid,
            lora_path: lora_path.filter(|name| !name.is_empty()),
            prompt,
            dimensions: self.dimensions,
            return_pooled_hidden_states: self.return_pooled_hidden_states,
            priority: self.priority,
            truncate: self.truncate,
        };
        Ok((prompts.into_iter().zip(rids).zip(lora_path).map(item).collect(), is_single))
    }
}

/// What the server must know about an embedding model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingFacts {
    /// The path of the model, for errors.
    pub model_path: String,
    /// Whether the model could generate and embeds only because of `--is-embedding`.
    pub by_flag: bool,
    /// The size of a vector.
    pub hidden_size: u64,
    /// Sizes to which vectors may be cut: `None` if they may not be cut, an empty list for any size.
    pub matryoshka_dimensions: Option<Vec<u64>>,
    /// Names of the classes, if the model classifies prompts instead of returning vectors.
    pub labels: Option<Vec<String>>,
}

impl EmbeddingFacts {
    /// The error for requests that generate text.
    pub fn not_a_generation_model(&self) -> String {
        let other = match self.by_flag {
            true => "launch the server without `--is-embedding`",
            false => "serve another model",
        };
        format!(
            "{NOT_A_GENERATION_MODEL} Use /encode, /v1/embeddings, /classify, /v1/classify, /v1/rerank or /v1/score, or \
             {other}."
        )
    }

    /// Checks a requested size (reference: `_validate_for_matryoshka_dim`).
    ///
    /// # Errors
    /// If the model's vectors may not be cut, or not to this size.
    pub fn check_dimensions(&self, dimensions: Option<i64>) -> Result<(), ValueError> {
        let Some(wanted) = dimensions else { return Ok(()) };
        let Some(sizes) = &self.matryoshka_dimensions else {
            return Err(ValueError(format!(
                "Model '{}' does not support matryoshka representation, changing output dimensions will lead to poor \
                 results.",
                self.model_path
            )));
        };
        let Some(wanted) = u64::try_from(wanted).ok().filter(|n| *n > 0) else {
            return Err(ValueError("Requested dimensions must be greater than 0".into()));
        };
        if !sizes.is_empty() && !sizes.contains(&wanted) {
            let list = python::repr(&Value::from(sizes.clone()));
            return Err(ValueError(format!(
                "Model '{}' only supports {list} matryoshka dimensions, using other output dimensions will lead to \
                 poor results.",
                self.model_path
            )));
        }
        if wanted > self.hidden_size {
            return Err(ValueError(format!(
                "Provided dimensions are greater than max embedding dimension: {}",
                self.hidden_size
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<(Vec<SingleEmbeddingReqInput>, bool), String> {
        let request = EmbeddingReqInput::from_json(body.as_object().unwrap())
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
        request.normalize().map_err(|e| e.0)
    }

    #[test]
    fn all_forms_of_a_prompt_are_read() {
        let prompts = |body: Value| {
            let (items, is_single) = read(body).unwrap();
            (items.into_iter().map(|item| item.prompt).collect::<Vec<_>>(), is_single)
        };
        let text = |t: &str| EmbeddingPrompt::Text(t.into());
        assert_eq!(prompts(json!({"text": "a"})), (vec![text("a")], true));
        assert_eq!(prompts(json!({"text": ["a"]})), (vec![text("a")], false));
        let pair = EmbeddingPrompt::Pair("q".into(), "d".into());
        assert_eq!(prompts(json!({"text": [["q", "d"]]})), (vec![pair], false));
        assert_eq!(prompts(json!({"input_ids": [1, 2]})), (vec![EmbeddingPrompt::Ids(vec![1, 2])], true));
        let lists = vec![EmbeddingPrompt::Ids(vec![1]), EmbeddingPrompt::Ids(vec![2, 3])];
        assert_eq!(prompts(json!({"input_ids": [[1], [2, 3]]})), (lists, false));
    }

    #[test]
    fn what_is_missing_doubled_or_of_another_kind_is_named() {
        assert_eq!(
            read(json!({"model": "m"})).unwrap_err(),
            "At least one of text, input_ids, image, video, or audio should be provided"
        );
        assert_eq!(
            read(json!({"text": "x", "input_ids": [1]})).unwrap_err(),
            "text and input_ids cannot be provided at the same time"
        );
        assert!(read(json!({"image_data": "x.png"})).unwrap_err().contains("only supports text"));
        assert!(read(json!({"text": [["a"]]})).unwrap_err().contains("a pair must be two strings"));
        assert!(read(json!({"text": 5})).unwrap_err().contains("valid string"));
        assert!(read(json!({"text": ["a", "b"], "rid": ["r", "r"]})).unwrap_err().contains("Duplicate"));
    }

    #[test]
    fn a_string_rid_numbers_a_batch() {
        let (items, _) = read(json!({"text": ["x", "y"], "rid": "r"})).unwrap();
        assert_eq!(items.iter().map(|i| i.rid.as_str()).collect::<Vec<_>>(), ["r_0", "r_1"]);
    }

    #[test]
    fn sizes_are_checked_in_the_references_order() {
        let facts = |sizes: Option<Vec<u64>>| EmbeddingFacts {
            model_path: "M".into(),
            by_flag: false,
            hidden_size: 64,
            matryoshka_dimensions: sizes,
            labels: None,
        };
        let error = |sizes, wanted| facts(sizes).check_dimensions(Some(wanted)).map_err(|e| e.0);
        assert!(error(None, -1).unwrap_err().contains("'M' does not support matryoshka"));
        assert_eq!(error(Some(vec![]), 0).unwrap_err(), "Requested dimensions must be greater than 0");
        assert!(
            error(Some(vec![8, 16]), 9).unwrap_err().contains("only supports [8, 16] matryoshka dimensions")
        );
        assert!(error(Some(vec![]), 65).unwrap_err().ends_with("max embedding dimension: 64"));
        assert_eq!(error(Some(vec![]), 64), Ok(()));
        facts(None).check_dimensions(None).unwrap();
    }
}
