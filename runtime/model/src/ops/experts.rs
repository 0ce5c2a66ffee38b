//! Mixture of experts: the weights, and the routing of a step's tokens.

use std::ops::Range;

use crate::error::{ModelError, Result};

use super::{Activation, LinearWeight};

/// One expert: a gated feed-forward block.
#[derive(Debug)]
pub struct Expert {
    /// Gate and up, `[2 * intermediate, hidden]`.
    pub gate_up_proj: LinearWeight,
    /// `[hidden, intermediate]`.
    pub down_proj: LinearWeight,
}

/// The routed experts of a layer.
#[derive(Debug)]
pub struct ExpertWeights {
    experts: Vec<Expert>,
    activation: Activation,
}

impl ExpertWeights {
    /// Experts, which must all have the same shape.
    ///
    /// # Errors
    /// There are no experts, or their shapes differ.
    pub fn new(experts: Vec<Expert>, activation: Activation) -> Result<Self> {
        let weights = Self { experts, activation };
        let (hidden, inner) = (weights.hidden_size(), weights.intermediate_size());
        let fits = |e: &Expert| {
            (e.gate_up_proj.in_features(), e.gate_up_proj.out_features()) == (hidden, 2 * inner)
                && (e.down_proj.in_features(), e.down_proj.out_features()) == (inner, hidden)
        };
        match weights.experts.iter().position(|e| !fits(e)) {
            None if !weights.experts.is_empty() => Ok(weights),
            None => Err(ModelError::Kernel("a layer of experts without experts".to_owned())),
            Some(i) => {
                Err(ModelError::Kernel(format!("expert {i} differs in its shape from {hidden} by {inner}")))
            }
        }
    }

    /// The experts, by id.
    pub fn experts(&self) -> &[Expert] {
        &self.experts
    }

    /// Activation between the projections.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Width of the residual stream.
    pub fn hidden_size(&self) -> usize {
        self.experts.first().map_or(0, |e| e.gate_up_proj.in_features())
    }

    /// Width inside an expert.
    pub fn intermediate_size(&self) -> usize {
        self.experts.first().map_or(0, |e| e.down_proj.in_features())
    }
}

/// The experts chosen for each token and their weights (reference: `StandardTopKOutput`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopKOutput {
    /// Experts per token.
    pub top_k: usize,
    /// `[tokens, top_k]`, the best first.
    pub topk_ids: Vec<u32>,
    /// `[tokens, top_k]`.
    pub topk_weights: Vec<f32>,
}

impl TopKOutput {
    /// The part for a range of tokens.
    pub(super) fn tokens(&self, tokens: Range<usize>) -> Self {
        let range = tokens.start * self.top_k..tokens.end * self.top_k;
        Self {
            top_k: self.top_k,
            topk_ids: self.topk_ids.get(range.clone()).unwrap_or_default().to_vec(),
            topk_weights: self.topk_weights.get(range).unwrap_or_default().to_vec(),
        }
    }
}

/// Tokens sorted by expert: the rows of each expert are contiguous, so that its weights are read once.
#[derive(Debug, PartialEq)]
pub(super) struct Dispatch {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// The row of each choice, `[tokens, top_k]`.
    pub rows: Vec<u32>,
    /// The chosen experts in the order of their ids, with their rows.
    pub groups: Vec<(usize, Range<usize>)>,
}

impl Dispatch {
    /// Sorts the choices by expert, keeping the order of tokens.
    pub fn new(topk: &TopKOutput, num_experts: usize) -> Result<Self> {
        let mut starts = vec![0_usize; num_experts + 1];
        for &id in &topk.topk_ids {
            let count = starts.get_mut(id as usize + 1);
            *count.ok_or_else(|| ModelError::Kernel(format!("expert {id} of {num_experts}")))? += 1;
        }
        let mut groups = Vec::new();
        let mut next = 0;
        for (expert, count) in starts.iter_mut().skip(1).enumerate() {
            let range = next..next + *count;
            next = range.end;
            *count = range.start;
            if !range.is_empty() {
                groups.push((expert, range));
            }
        }
        let mut tokens = vec![0; topk.topk_ids.len()];
        let mut rows = Vec::with_capacity(topk.topk_ids.len());
        for (i, &id) in topk.topk_ids.iter().enumerate() {
            let Some(row) = starts.get_mut(id as usize + 1) else { continue };
            if let Some(token) = tokens.get_mut(*row) {
                *token = i.checked_div(topk.top_k).unwrap_or(0) as u32;
            }
            rows.push(*row as u32);
            *row += 1;
        }
        Ok(Self { tokens, rows, groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_sorted_by_expert_and_find_their_way_back() {
        let topk = TopKOutput { top_k: 2, topk_ids: vec![4, 1, 1, 0, 4, 0], topk_weights: vec![0.5; 6] };
        let dispatch = Dispatch::new(&topk, 5).unwrap();
        assert_eq!(dispatch.groups, [(0, 0..2), (1, 2..4), (4, 4..6)]);
        assert_eq!(dispatch.tokens, [1, 2, 0, 1, 0, 2]);
        assert_eq!(dispatch.rows, [4, 2, 3, 0, 5, 1]);
        for (choice, &row) in dispatch.rows.iter().enumerate() {
            assert_eq!(dispatch.tokens[row as usize] as usize, choice / 2);
        }
        assert!(Dispatch::new(&topk, 4).is_err());
        let none = TopKOutput { top_k: 2, ..TopKOutput::default() };
        assert_eq!(Dispatch::new(&none, 4).unwrap().groups, []);
    }
}
