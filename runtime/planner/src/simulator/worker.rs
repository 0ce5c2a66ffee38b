//! A model worker without a model.

use std::sync::Arc;

use sglang_proto::forward::{
    Embedding, ForwardBatch, ForwardResult, HiddenStateRows, InputLogprobs, NewRow, PositionLogprobs,
    ReqSampling, TokenLogprob,
};
use sglang_proto::worker::{ModelWorker, ModelWorkerInfo, PromptReach, WorkerError};

use crate::PlannerConfig;
use crate::rng::mix;

/// Stands for the KV of a token: a digest of the token and everything before it.
fn digest(before: u64, token: u32) -> u64 {
    mix(before ^ (u64::from(token) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The token sampled after a context with digest `context`.
fn sample(context: u64, seed: u64, vocab_size: u32) -> u32 {
    (mix(context ^ mix(seed)) % u64::from(vocab_size.max(1))) as u32
}

fn logprob(context: u64, id: u32) -> f32 {
    -((mix(context ^ u64::from(id)) % 10_000) as f32) / 1000.0
}

/// The hidden state after a context.
fn hidden_state(context: u64) -> Vec<f32> {
    vec![(context >> 32) as f32, context as u32 as f32]
}

/// The hidden state of each position of `tokens`, as [`SimWorker`] computes it.
pub fn hidden_states(tokens: &[u32]) -> Vec<Vec<f32>> {
    let next = |before: &mut u64, token: &u32| {
        *before = digest(*before, *token);
        Some(hidden_state(*before))
    };
    tokens.iter().scan(0, next).collect()
}

/// The output of [`SimWorker`] for a request that runs alone: `max_new_tokens` tokens, or up to and including the first
/// of `stops`.
pub fn alone(prompt: &[u32], seed: u64, max_new_tokens: usize, stops: &[u32], vocab_size: u32) -> Vec<u32> {
    let mut context = prompt.iter().fold(0, |before, token| digest(before, *token));
    let mut output = Vec::new();
    while output.len() < max_new_tokens {
        let token = sample(context, seed, vocab_size);
        output.push(token);
        if stops.contains(&token) {
            break;
        }
        context = digest(context, token);
    }
    output
}

/// The embedding of a prompt with digest `context`.
fn embedding(context: u64) -> Vec<f32> {
    (0..4).map(|i| (mix(context ^ i) % 1000) as f32).collect()
}

/// The embedding of a prompt that runs alone.
pub fn embedding_alone(prompt: &[u32]) -> Vec<f32> {
    embedding(prompt.iter().fold(0, |context, token| digest(context, *token)))
}

#[derive(Clone, Debug, Default)]
struct Row {
    slots: Vec<u32>,
    /// Digest of the last position.
    context: u64,
    last_token: Option<u32>,
    /// Tokens sampled since the request got the row.
    sampled: usize,
    sampling: Option<Arc<ReqSampling>>,
    embeds: bool,
}

/// Runs batches on digests instead of tensors. Each KV slot holds a digest of the token and its whole context, and the
/// next token is a function of that digest and the seed. So a slot that is overwritten, wrongly shared or read before
/// it is written changes the output, or is detected at once. Also checks every batch against the worker's contract.
#[derive(Clone, Debug)]
pub struct SimWorker {
    info: ModelWorkerInfo,
    kv: Vec<Option<u64>>,
    rows: Vec<Row>,
}

impl SimWorker {
    /// A worker for a planner with this configuration.
    pub fn new(config: &PlannerConfig) -> Self {
        Self {
            info: ModelWorkerInfo {
                is_generation: config.is_generation,
                prompt_reach: PromptReach::Causal,
                vocab_size: config.vocab_size,
                context_length: config.context_length as u32,
                max_total_num_tokens: config.max_total_num_tokens as u32,
                max_running_requests: config.max_running_requests as u32,
                weight_bytes: 0,
                kv_cache_bytes: 8 * config.max_total_num_tokens as u64,
                available_bytes: 0,
                device: "sim".to_owned(),
                dtype: "float32".into(),
            },
            kv: vec![None; config.max_total_num_tokens],
            rows: vec![Row::default(); config.max_running_requests],
        }
    }

    /// Runs one batch.
    ///
    /// # Errors
    /// [`WorkerError::InvalidBatch`] if the batch violates the contract, [`WorkerError::Fatal`] if KV that a request
    /// needs is missing or was overwritten.
    pub fn run(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError> {
        for new in &batch.new_rows {
            self.enter(new)?;
        }
        let n = batch.num_reqs();
        let mut result = ForwardResult {
            forward_id: batch.forward_id,
            nan: vec![false; n],
            output_logprobs: vec![None; n],
            ..ForwardResult::default()
        };
        let mut contexts = Vec::new();
        let mut at = 0;
        for i in 0..n {
            let len = batch.extend_lens[i] as usize;
            let ids = batch.input_ids.get(at..at + len).ok_or_else(|| invalid("input_ids end early"))?;
            let slots =
                batch.out_cache_loc.get(at..at + len).ok_or_else(|| invalid("out_cache_loc ends early"))?;
            at += len;
            let row = batch.req_pool_indices[i] as usize;
            contexts.push(self.extend(row, batch.prefix_lens[i] as usize, ids, slots)?);
            let token = if batch.sample[i] { Some(self.sample(row, i, &mut result)?) } else { None };
            if token.is_some() && self.rows[row].embeds {
                result.embeddings.resize(n, None);
                result.embeddings[i] =
                    Some(Embedding { values: embedding(self.rows[row].context), ..Default::default() });
                result.next_token_ids.push(None);
            } else {
                result.next_token_ids.push(token);
            }
        }
        if at != batch.input_ids.len() || at != batch.out_cache_loc.len() {
            return Err(invalid("extend_lens do not add up to the number of tokens"));
        }
        for spec in &batch.input_logprobs {
            let context = contexts.get(spec.req_index as usize).ok_or_else(|| invalid("no such request"))?;
            let first = spec.row_start as usize;
            let wanted = context.get(first..first + spec.targets.len());
            let wanted = wanted.ok_or_else(|| invalid("input log-probabilities beyond the extend"))?;
            let rows = wanted
                .iter()
                .zip(&spec.targets)
                .map(|(context, target)| {
                    position(*context, *target, spec.top_logprobs_num, &spec.token_ids_logprob)
                })
                .collect();
            result.input_logprobs.push(InputLogprobs { req_index: spec.req_index, rows });
        }
        for spec in &batch.hidden_states {
            let context = contexts.get(spec.req_index as usize).ok_or_else(|| invalid("no such request"))?;
            let wanted = context.get(spec.row_start as usize..);
            let wanted = wanted.ok_or_else(|| invalid("hidden states beyond the extend"))?;
            let rows = wanted.iter().map(|context| hidden_state(*context)).collect();
            result.hidden_states.push(HiddenStateRows { req_index: spec.req_index, rows });
        }
        Ok(result)
    }

    fn enter(&mut self, new: &NewRow) -> Result<(), WorkerError> {
        let (row, prefix, sampling) = (new.req_pool_idx, &new.prefix_slots, &new.sampling);
        let context = match prefix.last() {
            None => 0,
            Some(slot) => self.kv.get(*slot as usize).copied().flatten().ok_or_else(|| missing(*slot))?,
        };
        let place = self.rows.get_mut(row as usize).ok_or_else(|| invalid("no such row"))?;
        *place = Row {
            slots: prefix.to_vec(),
            context,
            last_token: sampling.output_ids.last().copied(),
            sampled: 0,
            sampling: Some(Arc::clone(sampling)),
            embeds: new.embedding.is_some(),
        };
        Ok(())
    }

    /// Writes new tokens of a row and returns the digest after each.
    fn extend(
        &mut self,
        row: usize,
        prefix: usize,
        ids: &[i64],
        slots: &[u32],
    ) -> Result<Vec<u64>, WorkerError> {
        let last_tokens = |r: usize| self.rows.get(r).and_then(|row| row.last_token);
        let tokens: Option<Vec<u32>> = ids
            .iter()
            .map(|id| match u32::try_from(*id) {
                Ok(id) => Some(id),
                Err(_) => last_tokens(usize::try_from(-(*id + 1)).ok()?),
            })
            .collect();
        let tokens = tokens.ok_or_else(|| invalid("a future token of a row that has sampled nothing"))?;
        let place = self.rows.get_mut(row).ok_or_else(|| invalid("no such row"))?;
        if place.slots.len() != prefix || place.sampling.is_none() {
            return Err(invalid(&format!("row {row} has {} positions, not {prefix}", place.slots.len())));
        }
        if let Some(last) = place.slots.last()
            && self.kv.get(*last as usize).copied().flatten() != Some(place.context)
        {
            return Err(WorkerError::Fatal(format!("KV slot {last} of row {row} was overwritten")));
        }
        let mut contexts = Vec::with_capacity(tokens.len());
        for (token, slot) in tokens.iter().zip(slots) {
            place.context = digest(place.context, *token);
            contexts.push(place.context);
            let cell = self.kv.get_mut(*slot as usize).ok_or_else(|| invalid("slot out of range"))?;
            *cell = Some(place.context);
            place.slots.push(*slot);
        }
        Ok(contexts)
    }

    fn sample(&mut self, row: usize, i: usize, result: &mut ForwardResult) -> Result<u32, WorkerError> {
        let place = self.rows.get_mut(row).ok_or_else(|| invalid("no such row"))?;
        let sampling = place.sampling.as_ref().ok_or_else(|| invalid("row without sampling state"))?;
        let announced = sampling.prompt_len as usize + sampling.output_ids.len();
        if place.sampled == 0 && place.slots.len() != announced {
            return Err(invalid(&format!(
                "row {row} was announced with {announced} tokens, not {}",
                place.slots.len()
            )));
        }
        place.sampled += 1;
        let token = sample(place.context, sampling.params.seed(), self.info.vocab_size);
        place.last_token = Some(token);
        if sampling.return_logprob {
            let row = position(place.context, token, sampling.top_logprobs_num, &sampling.token_ids_logprob);
            result.output_logprobs[i] = Some(row);
        }
        Ok(token)
    }
}

fn position(context: u64, id: u32, top: u32, token_ids: &[u32]) -> PositionLogprobs {
    let entry = |id: u32| TokenLogprob { id, logprob: logprob(context, id) };
    PositionLogprobs {
        logprob: logprob(context, id),
        top: (0..top).map(entry).collect(),
        token_ids: token_ids.iter().copied().map(entry).collect(),
    }
}

fn invalid(why: &str) -> WorkerError {
    WorkerError::InvalidBatch(why.to_owned())
}

fn missing(slot: u32) -> WorkerError {
    WorkerError::Fatal(format!("KV slot {slot} is read before it was written"))
}

impl ModelWorker for SimWorker {
    fn info(&self) -> &ModelWorkerInfo {
        &self.info
    }

    fn forward(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError> {
        self.run(batch)
    }
}
