//! A checked step: everything that layers need, with all indices in bounds.

use crate::memory::ReqToTokenPool;

/// One request's part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedSeq {
    /// Row of the `ReqToTokenPool`.
    pub row: u32,
    /// Positions that are already in the KV pool.
    pub prefix_len: usize,
    /// New tokens.
    pub extend_len: usize,
    /// Index of the first new token in the flat arrays.
    pub first_token: usize,
}

impl PlannedSeq {
    /// Index of the last new token in the flat arrays.
    pub fn last_token(&self) -> usize {
        (self.first_token + self.extend_len).saturating_sub(1)
    }

    /// Positions that the last new token attends to.
    pub fn seq_len(&self) -> usize {
        self.prefix_len + self.extend_len
    }
}

/// The step as layers see it. Only `runner::plan_batch` creates it, after checking that ids are in the vocabulary,
/// slots in the pool and lengths consistent. Kernels rely on these checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardPlan {
    /// Flat token ids.
    pub input_ids: Vec<u32>,
    /// Position of each token in its request.
    pub positions: Vec<u32>,
    /// KV slot that each token is written to.
    pub out_cache_loc: Vec<u32>,
    /// Segment of each token, for encoders; empty if all are 0.
    pub token_type_ids: Vec<u32>,
    /// The requests, in order of their tokens.
    pub seqs: Vec<PlannedSeq>,
}

impl ForwardPlan {
    /// Number of new tokens.
    pub fn num_tokens(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether every request adds one token.
    pub fn is_decode(&self) -> bool {
        self.seqs.iter().all(|s| s.extend_len == 1)
    }

    /// Slots of positions `0..seq_len` of every request; `table` must already contain the new tokens.
    pub fn slot_tables<'a>(&self, table: &'a ReqToTokenPool) -> Vec<&'a [u32]> {
        self.seqs.iter().map(|s| table.slots(s.row)).collect()
    }
}
