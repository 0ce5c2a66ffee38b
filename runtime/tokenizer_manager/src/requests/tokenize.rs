//! Tokenizes single requests and checks their lengths (reference: `TokenizerManager._tokenize_one_request`,
//! `_validate_one_request`).

use std::sync::Arc;

use sglang_proto::CaptureHiddenMode;
use sglang_proto::messages::TokenizedGenerateReqInput;
use sglang_proto::refusal;
use sglang_proto::sampling_params::{Given, SamplingRequest};
use sglang_proto::wire::TokenIds;

use super::embedding::EmbeddingFacts;
use super::normalize::{Prompt, SingleReqInput};
use super::sampling;
use super::{GenerateReqInput, OneOrMany, ValueError};
use crate::text::TextCodec;

/// Texts of up to this many bytes are tokenized on the calling thread, longer ones on a separate thread.
pub const INLINE_BYTES: usize = 4096;

/// The properties of model and server that decide whether a request can run.
#[derive(Clone)]
pub struct RequestLimits {
    /// Context length in tokens.
    pub context_len: usize,
    /// The number of valid ids, which start at 0.
    pub vocab_size: u32,
    /// `--preferred-sampling-params`.
    pub preferred_sampling_params: Option<SamplingRequest>,
    /// `--allow-auto-truncate`.
    pub allow_auto_truncate: bool,
    /// `--default-priority-value`.
    pub default_priority: Option<i64>,
    /// Which hidden states requests may ask for.
    pub hidden_states: CaptureHiddenMode,
    /// Number of data-parallel ranks.
    pub dp_size: usize,
    /// Whether grammars are supported: there is a tokenizer, and `--grammar-backend` is not none.
    pub grammars: bool,
    /// Facts about an embedding model; `None` for a model that generates.
    pub embedding: Option<EmbeddingFacts>,
    /// The tokenizer; `None` if prompts must be given as ids.
    pub codec: Option<Arc<dyn TextCodec>>,
}

/// Refuses features that are off or not supported, in the reference's words.
///
/// # Errors
/// The first such field.
pub fn check_features(
    request: &GenerateReqInput,
    limits: &RequestLimits,
    lora: bool,
) -> Result<(), ValueError> {
    let fail = |text: String| Err(ValueError(text));
    if request.has_media {
        return fail("Model only supports text input; received image, video or audio data.".into());
    }
    if let Some(name) = adapter_name(&request.lora_path).filter(|_| !lora) {
        return fail(lora_off(name));
    }
    if request.max_thinking_tokens.is_some() {
        return fail(
            "max_thinking_tokens requires the server to be launched with --enable-strict-thinking".into(),
        );
    }
    let hidden_states = match &request.return_hidden_states {
        None => CaptureHiddenMode::Null,
        Some(OneOrMany::One(mode)) => *mode,
        Some(OneOrMany::Many(modes)) => modes.iter().copied().max().unwrap_or_default(),
    };
    if hidden_states > limits.hidden_states {
        return fail(match limits.hidden_states.need_capture() {
            true => "The requested return_hidden_states mode exceeds the server maximum `last`. Please launch with \
                     `--return-hidden-states-mode full` to allow return_hidden_states=True."
                .into(),
            false => "The server is not configured to return hidden states. Please set `--return-hidden-states-mode \
                      last`, `--return-hidden-states-mode full`, or the legacy `--enable-return-hidden-states` flag."
                .into(),
        });
    }
    if request.has_custom_logit_processor {
        return fail(
            "The server is not configured to enable custom logit processor. Please set \
             `--enable-custom-logit-processor` to enable this feature."
                .into(),
        );
    }
    if let Some(rank) = request.routed_dp_rank
        && !(0..i64::try_from(limits.dp_size).unwrap_or(1)).contains(&rank)
    {
        return fail(format!("routed_dp_rank={rank} out of range [0, {})", limits.dp_size));
    }
    Ok(())
}

/// The first adapter that a request names.
pub fn adapter_name(lora_path: &Option<OneOrMany<Option<String>>>) -> Option<&str> {
    let name = match lora_path {
        Some(OneOrMany::One(Some(name))) => Some(name),
        Some(OneOrMany::Many(names)) => names.iter().flatten().next(),
        _ => None,
    };
    name.map(String::as_str).filter(|n| !n.is_empty())
}

/// The error for a request that names an adapter while LoRA is off.
pub fn lora_off(name: &str) -> String {
    format!(
        "LoRA adapter '{name}' was requested, but LoRA is not enabled. Please launch the server with --enable-lora \
         flag and preload adapters using --lora-paths or /load_lora_adapter endpoint."
    )
}

impl RequestLimits {
    fn ids(&self, prompt: Prompt) -> Result<Vec<u32>, ValueError> {
        match prompt {
            Prompt::Ids(ids) => self.valid_ids(&ids, "input_ids"),
            Prompt::Text(text) => {
                self.known_ids(self.codec()?.encode(&text, true).map_err(|e| ValueError(e.0))?)
            }
        }
    }

    /// The tokenizer for prompts that are given as text.
    ///
    /// # Errors
    /// If the server was started without a tokenizer.
    pub(super) fn codec(&self) -> Result<&dyn TextCodec, ValueError> {
        self.codec.as_deref().ok_or_else(|| {
            ValueError(
                "The engine initialized with skip_tokenizer_init=True cannot accept text prompts. Please provide \
                 input_ids or re-initialize the engine with skip_tokenizer_init=False."
                    .into(),
            )
        })
    }

    /// The error for a prompt of `len` tokens.
    pub(super) fn too_long(&self, len: usize) -> ValueError {
        let context = self.context_len;
        ValueError(format!(
            "The input ({len} tokens) is longer than the model's context length ({context} tokens)."
        ))
    }

    /// Checks the ids of a text against the model's vocabulary. Files next to a tokenizer may add tokens that the model
    /// does not have.
    ///
    /// # Errors
    /// The first such id.
    pub(super) fn known_ids(&self, ids: Vec<u32>) -> Result<Vec<u32>, ValueError> {
        match ids.iter().find(|id| **id >= self.vocab_size) {
            None => Ok(ids),
            Some(id) => Err(ValueError(format!(
                "The text has a token with id {id}, which the tokenizer knows and the model does not: its vocabulary \
                 is [0, {}).",
                self.vocab_size
            ))),
        }
    }

    /// Converts ids to the type that the scheduler uses.
    ///
    /// # Errors
    /// The first id outside the vocabulary; `field` names the field that contains it.
    pub fn valid_ids(&self, ids: &[i64], field: &str) -> Result<Vec<u32>, ValueError> {
        let valid = |id: &i64| {
            u32::try_from(*id)
                .ok()
                .filter(|id| *id < self.vocab_size)
                .ok_or_else(|| ValueError(refusal::out_of_vocabulary(field, id, self.vocab_size)))
        };
        ids.iter().map(valid).collect()
    }

    /// Tokenizes a request and checks it.
    ///
    /// # Errors
    /// If the request cannot run: lengths, ranges, ids outside the vocabulary, grammars, or options that need a
    /// tokenizer when there is none.
    pub fn tokenize(&self, item: SingleReqInput) -> Result<TokenizedGenerateReqInput, ValueError> {
        let in_session = item.session_params.as_ref().is_some_and(|s| s.id.is_some());
        let mut input_ids = self.ids(item.prompt)?;
        if input_ids.is_empty() && !in_session {
            return Err(ValueError(refusal::EMPTY_INPUT_IDS.into()));
        }
        let mut sampling_request = item.sampling_params;
        self.check_lengths(&mut input_ids, &mut sampling_request)?;
        let token_ids_logprob = match &item.token_ids_logprob {
            Some(ids) => Some(self.valid_ids(ids, "token_ids_logprob")?),
            None => None,
        };
        let stop_len = |text: &str| match &self.codec {
            Some(codec) => codec.encode(text, false).map_or(text.len(), |ids| ids.len()),
            None => text.len(),
        };
        let sampling_params = sampling::build(
            sampling_request,
            self.preferred_sampling_params.as_ref(),
            self.vocab_size,
            stop_len,
        )?;
        if self.codec.is_none() {
            let needs_text = [
                ("stop", !sampling_params.stop_strs.0.is_empty()),
                ("stop_regex", !sampling_params.stop_regex_strs.0.is_empty()),
                ("min_new_tokens", sampling_params.min_new_tokens > 0),
            ];
            if let Some((name, _)) = needs_text.into_iter().find(|(_, used)| *used) {
                return Err(ValueError(format!("{name} is not supported with --skip-tokenizer-init.")));
            }
        }
        if !self.grammars && sampling::has_grammar(&sampling_params) {
            return Err(ValueError(
                "Grammar-based generation (json_schema, regex, ebnf, structural_tag) is not supported when the server \
                 is launched with --grammar-backend none"
                    .into(),
            ));
        }
        let start = item.logprob_start_len;
        if item.return_logprob && start > i64::try_from(input_ids.len()).unwrap_or(i64::MAX) {
            return Err(ValueError(format!(
                "req.logprob_start_len={start} is higher than the number of input tokens \
                 len(req.origin_input_ids)={}. Please use a smaller logprob_start_len.",
                input_ids.len()
            )));
        }
        if item.return_logprob && start < -1 {
            return Err(ValueError(format!("logprob_start_len must be -1 or larger, got {start}.")));
        }
        if !(0..=i64::from(self.vocab_size)).contains(&item.top_logprobs_num) {
            return Err(ValueError(format!(
                "top_logprobs_num must be in [0, {}], got {}.",
                self.vocab_size, item.top_logprobs_num
            )));
        }
        Ok(TokenizedGenerateReqInput {
            rid: item.rid,
            input_text: item.text,
            input_ids: Some(TokenIds(input_ids)),
            sampling_params,
            return_logprob: item.return_logprob,
            logprob_start_len: item.logprob_start_len,
            top_logprobs_num: item.top_logprobs_num,
            token_ids_logprob,
            return_hidden_states: item.return_hidden_states,
            stream: item.stream,
            session_id: item.session_id,
            session_params: item.session_params,
            // With a single rank, its number is left out.
            routed_dp_rank: item.routed_dp_rank.filter(|_| self.dp_size > 1),
            routing_key: item.routing_key,
            priority: item.priority.or(self.default_priority),
            extra_key: item.extra_key,
            cache_salt: item.cache_salt,
            no_logs: item.no_logs,
            require_reasoning: item.require_reasoning,
            ..Default::default()
        })
    }

    fn check_lengths(
        &self,
        input_ids: &mut Vec<u32>,
        sampling: &mut SamplingRequest,
    ) -> Result<(), ValueError> {
        let context = self.context_len;
        if input_ids.len() >= context {
            if !self.allow_auto_truncate {
                return Err(self.too_long(input_ids.len()));
            }
            tracing::warn!(
                "The input ({} tokens) is longer than the model's context length ({context} tokens). Truncating the \
                 input.",
                input_ids.len()
            );
            input_ids.truncate(context);
        }
        // As in the reference, only a limit that the request itself sets counts here.
        let Some(max_new) = sampling.max_new_tokens.value().copied() else { return Ok(()) };
        let prompt = input_ids.len();
        let total = i128::from(max_new) + prompt as i128;
        if total <= context as i128 {
            return Ok(());
        }
        if !self.allow_auto_truncate {
            return Err(ValueError(format!(
                "Requested token count exceeds the model's maximum context length of {context} tokens. You requested \
                 a total of {total} tokens: {prompt} tokens from the input messages and {max_new} tokens for the \
                 completion. Please reduce the number of tokens in the input messages or the completion to fit within \
                 the limit."
            )));
        }
        let room = context.saturating_sub(prompt);
        sampling.max_new_tokens = Given::Value(i64::try_from(room).unwrap_or(i64::MAX));
        Ok(())
    }
}

/// The length of all prompt texts, in bytes.
pub fn text_bytes(items: &[SingleReqInput]) -> usize {
    items
        .iter()
        .map(|item| match &item.prompt {
            Prompt::Text(text) => text.len(),
            Prompt::Ids(ids) => ids.len() / 8,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_codec::ByteCodec;
    use serde_json::{Value, json};

    fn limits() -> RequestLimits {
        RequestLimits {
            context_len: 16,
            vocab_size: 100,
            preferred_sampling_params: None,
            allow_auto_truncate: false,
            default_priority: None,
            hidden_states: CaptureHiddenMode::Null,
            dp_size: 1,
            grammars: false,
            embedding: None,
            codec: None,
        }
    }

    fn tokenize(limits: &RequestLimits, body: Value) -> Result<TokenizedGenerateReqInput, String> {
        let request = GenerateReqInput::from_json(body.as_object().unwrap()).unwrap();
        check_features(&request, limits, false).map_err(|e| e.0)?;
        let item = request.normalize().map_err(|e| e.0)?.items.remove(0);
        limits.tokenize(item).map_err(|e| e.0)
    }

    #[test]
    fn ids_outside_the_vocabulary_are_refused() {
        for id in [-1i64, 100, i64::MAX] {
            assert_eq!(
                tokenize(&limits(), json!({"input_ids": [1, id]})).unwrap_err(),
                format!("input_ids contains out-of-vocabulary token id {id}; valid range is [0, 100).")
            );
        }
        assert_eq!(
            tokenize(&limits(), json!({"input_ids": [1], "token_ids_logprob": [100]})).unwrap_err(),
            "token_ids_logprob contains out-of-vocabulary token id 100; valid range is [0, 100)."
        );
    }

    #[test]
    fn tokens_of_a_text_that_the_model_has_no_row_for_are_refused() {
        let limits = RequestLimits { codec: Some(Arc::new(ByteCodec::default())), ..limits() };
        assert_eq!(
            tokenize(&limits, json!({"text": "x"})).unwrap_err(),
            "The text has a token with id 120, which the tokenizer knows and the model does not: its vocabulary is \
             [0, 100)."
        );
    }

    #[test]
    fn too_long_requests_are_refused_or_cut() {
        let long = json!({"input_ids": vec![5; 20]});
        assert_eq!(
            tokenize(&limits(), long.clone()).unwrap_err(),
            "The input (20 tokens) is longer than the model's context length (16 tokens)."
        );
        let total = json!({"input_ids": [1], "sampling_params": {"max_new_tokens": 16}});
        assert!(
            tokenize(&limits(), total.clone())
                .unwrap_err()
                .contains("a total of 17 tokens: 1 tokens from the input messages and 16 tokens")
        );
        let cut = RequestLimits { allow_auto_truncate: true, ..limits() };
        assert_eq!(tokenize(&cut, long).unwrap().input_ids.unwrap().len(), 16);
        assert_eq!(tokenize(&cut, total).unwrap().sampling_params.max_new_tokens, Some(15));
    }

    #[test]
    fn a_start_beyond_the_prompt_is_refused_only_with_log_probabilities() {
        let body = |on| json!({"input_ids": [1], "logprob_start_len": 9, "return_logprob": on});
        assert_eq!(
            tokenize(&limits(), body(true)).unwrap_err(),
            "req.logprob_start_len=9 is higher than the number of input tokens len(req.origin_input_ids)=1. Please use \
             a smaller logprob_start_len."
        );
        tokenize(&limits(), body(false)).unwrap();
    }

    #[test]
    fn features_that_are_off_name_their_flag() {
        for (body, text) in [
            (json!({"input_ids": [1], "lora_path": "a"}), "LoRA adapter 'a' was requested"),
            (json!({"input_ids": [1], "return_hidden_states": true}), "--return-hidden-states-mode"),
            (json!({"input_ids": [1], "custom_logit_processor": "{}"}), "--enable-custom-logit-processor"),
            (json!({"input_ids": [1], "routed_dp_rank": 7}), "routed_dp_rank=7 out of range [0, 1)"),
            (json!({"input_ids": [1], "sampling_params": {"regex": "a"}}), "--grammar-backend none"),
            (json!({"text": "a"}), "skip_tokenizer_init"),
            (json!({"input_ids": [1], "sampling_params": {"stop": "a"}}), "stop is not supported"),
        ] {
            let error = tokenize(&limits(), body).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
        assert_eq!(
            tokenize(&limits(), json!({"input_ids": [1], "routed_dp_rank": 0})).unwrap().routed_dp_rank,
            None
        );
    }
}
