//! Splits a [`GenerateReqInput`] into single requests. Handles batches, `n` samples, request ids, and values that are
//! given once or per prompt (reference: `GenerateReqInput.normalize_batch_and_arguments`).

use sglang_proto::CaptureHiddenMode;
use sglang_proto::messages::SessionParams;
use sglang_proto::refusal;
use sglang_proto::sampling_params::SamplingRequest;

use super::ValueError;
use super::generate::{GenerateReqInput, OneOrMany};

/// The largest number of prompts times samples in one request.
pub const MAX_BATCH: usize = 65_536;

/// The prompt of a single request.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Text to tokenize.
    Text(String),
    /// Ids, as the client gave them.
    Ids(Vec<i64>),
}

/// One prompt with all its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SingleReqInput {
    /// Request id.
    pub rid: String,
    /// The prompt's text, if it was given (for logs and echo).
    pub text: Option<String>,
    /// The prompt to run.
    pub prompt: Prompt,
    /// Sampling parameters.
    pub sampling_params: SamplingRequest,
    /// Whether to return log-probabilities.
    pub return_logprob: bool,
    /// The first prompt position whose log-probability is returned; -1 for none.
    pub logprob_start_len: i64,
    /// Number of most likely tokens to return per position.
    pub top_logprobs_num: i64,
    /// Ids whose log-probabilities are returned at every position.
    pub token_ids_logprob: Option<Vec<i64>>,
    /// Which hidden states to return.
    pub return_hidden_states: CaptureHiddenMode,
    /// Whether to return token texts in log-probability lists.
    pub return_text_in_logprobs: bool,
    /// Whether to stream the output.
    pub stream: bool,
    /// Whether to return the prompt's ids.
    pub return_prompt_token_ids: bool,
    /// Session id (short form).
    pub session_id: Option<String>,
    /// Session position.
    pub session_params: Option<SessionParams>,
    /// Adapter name.
    pub lora_path: Option<String>,
    /// Priority.
    pub priority: Option<i64>,
    /// Cache namespace chosen by the caller.
    pub extra_key: Option<String>,
    /// Cache namespace that isolates equal prefixes.
    pub cache_salt: Option<String>,
    /// Data-parallel rank to run on.
    pub routed_dp_rank: Option<i64>,
    /// Key of the routing-key policy.
    pub routing_key: Option<String>,
    /// Whether to keep this request out of the logs.
    pub no_logs: bool,
    /// Whether the answer starts with reasoning.
    pub require_reasoning: bool,
}

/// The single requests of one client request.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizedRequest {
    /// One per prompt.
    pub items: Vec<SingleReqInput>,
    /// Number of samples per prompt.
    pub parallel_sample_num: usize,
    /// Whether the answer is one object (for one sample of one prompt that is not in a list) instead of an array.
    pub is_single: bool,
}

/// A new random request id.
pub fn new_rid() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn spread<T: Clone>(
    value: Option<OneOrMany<T>>,
    default: T,
    name: &str,
    size: usize,
    samples: usize,
) -> Result<Vec<T>, ValueError> {
    match value {
        None => Ok(vec![default; size]),
        Some(OneOrMany::One(one)) => Ok(vec![one; size]),
        Some(OneOrMany::Many(_)) if samples > 1 => {
            Err(ValueError(format!("Cannot use list {name} with parallel_sample_num > 1")))
        }
        Some(OneOrMany::Many(list)) => exact(list, name, size),
    }
}

fn exact<T>(list: Vec<T>, name: &str, size: usize) -> Result<Vec<T>, ValueError> {
    match list.len() == size {
        true => Ok(list),
        false => Err(ValueError(format!("The length of {name} should be equal to the batch size."))),
    }
}

fn namespaces(
    value: Option<OneOrMany<String>>,
    name: &str,
    size: usize,
    is_single: bool,
) -> Result<Vec<Option<String>>, ValueError> {
    let filled = |s: String| Some(s).filter(|s| !s.is_empty());
    match value {
        None => Ok(vec![None; size]),
        Some(OneOrMany::One(one)) => Ok(vec![filled(one); size]),
        Some(OneOrMany::Many(_)) if is_single => {
            Err(ValueError(format!("{name} should be a string for a single request.")))
        }
        Some(OneOrMany::Many(list)) => Ok(exact(list, name, size)?.into_iter().map(filled).collect()),
    }
}

struct Prompts {
    texts: Vec<Option<String>>,
    prompts: Vec<Prompt>,
    is_single: bool,
}

fn prompts(request: &mut GenerateReqInput) -> Result<Prompts, ValueError> {
    let either = || ValueError("Either text, input_ids or input_embeds should be provided.".into());
    let (text, ids) = (request.text.take(), request.input_ids.take());
    if text.is_none() && ids.is_none() {
        return Err(match request.has_input_embeds {
            // Embeddings as input are not supported, with or without the cache. The text is the reference's for a
            // server with the cache.
            true => ValueError(
                "input_embeds is provided while disable_radix_cache is False. Please add `--disable-radix-cache` when \
                 you launch the server if you want to use input_embeds as inputs."
                    .into(),
            ),
            false => either(),
        });
    }
    if text.is_some() && ids.is_some() && request.has_input_embeds {
        return Err(either());
    }
    // If both are given, the text decides whether this is a batch, and the ids are used as prompts.
    let (texts, is_single) = match text {
        Some(OneOrMany::One(text)) => (Some(vec![text]), Some(true)),
        Some(OneOrMany::Many(texts)) => (Some(texts), Some(false)),
        None => (None, None),
    };
    let (ids, ids_single) = match ids {
        Some(OneOrMany::One(ids)) => {
            let in_session = request.session_params.as_ref().is_some_and(|s| s.id.is_some());
            if ids.is_empty() && !in_session {
                return Err(ValueError(refusal::EMPTY_INPUT_IDS.into()));
            }
            (Some(vec![ids]), Some(true))
        }
        Some(OneOrMany::Many(lists)) => {
            if lists.iter().any(Vec::is_empty) {
                return Err(ValueError(refusal::EMPTY_INPUT_IDS.into()));
            }
            (Some(lists), Some(false))
        }
        None => (None, None),
    };
    let size = texts.as_ref().map(Vec::len).or(ids.as_ref().map(Vec::len)).unwrap_or_default();
    if size == 0 {
        return Err(either());
    }
    if let (Some(texts), Some(ids)) = (&texts, &ids)
        && texts.len() != ids.len()
    {
        return Err(ValueError("text and input_ids have different batch sizes.".into()));
    }
    let is_single = is_single.or(ids_single).unwrap_or(true);
    let prompts = match (&texts, ids) {
        (_, Some(ids)) => ids.into_iter().map(Prompt::Ids).collect(),
        (Some(texts), None) => texts.iter().cloned().map(Prompt::Text).collect(),
        (None, None) => return Err(either()),
    };
    let texts = texts.map_or_else(|| vec![None; size], |texts| texts.into_iter().map(Some).collect());
    Ok(Prompts { texts, prompts, is_single })
}

fn sample_count(params: &Option<OneOrMany<SamplingRequest>>) -> Result<usize, ValueError> {
    let n = |request: &SamplingRequest| request.n.value().copied().unwrap_or(1);
    let count = match params {
        None => 1,
        Some(OneOrMany::One(request)) => n(request),
        Some(OneOrMany::Many(requests)) => {
            let first = requests.first().map_or(1, n);
            if requests.iter().any(|request| n(request) != first) {
                return Err(ValueError(
                    "The parallel_sample_num should be the same for all samples in sample params.".into(),
                ));
            }
            first
        }
    };
    usize::try_from(count)
        .ok()
        .filter(|n| *n >= 1)
        .ok_or_else(|| ValueError(format!("n must be at least 1, got {count}.")))
}

pub(super) fn rids(
    rid: Option<OneOrMany<String>>,
    size: usize,
    is_single: bool,
    samples: usize,
) -> Result<Vec<String>, ValueError> {
    let rids: Vec<String> = match rid {
        None => (0..size).map(|_| new_rid()).collect(),
        Some(OneOrMany::One(rid)) if is_single && samples == 1 => vec![rid],
        Some(OneOrMany::One(rid)) => (0..size).map(|i| format!("{rid}_{i}")).collect(),
        Some(OneOrMany::Many(rids)) if rids.len() == size => rids,
        Some(OneOrMany::Many(_)) => {
            return Err(ValueError(
                "The specified rids length mismatch with the batch_size for batch processing.".into(),
            ));
        }
    };
    if rids.iter().any(String::is_empty) {
        return Err(ValueError("The rid should not be empty.".into()));
    }
    let mut seen = ahash::AHashSet::with_capacity(rids.len());
    let mut duplicates: Vec<&String> = Vec::new();
    for rid in &rids {
        if !seen.insert(rid) && !duplicates.contains(&rid) {
            duplicates.push(rid);
        }
    }
    if !duplicates.is_empty() {
        let listed: Vec<String> = duplicates.iter().map(|rid| super::python::str_repr(rid)).collect();
        return Err(ValueError(format!(
            "Duplicate request IDs detected within the request: [{}]",
            listed.join(", ")
        )));
    }
    Ok(rids)
}

impl GenerateReqInput {
    /// Splits the request.
    ///
    /// # Errors
    /// If there is no prompt or too many, lists have different lengths, or request ids repeat.
    pub fn normalize(mut self) -> Result<NormalizedRequest, ValueError> {
        let Prompts { texts, prompts, is_single } = prompts(&mut self)?;
        let size = prompts.len();
        if self.session_id.is_some() && self.session_params.is_some() {
            return Err(ValueError("session_id and session_params cannot both be set.".into()));
        }
        let samples = sample_count(&self.sampling_params)?;
        if size.saturating_mul(samples) > MAX_BATCH {
            return Err(ValueError(format!(
                "{size} prompts with {samples} samples each are more than {MAX_BATCH} in one request."
            )));
        }
        let sampling_params = match self.sampling_params {
            None => vec![SamplingRequest::default(); size],
            Some(OneOrMany::One(request)) => vec![request; size],
            Some(OneOrMany::Many(requests)) => exact(requests, "sampling_params", size)?,
        };
        let token_ids_logprob = match self.token_ids_logprob {
            None => vec![None; size],
            Some(OneOrMany::One(ids)) => vec![Some(ids).filter(|ids| !ids.is_empty()); size],
            Some(OneOrMany::Many(_)) if samples > 1 => {
                return Err(ValueError(
                    "Cannot use list token_ids_logprob with parallel_sample_num > 1".into(),
                ));
            }
            Some(OneOrMany::Many(lists)) => exact(lists, "token_ids_logprob", size)?
                .into_iter()
                .map(|ids| Some(ids).filter(|ids| !ids.is_empty()))
                .collect(),
        };
        let lora_path = match self.lora_path {
            None => vec![None; size],
            Some(OneOrMany::One(name)) => vec![name; size],
            Some(OneOrMany::Many(names)) => exact(names, "lora_path", size)?,
        };
        // Every sample of a prompt uses the prompt's entry, so a list is allowed with several samples, too.
        let mut hidden_states =
            spread(self.return_hidden_states, CaptureHiddenMode::Null, "return_hidden_states", size, 1)?
                .into_iter();
        let mut rids = rids(self.rid, size, is_single, samples)?.into_iter();
        let mut return_logprob =
            spread(self.return_logprob, false, "return_logprob", size, samples)?.into_iter();
        let mut logprob_start_len =
            spread(self.logprob_start_len, -1, "logprob_start_len", size, samples)?.into_iter();
        let mut top_logprobs_num =
            spread(self.top_logprobs_num, 0, "top_logprobs_num", size, samples)?.into_iter();
        let mut extra_key = namespaces(self.extra_key, "extra_key", size, is_single)?.into_iter();
        let mut cache_salt = namespaces(self.cache_salt, "cache_salt", size, is_single)?.into_iter();
        let items = prompts
            .into_iter()
            .zip(texts)
            .zip(sampling_params)
            .zip(token_ids_logprob)
            .zip(lora_path)
            .map(|((((prompt, text), sampling_params), token_ids_logprob), lora_path)| SingleReqInput {
                rid: rids.next().unwrap_or_else(new_rid),
                text,
                prompt,
                sampling_params,
                return_logprob: return_logprob.next().unwrap_or_default(),
                logprob_start_len: logprob_start_len.next().unwrap_or(-1),
                top_logprobs_num: top_logprobs_num.next().unwrap_or_default(),
                token_ids_logprob,
                return_hidden_states: hidden_states.next().unwrap_or_default(),
                return_text_in_logprobs: self.return_text_in_logprobs,
                stream: self.stream,
                return_prompt_token_ids: self.return_prompt_token_ids,
                session_id: self.session_id.clone(),
                session_params: self.session_params.clone(),
                lora_path: lora_path.filter(|name| !name.is_empty()),
                priority: self.priority,
                extra_key: extra_key.next().flatten(),
                cache_salt: cache_salt.next().flatten(),
                routed_dp_rank: self.routed_dp_rank,
                routing_key: self.routing_key.clone(),
                no_logs: self.no_logs,
                require_reasoning: self.require_reasoning,
            })
            .collect();
        Ok(NormalizedRequest { items, parallel_sample_num: samples, is_single: is_single && samples == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn normalize(body: Value) -> Result<NormalizedRequest, String> {
        GenerateReqInput::from_json(body.as_object().unwrap()).unwrap().normalize().map_err(|e| e.0)
    }

    #[test]
    fn exactly_one_kind_of_prompt_is_needed() {
        let none = "Either text, input_ids or input_embeds should be provided.";
        assert_eq!(normalize(json!({})).unwrap_err(), none);
        assert_eq!(normalize(json!({"text": []})).unwrap_err(), none);
        assert_eq!(normalize(json!({"input_ids": []})).unwrap_err(), "input_ids cannot be empty.");
        let both = normalize(json!({"text": "a", "input_ids": [1, 2]})).unwrap();
        assert_eq!(both.items[0].prompt, Prompt::Ids(vec![1, 2]));
        assert_eq!(both.items[0].text.as_deref(), Some("a"));
    }

    #[test]
    fn a_string_rid_numbers_the_items_of_a_batch() {
        let batch = normalize(json!({"text": ["a", "b"], "rid": "bb"})).unwrap();
        assert_eq!(batch.items.iter().map(|i| i.rid.as_str()).collect::<Vec<_>>(), ["bb_0", "bb_1"]);
        assert!(!batch.is_single);
        assert_eq!(
            normalize(json!({"text": ["a", "b"], "rid": ["s"]})).unwrap_err(),
            "The specified rids length mismatch with the batch_size for batch processing."
        );
        assert_eq!(
            normalize(json!({"text": ["a", "b"], "rid": ["s", "s"]})).unwrap_err(),
            "Duplicate request IDs detected within the request: ['s']"
        );
    }

    #[test]
    fn several_samples_make_an_array_even_of_one_prompt() {
        let request = normalize(json!({"text": "a", "sampling_params": {"n": 3}})).unwrap();
        assert_eq!((request.parallel_sample_num, request.is_single, request.items.len()), (3, false, 1));
        assert_eq!(
            normalize(json!({"text": ["a", "b"], "sampling_params": [{"n": 1}, {"n": 2}]})).unwrap_err(),
            "The parallel_sample_num should be the same for all samples in sample params."
        );
        assert_eq!(
            normalize(json!({"text": ["a"], "return_logprob": [true], "sampling_params": {"n": 2}}))
                .unwrap_err(),
            "Cannot use list return_logprob with parallel_sample_num > 1"
        );
        assert!(normalize(json!({"text": "a", "sampling_params": {"n": 100_000}})).is_err());
        assert!(normalize(json!({"text": "a", "sampling_params": {"n": 0}})).is_err());
    }

    #[test]
    fn a_flat_list_of_ids_is_shared_and_nested_lists_are_per_prompt() {
        let shared = normalize(json!({"text": ["a", "b"], "token_ids_logprob": [5]})).unwrap();
        assert!(shared.items.iter().all(|i| i.token_ids_logprob == Some(vec![5])));
        let own = normalize(json!({"text": ["a", "b"], "token_ids_logprob": [[5], [6]]})).unwrap();
        assert_eq!(own.items[1].token_ids_logprob, Some(vec![6]));
        assert!(normalize(json!({"text": ["a", "b"], "token_ids_logprob": [[5]]})).is_err());
    }
}
