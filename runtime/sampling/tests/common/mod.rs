//! Builders of request states, and a plain f64 model of the pipeline for comparison.
#![allow(dead_code)] // each test binary uses its part
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use sglang_proto::SamplingParams;
use sglang_proto::forward::ReqSampling;
use sglang_sampling::RowState;

pub fn req(params: SamplingParams) -> ReqSampling {
    ReqSampling {
        params: SamplingParams { sampling_seed: params.sampling_seed.or(Some(42)), ..params },
        prompt_len: 4,
        output_ids: Vec::new(),
        stop_token_ids: Vec::new(),
        return_logprob: false,
        top_logprobs_num: 0,
        token_ids_logprob: Vec::new(),
        grammar: None,
    }
}

pub fn state(req: ReqSampling, vocab: usize) -> RowState {
    RowState::new(Arc::new(req), vocab as u32).unwrap()
}

/// Logits after penalties, masks and bias, in f64.
pub fn edited(logits: &[f32], req: &ReqSampling) -> Vec<f64> {
    let p = &req.params;
    let mut row: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
    for (id, x) in row.iter_mut().enumerate() {
        let count = req.output_ids.iter().filter(|&&t| t as usize == id).count();
        if (req.output_ids.len() as i64) < p.min_new_tokens && req.stop_token_ids.contains(&(id as u32)) {
            *x = f64::NEG_INFINITY;
        }
        if count > 0 {
            *x -= p.frequency_penalty * count as f64 + p.presence_penalty;
            *x = if *x < 0.0 { *x * p.repetition_penalty } else { *x / p.repetition_penalty };
        }
    }
    for (key, bias) in p.logit_bias.iter().flatten() {
        row[key.parse::<usize>().unwrap()] += bias;
    }
    row
}

pub fn log_softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    row.iter().map(|x| x - max - sum.ln()).collect()
}

/// Probability of each token after the filters, and the margin of the closest comparison.
pub fn filtered(logprobs: &[f64], p: &SamplingParams) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..logprobs.len()).collect();
    order.sort_by(|&a, &b| logprobs[b].total_cmp(&logprobs[a]).then(a.cmp(&b)));
    let best = logprobs[order[0]].exp();
    let (mut before, mut margin) = (0.0, f64::INFINITY);
    let mut kept = vec![0.0; logprobs.len()];
    for (rank, &id) in order.iter().enumerate() {
        let own = logprobs[id].exp();
        let mut keep = (rank as i64) < p.top_k;
        if p.top_p < 1.0 {
            margin = margin.min((before - p.top_p).abs());
            keep &= before <= p.top_p;
        }
        if p.min_p > 0.0 && rank > 0 {
            margin = margin.min((own / best - p.min_p).abs());
            keep &= own >= best * p.min_p;
        }
        if keep {
            kept[id] = own;
        }
        before += own;
    }
    let total: f64 = kept.iter().sum();
    (kept.into_iter().map(|w| w / total).collect(), margin)
}
