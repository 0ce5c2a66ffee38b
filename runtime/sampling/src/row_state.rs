//! The sampler's state of a running request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sglang_proto::forward::ReqSampling;

use crate::SamplingError;

/// Sampling state of one request: its parsed parameters and statistics of its output so far.
#[derive(Clone, Debug)]
pub struct RowState {
    pub(crate) sampling: Arc<ReqSampling>,
    pub(crate) vocab_size: usize,
    /// Occurrences of each output token; kept only if a penalty needs them.
    pub(crate) counts: HashMap<u32, u32>,
    /// `logit_bias` by id.
    pub(crate) logit_bias: Vec<(u32, f32)>,
    keeps_counts: bool,
    output_len: u32,
}

impl RowState {
    /// State of a request that enters the worker. A resumed request already has output tokens.
    ///
    /// # Errors
    /// `vocab_size` is 0, or a `logit_bias` key is not a token id below `vocab_size`.
    pub fn new(sampling: Arc<ReqSampling>, vocab_size: u32) -> Result<Self, SamplingError> {
        if vocab_size == 0 {
            return Err(SamplingError::EmptyVocabulary);
        }
        let params = &sampling.params;
        // "1" and "01" are the same id; only one of them is applied, as in the reference.
        let mut bias = BTreeMap::new();
        for (key, value) in params.logit_bias.iter().flatten() {
            match key.trim().parse::<u32>() {
                Ok(id) if id < vocab_size => bias.insert(id, *value as f32),
                _ => return Err(SamplingError::LogitBiasKey { key: key.clone(), vocab_size }),
            };
        }
        let keeps_counts = params.frequency_penalty != 0.0
            || params.presence_penalty != 0.0
            || params.repetition_penalty != 1.0;
        let mut state = Self {
            vocab_size: vocab_size as usize,
            counts: HashMap::new(),
            logit_bias: bias.into_iter().collect(),
            keeps_counts,
            output_len: 0,
            sampling: Arc::clone(&sampling),
        };
        for &token in &sampling.output_ids {
            state.observe(token);
        }
        Ok(state)
    }

    /// Counts `token` as the request's next output token. Call it once for every sampled token that is kept.
    pub fn observe(&mut self, token: u32) {
        self.output_len = self.output_len.saturating_add(1);
        if self.keeps_counts {
            let count = self.counts.entry(token).or_insert(0);
            *count = count.saturating_add(1);
        }
    }

    /// The parameters that this state was created from.
    pub fn sampling(&self) -> &Arc<ReqSampling> {
        &self.sampling
    }

    /// Output tokens so far.
    pub fn output_len(&self) -> u32 {
        self.output_len
    }

    /// Position of the request's last token, whose logits give the next token. The reference passes the same position
    /// to its seeded draw.
    pub fn position(&self) -> u32 {
        self.sampling.prompt_len.saturating_add(self.output_len).saturating_sub(1)
    }

    /// Whether end-of-sequence and stop ids are still suppressed.
    pub fn below_min_new_tokens(&self) -> bool {
        i64::from(self.output_len) < self.sampling.params.min_new_tokens
    }

    /// Whether the next token is the plain argmax of the row and only its id is needed.
    pub fn takes_argmax(&self) -> bool {
        self.sampling.params.is_greedy() && !self.edits_logits() && !self.sampling.return_logprob
    }

    /// Whether penalties, `min_new_tokens` or `logit_bias` change the row.
    pub(crate) fn edits_logits(&self) -> bool {
        !self.counts.is_empty() || !self.logit_bias.is_empty() || self.below_min_new_tokens()
    }
}
