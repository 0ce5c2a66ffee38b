//! Routes tokens to experts (reference: `layers/moe/topk.py`).

use crate::ops::TopKOutput;

/// How the router's logits become scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoringFunc {
    /// Softmax over all experts.
    Softmax,
    /// Sigmoid of each expert's logit (DeepSeek-V3).
    Sigmoid,
}

/// Groups of experts; only experts of the best groups can be chosen (DeepSeek).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Number of groups; a divisor of the number of experts.
    pub num_expert_group: usize,
    /// Groups that a token may use.
    pub topk_group: usize,
    /// Number of a group's best experts whose scores add up to the group's score: 1 in DeepSeek-V2, 2 in DeepSeek-V3.
    pub best_of_group: usize,
}

/// The rule of a router.
#[derive(Clone, Debug, PartialEq)]
pub struct TopK {
    /// Experts per token.
    pub top_k: usize,
    /// How scores are computed.
    pub scoring_func: ScoringFunc,
    /// Whether the weights of the chosen experts are divided by their sum (`norm_topk_prob`).
    pub renormalize: bool,
    /// Final factor of the weights.
    pub routed_scaling_factor: f32,
    /// Added to the scores only for choosing (`e_score_correction_bias`).
    pub correction_bias: Option<Vec<f32>>,
    /// Groups, if the model has any.
    pub groups: Option<ExpertGroups>,
}

impl TopK {
    /// The plain rule: the highest softmax scores.
    pub fn softmax(top_k: usize, renormalize: bool) -> Self {
        Self {
            top_k,
            scoring_func: ScoringFunc::Softmax,
            renormalize,
            routed_scaling_factor: 1.0,
            correction_bias: None,
            groups: None,
        }
    }

    /// Chooses experts for every row of `[tokens, num_experts]` logits. Of equal scores, the smaller id wins.
    pub fn select_experts(&self, logits: &[f32], num_experts: usize) -> TopKOutput {
        let top_k = self.top_k.min(num_experts);
        let mut out = TopKOutput { top_k, ..TopKOutput::default() };
        let mut scores = Vec::with_capacity(num_experts);
        let mut ranked: Vec<(f32, u32)> = Vec::with_capacity(num_experts);
        for row in logits.chunks_exact(num_experts.max(1)) {
            self.score(row, &mut scores);
            self.rank(&scores, &mut ranked);
            if top_k < ranked.len() {
                ranked.select_nth_unstable_by(top_k, better);
                ranked.truncate(top_k);
            }
            ranked.sort_unstable_by(better);
            let chosen = ranked.iter().map(|(_, id)| scores.get(*id as usize).copied().unwrap_or_default());
            let sum: f32 = if self.renormalize { chosen.clone().sum::<f32>() + 1e-20 } else { 1.0 };
            out.topk_weights.extend(chosen.map(|score| score / sum * self.routed_scaling_factor));
            out.topk_ids.extend(ranked.iter().map(|(_, id)| *id));
        }
        out
    }

    fn score(&self, logits: &[f32], scores: &mut Vec<f32>) {
        scores.clear();
        match self.scoring_func {
            ScoringFunc::Softmax => {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                scores.extend(logits.iter().map(|x| (x - largest).exp()));
                let sum: f32 = scores.iter().sum();
                scores.iter_mut().for_each(|x| *x /= sum);
            }
            ScoringFunc::Sigmoid => scores.extend(logits.iter().map(|x| 1.0 / (1.0 + (-x).exp()))),
        }
    }

    /// The ranking score of every expert that can be chosen.
    fn rank(&self, scores: &[f32], ranked: &mut Vec<(f32, u32)>) {
        let bias = |i: usize| self.correction_bias.as_ref().and_then(|b| b.get(i)).copied().unwrap_or(0.0);
        ranked.clear();
        ranked.extend(scores.iter().enumerate().map(|(i, s)| (s + bias(i), i as u32)));
        let Some(groups) = self.groups.filter(|g| g.topk_group < g.num_expert_group) else { return };
        let size = (ranked.len() / groups.num_expert_group.max(1)).max(1);
        let mut by_group: Vec<(f32, u32)> = ranked
            .chunks(size)
            .enumerate()
            .map(|(i, group)| {
                let mut group = group.to_vec();
                group.sort_unstable_by(better);
                (group.iter().take(groups.best_of_group).map(|(s, _)| s).sum(), i as u32)
            })
            .collect();
        by_group.sort_unstable_by(better);
        by_group.truncate(groups.topk_group);
        ranked.retain(|(_, id)| by_group.iter().any(|(_, group)| *id as usize / size == *group as usize));
    }
}

/// Orders larger scores first; of equal ones, the smaller id.
fn better(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn the_best_of_a_softmax_come_first_and_ties_go_to_the_smaller_id() {
        let rows = [[1.0_f32, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 5.0]].concat();
        let plain = TopK::softmax(2, false).select_experts(&rows, 4);
        assert_eq!((plain.top_k, plain.topk_ids.as_slice()), (2, &[1, 3, 3, 0][..]));
        let sum = 1_f32.exp() + 2.0 * 3_f32.exp() + 2_f32.exp();
        near(&plain.topk_weights[..2], &[3_f32.exp() / sum; 2]);
        let normed = TopK::softmax(2, true).select_experts(&rows, 4);
        near(&normed.topk_weights[..2], &[0.5, 0.5]);
        assert_eq!(normed.topk_ids, plain.topk_ids);
    }

    #[test]
    fn more_experts_than_there_are_means_all() {
        let all = TopK::softmax(9, true).select_experts(&[0.5, 1.5], 2);
        assert_eq!((all.top_k, all.topk_ids), (2, vec![1, 0]));
    }

    #[test]
    fn a_correction_bias_changes_the_choice_and_not_the_weight() {
        let rule = TopK {
            scoring_func: ScoringFunc::Sigmoid,
            correction_bias: Some(vec![0.0, 0.0, 9.0]),
            routed_scaling_factor: 2.0,
            ..TopK::softmax(1, false)
        };
        let out = rule.select_experts(&[3.0, 2.0, 0.0], 3);
        assert_eq!(out.topk_ids, [2]);
        near(&out.topk_weights, &[1.0]);
    }

    #[test]
    fn only_experts_of_the_best_groups_are_chosen() {
        let groups = |best_of_group| Some(ExpertGroups { num_expert_group: 3, topk_group: 1, best_of_group });
        let logits = [5.0_f32, 0.0, 4.0, 4.0, 1.0, 1.0];
        let rule = |best| TopK {
            groups: groups(best),
            scoring_func: ScoringFunc::Sigmoid,
            ..TopK::softmax(2, false)
        };
        assert_eq!(rule(1).select_experts(&logits, 6).topk_ids, [0, 1]);
        assert_eq!(rule(2).select_experts(&logits, 6).topk_ids, [2, 3]);
    }
}
