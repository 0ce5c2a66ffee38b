//! Checks a batch once, so that later code can rely on it: kernels index memory by slots and ids.

use sglang_proto::forward::{ForwardBatch, ForwardMode, HiddenStatesSpec, InputLogprobSpec};
use sglang_proto::worker::WorkerError;

use crate::memory::ReqToTokenPool;
use crate::plan::{ForwardPlan, PlannedSeq};

/// Limits that a batch is checked against.
pub(super) struct Limits {
    /// Number of ids in the vocabulary.
    pub vocab_size: u32,
    /// Number of slots in the KV pool.
    pub slots: u32,
    /// Most positions of a request.
    pub max_positions: usize,
}

fn invalid<T>(what: String) -> Result<T, WorkerError> {
    Err(WorkerError::InvalidBatch(what))
}

/// Creates the plan of a batch without changing any state. `last_token` returns the last sampled token of a pool row.
pub(super) fn plan_batch(
    batch: &ForwardBatch,
    limits: &Limits,
    table: &ReqToTokenPool,
    last_token: impl Fn(usize) -> Option<u32>,
) -> Result<ForwardPlan, WorkerError> {
    let requests = batch.num_reqs();
    for (name, len) in [
        ("prefix_lens", batch.prefix_lens.len()),
        ("extend_lens", batch.extend_lens.len()),
        ("sample", batch.sample.len()),
    ] {
        if len != requests {
            return invalid(format!("{name} has {len} entries for {requests} requests"));
        }
    }
    if requests == 0 {
        return invalid("no requests".to_owned());
    }
    let tokens: usize = batch.extend_lens.iter().map(|&n| n as usize).sum();
    for (name, len) in [("input_ids", batch.input_ids.len()), ("out_cache_loc", batch.out_cache_loc.len())] {
        if len != tokens {
            return invalid(format!("{name} has {len} entries, the extend lengths add up to {tokens}"));
        }
    }
    check_slots(&batch.out_cache_loc, limits)?;
    let mut plan = ForwardPlan {
        input_ids: Vec::with_capacity(tokens),
        positions: Vec::with_capacity(tokens),
        out_cache_loc: batch.out_cache_loc.clone(),
        seqs: Vec::with_capacity(requests),
        token_type_ids: Vec::new(),
    };
    if let Some(new) = batch.new_rows.iter().find(|n| n.req_pool_idx as usize >= table.size()) {
        return invalid(format!("new row {} is not below {}", new.req_pool_idx, table.size()));
    }
    let mut seen = vec![false; table.size()];
    for (i, &row) in batch.req_pool_indices.iter().enumerate() {
        match seen.get_mut(row as usize) {
            None => return invalid(format!("request {i}: pool row {row} is not below {}", table.size())),
            Some(true) => return invalid(format!("request {i}: pool row {row} appears twice")),
            Some(first) => *first = true,
        }
        let (prefix_len, extend_len) = (value(&batch.prefix_lens, i), value(&batch.extend_lens, i));
        if extend_len == 0 || (batch.mode == ForwardMode::Decode && extend_len != 1) {
            let kind = if batch.mode == ForwardMode::Decode { "decode" } else { "prefill" };
            return invalid(format!("request {i}: {extend_len} new tokens in a {kind} step"));
        }
        if prefix_len + extend_len > limits.max_positions {
            return invalid(format!(
                "request {i}: {prefix_len} + {extend_len} tokens, the context ends at {}",
                limits.max_positions
            ));
        }
        let known = known_prefix(batch, limits, table, row)?;
        if known < prefix_len {
            return invalid(format!("request {i}: prefix of {prefix_len} tokens, row {row} has {known}"));
        }
        let first_token = plan.positions.len();
        plan.positions.extend((prefix_len..prefix_len + extend_len).map(|p| p as u32));
        plan.seqs.push(PlannedSeq { row, prefix_len, extend_len, first_token });
    }
    for &id in &batch.input_ids {
        plan.input_ids.push(resolve_id(id, limits, &last_token)?);
    }
    for spec in &batch.input_logprobs {
        check_logprob_spec(spec, &plan)?;
    }
    for spec in &batch.hidden_states {
        check_hidden_spec(*spec, &plan)?;
    }
    Ok(plan)
}

fn value(values: &[u32], i: usize) -> usize {
    values.get(i).map_or(0, |&v| v as usize)
}

/// Checks that slots are in the pool and that no two tokens write to the same slot.
fn check_slots(slots: &[u32], limits: &Limits) -> Result<(), WorkerError> {
    if let Some(slot) = slots.iter().find(|&&s| s >= limits.slots) {
        return invalid(format!("out_cache_loc {slot} is not below {}", limits.slots));
    }
    let mut sorted = slots.to_vec();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|p| p.first() == p.last()) {
        return invalid(format!("out_cache_loc {} appears twice", pair.first().copied().unwrap_or_default()));
    }
    Ok(())
}

/// Number of a row's positions with known slots: from the batch if the row is new, otherwise from the table.
fn known_prefix(
    batch: &ForwardBatch,
    limits: &Limits,
    table: &ReqToTokenPool,
    row: u32,
) -> Result<usize, WorkerError> {
    match batch.new_rows.iter().rfind(|r| r.req_pool_idx == row) {
        Some(new) => {
            if let Some(slot) = new.prefix_slots.iter().find(|&&s| s >= limits.slots) {
                return invalid(format!("row {row}: prefix slot {slot} is not below {}", limits.slots));
            }
            Ok(new.prefix_slots.len())
        }
        None => Ok(table.slots(row).len()),
    }
}

/// Resolves an input id: a token id, or a negative id that refers to the last sampled token of a row.
fn resolve_id(
    id: i64,
    limits: &Limits,
    last_token: &impl Fn(usize) -> Option<u32>,
) -> Result<u32, WorkerError> {
    if id < 0 {
        let row = usize::try_from(-(id + 1)).unwrap_or(usize::MAX);
        return match last_token(row) {
            Some(token) => Ok(token),
            None => invalid(format!("input id {id}: no token has been sampled for pool row {row}")),
        };
    }
    match u32::try_from(id) {
        Ok(id) if id < limits.vocab_size => Ok(id),
        _ => invalid(format!("input id {id} is not below the vocabulary's size {}", limits.vocab_size)),
    }
}

fn check_hidden_spec(spec: HiddenStatesSpec, plan: &ForwardPlan) -> Result<(), WorkerError> {
    let Some(seq) = plan.seqs.get(spec.req_index as usize) else {
        return invalid(format!("hidden_states: request {} is not in the batch", spec.req_index));
    };
    if spec.row_start as usize >= seq.extend_len {
        return invalid(format!(
            "hidden_states: request {} has {} new tokens, those from {} on are asked for",
            spec.req_index, seq.extend_len, spec.row_start
        ));
    }
    Ok(())
}

fn check_logprob_spec(spec: &InputLogprobSpec, plan: &ForwardPlan) -> Result<(), WorkerError> {
    let Some(seq) = plan.seqs.get(spec.req_index as usize) else {
        return invalid(format!("input_logprobs: request {} is not in the batch", spec.req_index));
    };
    let end = spec.row_start as usize + spec.targets.len();
    if end > seq.extend_len {
        return invalid(format!(
            "input_logprobs: request {} has {} new tokens, rows up to {end} are asked for",
            spec.req_index, seq.extend_len
        ));
    }
    Ok(())
}
