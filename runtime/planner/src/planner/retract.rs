//! Retracts running requests to the queue when the KV pool is full (reference: `ScheduleBatch.retract_decode` in
//! `managers/schedule_batch.py`).

use std::cmp::Reverse;

use sglang_proto::messages::FinishReason;

use super::Planner;
use crate::{RetractionPolicy, RetractionReport};

/// Error text for the last request if it cannot continue even alone.
const OUT_OF_MEMORY: &str = "Out of memory even after retracting all other requests in the decode batch. Aborting the \
                             last request.";

impl Planner {
    /// Retracts requests until the others can decode one step. One always stays. If even that one does not fit, the
    /// chunked request is retracted; if that is not enough either, the last one ends with 500. Nothing may be in
    /// flight.
    pub(super) fn retract_decode(&mut self) -> RetractionReport {
        let (free_before, old_ratio) = (self.kv.available_size(), self.ratio.current());
        let mut keep = self.retraction_order();
        let mut retracted = Vec::new();
        while keep.len() > 1 && (retracted.is_empty() || !self.make_room(self.decode_tokens(&keep))) {
            let Some(id) = keep.pop() else { break };
            self.retract(id);
            retracted.push(id);
        }
        if !self.make_room(self.decode_tokens(&keep))
            && let Some(id) = self.chunked.take()
        {
            self.retract(id);
            retracted.push(id);
        }
        let mut aborted = 0;
        if !self.make_room(self.decode_tokens(&keep))
            && let Some(id) = keep.pop()
        {
            let reason = FinishReason::Abort {
                message: OUT_OF_MEMORY.to_owned(),
                status_code: Some(500),
                err_type: None,
            };
            self.finish(id, reason, true);
            aborted = 1;
        }
        self.running.retain(|id| keep.contains(id));
        let kept = keep.iter().filter_map(|id| self.reqs.get(*id));
        self.ratio.after_retract(kept.map(|r| (r.output_len(), r.max_new_tokens)));
        self.batch_is_full = false;
        for id in &retracted {
            self.enqueue(*id);
        }
        RetractionReport {
            num_retracted_reqs: retracted.len(),
            num_aborted_reqs: aborted,
            num_tokens_gained: self.kv.available_size().saturating_sub(free_before),
            old_ratio,
            new_ratio: self.ratio.current(),
        }
    }

    /// Running requests, the last to be retracted first: most output, then shortest prompt. The priority policy
    /// compares priorities before that.
    fn retraction_order(&self) -> Vec<usize> {
        let by_priority = self.config.retraction_policy == RetractionPolicy::Priority;
        let mut order = self.running.clone();
        order.sort_by_key(|id| {
            self.reqs.get(*id).map(|r| {
                let priority = if by_priority { r.priority } else { 0 };
                (Reverse(priority), Reverse(r.output_len()), r.prompt_len, r.arrival)
            })
        });
        order
    }
}
