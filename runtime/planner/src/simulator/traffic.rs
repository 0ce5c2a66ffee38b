//! Random traffic.

use std::ops::Range;

use sglang_proto::SamplingParams;

use crate::NewRequest;
use crate::rng::SplitMix64;

/// A request and its time of arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// Seconds from the start.
    pub at: f64,
    /// The request.
    pub request: NewRequest,
}

/// Parameters of the traffic. Lengths are in tokens; ranges exclude their end.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Number of requests.
    pub requests: usize,
    /// Mean arrivals per second; times between arrivals are exponential.
    pub rate: f64,
    /// Number of different shared prefixes (system prompts); 0 for none.
    pub prefix_groups: u64,
    /// Length of the shared prefix.
    pub prefix_len: Range<u64>,
    /// Length of the part after the shared prefix.
    pub own_len: Range<u64>,
    /// `max_new_tokens`.
    pub output_len: Range<u64>,
    /// Token ids are below this.
    pub vocab_size: u32,
    /// Seed of the traffic.
    pub seed: u64,
}

impl Default for Traffic {
    /// Chat-like traffic: short questions after one of 64 system prompts.
    fn default() -> Self {
        Self {
            requests: 10_000,
            rate: 100.0,
            prefix_groups: 64,
            prefix_len: 100..800,
            own_len: 10..300,
            output_len: 10..200,
            vocab_size: 32_000,
            seed: 1,
        }
    }
}

fn pick(random: &mut SplitMix64, range: &Range<u64>) -> u64 {
    range.start + random.below(range.end.saturating_sub(range.start))
}

impl Traffic {
    /// The requests in order of arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        let mut random = SplitMix64::new(self.seed);
        let vocab = u64::from(self.vocab_size);
        let ids = |random: &mut SplitMix64, n: u64| {
            (0..n).map(|_| random.below(vocab) as u32).collect::<Vec<u32>>()
        };
        let prefixes: Vec<Vec<u32>> = (0..self.prefix_groups)
            .map(|_| {
                let len = pick(&mut random, &self.prefix_len);
                ids(&mut random, len)
            })
            .collect();
        let mut at = 0.0;
        (0..self.requests)
            .map(|i| {
                at -= (1.0 - random.unit()).ln() / self.rate.max(1e-9);
                let mut prompt = match prefixes.len() {
                    0 => Vec::new(),
                    n => prefixes[random.below(n as u64) as usize].clone(),
                };
                let own = pick(&mut random, &self.own_len).max(1);
                prompt.extend(ids(&mut random, own));
                let mut request = NewRequest::new(format!("r{i}"), prompt);
                let seed = random.next_u64();
                request.stream = true;
                request.sampling_params = SamplingParams {
                    sampling_seed: Some(seed as i64),
                    max_new_tokens: Some(pick(&mut random, &self.output_len) as i64),
                    // Outputs the first token at once and the rest at the end, which is enough to measure waits.
                    stream_interval: Some(1 << 30),
                    ..SamplingParams::default()
                };
                Arrival { at, request }
            })
            .collect()
    }
}
