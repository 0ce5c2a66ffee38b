//! Builds a batch.

use std::sync::Arc;

use ahash::AHashSet;
use sglang_proto::forward::{ForwardBatch, ForwardMode, HiddenStatesSpec, InputLogprobSpec, NewRow};

use super::{Entry, InFlight, Planner};
use crate::BatchReport;
use crate::policy::{PrefixKey, prefix_key};

/// A batch under construction. Its requests already have their slots.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    pub batch: ForwardBatch,
    pub entries: Vec<Entry>,
    pub report: BatchReport,
    /// Prefixes that the batch prefills, for deferral.
    pub prefix_keys: AHashSet<PrefixKey>,
}

impl BatchBuilder {
    pub fn new(forward_id: u64) -> Self {
        Self {
            batch: ForwardBatch {
                forward_id,
                mode: ForwardMode::Decode,
                req_pool_indices: Vec::new(),
                prefix_lens: Vec::new(),
                extend_lens: Vec::new(),
                sample: Vec::new(),
                input_ids: Vec::new(),
                out_cache_loc: Vec::new(),
                new_rows: Vec::new(),
                input_logprobs: Vec::new(),
                hidden_states: Vec::new(),
            },
            entries: Vec::new(),
            report: BatchReport::default(),
            prefix_keys: AHashSet::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Planner {
    /// Adds the positions `from..` of a request's row, whose slots are allocated, to the batch. `is_new` announces the
    /// row to the worker.
    pub(super) fn push_entry(&mut self, builder: &mut BatchBuilder, id: usize, from: usize, is_new: bool) {
        let req = &mut self.reqs[id];
        let Some(row) = req.row else { return };
        let slots = self.rows.row(row);
        let (to, known) = (slots.len(), req.tokens.len());
        let is_prefill = from < req.fill_len;
        let sample = to >= req.fill_len;
        let batch = &mut builder.batch;
        let req_index = batch.req_pool_indices.len() as u32;
        batch.req_pool_indices.push(row);
        batch.prefix_lens.push(from as u32);
        batch.extend_lens.push((to - from) as u32);
        batch.sample.push(sample);
        batch.out_cache_loc.extend_from_slice(&slots[from..]);
        batch.input_ids.extend(req.tokens[from.min(known)..to.min(known)].iter().map(|id| i64::from(*id)));
        if to > known {
            // The last token is still being sampled by the batch in flight; the worker resolves the negative id.
            batch.input_ids.push(-(i64::from(row) + 1));
        }
        if is_new {
            let sampling = Arc::new(req.sampling(&self.config.eos_token_ids));
            let embedding = req.embedding.clone();
            batch.new_rows.push(NewRow {
                req_pool_idx: row,
                prefix_slots: slots[..from].to_vec(),
                sampling,
                embedding,
                lora_id: req.namespace.lora_id.as_deref().map(Into::into),
            });
        }
        let mut logprob_rows = 0;
        if let Some((first, targets)) = req.logprob_rows(from, to) {
            logprob_rows = targets.len();
            batch.input_logprobs.push(InputLogprobSpec {
                req_index,
                row_start: (first - from) as u32,
                targets,
                top_logprobs_num: req.info.top_logprobs_num,
                token_ids_logprob: req.info.token_ids_logprob.clone().unwrap_or_default(),
            });
        }
        let mut hidden_rows = 0;
        if let Some(first) = req.hidden_rows_from(from, to) {
            hidden_rows = to - first;
            batch.hidden_states.push(HiddenStatesSpec { req_index, row_start: (first - from) as u32 });
        }
        let mut key = None;
        if is_prefill {
            key = prefix_key(&req.namespace, &req.tokens, self.config.page_size);
            builder.prefix_keys.extend(key);
            builder.report.num_prefill_reqs += 1;
            builder.report.num_new_seqs += usize::from(is_new);
            builder.report.num_new_tokens += to - from;
            builder.report.num_cached_tokens += if is_new { from } else { 0 };
            self.totals.prefill_tokens += (to - from) as u64;
        } else {
            builder.report.num_decode_reqs += 1;
        }
        req.in_flight += 1;
        req.pending_samples += usize::from(sample);
        builder.entries.push(Entry {
            req: id,
            extend_len: to - from,
            sample,
            logprob_rows,
            hidden_rows,
            prefix_key: key,
        });
    }

    /// Completes the batch and marks it as in flight.
    pub(super) fn launch(&mut self, mut builder: BatchBuilder) -> (ForwardBatch, BatchReport) {
        builder.batch.mode = match (builder.report.num_prefill_reqs, builder.report.num_decode_reqs) {
            (0, _) => ForwardMode::Decode,
            (_, 0) => ForwardMode::Extend,
            _ => ForwardMode::Mixed,
        };
        let report = &mut builder.report;
        report.num_running_reqs = self.running.len().saturating_sub(report.num_decode_reqs);
        report.num_queue_reqs = self.waiting.len();
        report.num_used_tokens = self.num_used_tokens();
        report.token_usage = report.num_used_tokens as f64 / self.kv.size().max(1) as f64;
        self.totals.steps += 1;
        self.in_flight.push_back(InFlight {
            forward_id: builder.batch.forward_id,
            entries: std::mem::take(&mut builder.entries),
        });
        (builder.batch, builder.report)
    }
}
