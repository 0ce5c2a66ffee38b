//! The steps that change logits before the temperature: penalties, `min_new_tokens`, grammar mask, `logit_bias`.
//! References: `srt/sampling/penaltylib`, `SamplingBatchInfo.apply_logits_bias`.

use crate::RowState;

/// Applies the steps in the order of the reference. Ids outside the row are ignored.
pub(crate) fn edit_logits(row: &mut [f32], state: &RowState, allowed: Option<&[u32]>) {
    penalize_outputs(row, state);
    if let Some(mask) = allowed {
        apply_bitmask(row, mask);
    }
    for &(id, bias) in &state.logit_bias {
        if let Some(logit) = row.get_mut(id as usize) {
            *logit += bias;
        }
    }
}

/// Additive penalties come before the repetition penalty, which depends on the sign of the result.
fn penalize_outputs(row: &mut [f32], state: &RowState) {
    let params = &state.sampling.params;
    let (frequency, presence) = (params.frequency_penalty as f32, params.presence_penalty as f32);
    let repetition = params.repetition_penalty as f32;
    let suppress = state.below_min_new_tokens();
    if suppress {
        for &id in &state.sampling.stop_token_ids {
            if let Some(logit) = row.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
    for (&id, &count) in &state.counts {
        if let Some(logit) = row.get_mut(id as usize) {
            *logit -= frequency * count as f32 + presence;
            if *logit < 0.0 {
                *logit *= repetition;
            } else {
                *logit /= repetition;
            }
        }
    }
}

/// Sets the logits of forbidden ids to -inf. Bit `id % 32` of word `id / 32` says whether `id` is allowed; ids past the
/// mask are forbidden.
fn apply_bitmask(row: &mut [f32], mask: &[u32]) {
    let mut words = mask.iter();
    for logits in row.chunks_mut(32) {
        let word = words.next().copied().unwrap_or(0);
        if word == u32::MAX {
            continue;
        }
        for (bit, logit) in logits.iter_mut().enumerate() {
            if word >> bit & 1 == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}
