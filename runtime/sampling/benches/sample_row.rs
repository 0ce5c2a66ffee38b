//! Measures the sampling of one row: `cargo bench -p sglang-sampling`.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sglang_proto::SamplingParams;
use sglang_proto::forward::ReqSampling;
use sglang_sampling::{RowState, Sampler, gumbel, murmur_hash32};

fn rows(c: &mut Criterion) {
    let cases = [
        ("greedy", SamplingParams { top_k: 1, ..Default::default() }),
        ("temperature", SamplingParams { temperature: 0.7, ..Default::default() }),
        ("top_k_top_p", SamplingParams { top_k: 50, top_p: 0.9, ..Default::default() }),
        ("top_p", SamplingParams { top_p: 0.9, ..Default::default() }),
    ];
    for vocab in [49_152u32, 151_936] {
        // Gumbel-distributed logits have a long right tail like those of a language model.
        let logits: Vec<f32> = (0..vocab).map(|i| 2.0 * gumbel(murmur_hash32(1, 2, i)) as f32).collect();
        for (name, params) in &cases {
            let sampling = ReqSampling {
                params: SamplingParams { sampling_seed: Some(7), ..params.clone() },
                prompt_len: 1,
                output_ids: Vec::new(),
                stop_token_ids: Vec::new(),
                return_logprob: false,
                top_logprobs_num: 0,
                token_ids_logprob: Vec::new(),
                grammar: None,
            };
            let state = RowState::new(Arc::new(sampling), vocab).unwrap();
            let mut sampler = Sampler::new();
            let mut position = 0;
            c.bench_function(&format!("{name}/{vocab}"), |b| {
                b.iter_batched_ref(
                    || logits.clone(),
                    |row| {
                        position += 1;
                        black_box(sampler.sample_row(row, &state, position, None))
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, rows);
criterion_main!(benches);
