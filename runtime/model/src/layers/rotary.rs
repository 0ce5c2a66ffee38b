//! Rotary position embedding: computes the rotation angles of each pair of columns at each position. Frequencies equal
//! those of transformers' `modeling_rope_utils.py`, which computes them in float32.

use std::f64::consts::PI;

use sglang_checkpoint::RopeScaling;
use sglang_checkpoint::config::{Longrope, Yarn};
use tch::Tensor;

use crate::error::Result;
use crate::ops::{Ops, RopeTable};

/// Parameters of the rotation of one kind of attention layer.
#[derive(Clone, Copy, Debug)]
pub struct RopeParameters<'a> {
    /// Base of the frequencies `theta^(-2i / rotary_dim)`.
    pub theta: f64,
    /// Columns of a head that are rotated.
    pub rotary_dim: usize,
    /// Scaling of the frequencies.
    pub scaling: Option<&'a RopeScaling>,
    /// One divisor per frequency from the checkpoint (`rope_freqs.weight` of GGUF files).
    pub divisors: Option<&'a [f32]>,
    /// Context length of the configuration.
    pub max_position_embeddings: usize,
    /// Context length that the model is served with.
    pub context_length: usize,
}

/// The frequencies of one kind of attention layer.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryEmbedding {
    inv_freq: Vec<f32>,
    attention_factor: f32,
    dynamic: Option<DynamicBase>,
}

#[derive(Clone, Debug, PartialEq)]
struct DynamicBase {
    theta: f64,
    rotary_dim: usize,
    factor: f64,
    max_position_embeddings: f64,
}

impl RotaryEmbedding {
    /// Computes the frequencies.
    ///
    /// In transformers, two kinds of scaling depend on the length of the sequence, which is impossible with a KV cache
    /// of rotated keys. *Dynamic*: each position uses the base of a sequence that ends there, which is what
    /// token-by-token generation computes. *LongRoPE*: the served context length decides for all sequences.
    pub fn new(p: &RopeParameters<'_>) -> Self {
        let mut inv_freq = base_frequencies(p.theta, p.rotary_dim);
        let mut attention_factor = 1.0;
        let mut dynamic = None;
        match p.scaling {
            None | Some(RopeScaling::Default) => {}
            Some(RopeScaling::Linear { factor }) => inv_freq.iter_mut().for_each(|f| *f /= *factor as f32),
            Some(RopeScaling::Dynamic { factor }) => {
                dynamic = Some(DynamicBase {
                    theta: p.theta,
                    rotary_dim: p.rotary_dim,
                    factor: *factor,
                    max_position_embeddings: p.max_position_embeddings as f64,
                });
            }
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            }) => {
                let bands = [*factor, *low_freq_factor, *high_freq_factor].map(|x| x as f32);
                let original = *original_max_position_embeddings as f32;
                inv_freq.iter_mut().for_each(|f| *f = llama3(*f, bands, original));
            }
            Some(RopeScaling::Yarn(yarn)) => (inv_freq, attention_factor) = yarn_frequencies(p, yarn),
            Some(RopeScaling::Longrope(longrope)) => {
                (inv_freq, attention_factor) = longrope_frequencies(p, longrope)
            }
        }
        for (f, divisor) in inv_freq.iter_mut().zip(p.divisors.unwrap_or_default()) {
            *f /= divisor;
        }
        Self { inv_freq, attention_factor: attention_factor as f32, dynamic }
    }

    /// Whether all angles are equal up to a relative error.
    pub fn is_close(&self, other: &Self, tolerance: f64) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance * a.abs().max(b.abs());
        let dynamic = match (&self.dynamic, &other.dynamic) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                close(a.factor, b.factor) && close(a.max_position_embeddings, b.max_position_embeddings)
            }
            _ => false,
        };
        dynamic
            && close(f64::from(self.attention_factor), f64::from(other.attention_factor))
            && self.inv_freq.len() == other.inv_freq.len()
            && self.inv_freq.iter().zip(&other.inv_freq).all(|(a, b)| close(f64::from(*a), f64::from(*b)))
    }

    /// Columns of a head that are rotated.
    pub fn rotary_dim(&self) -> usize {
        2 * self.inv_freq.len()
    }

    /// Frequencies that apply at a position, in radians per position.
    pub fn inv_freq_at(&self, position: u32) -> std::borrow::Cow<'_, [f32]> {
        match &self.dynamic {
            Some(d) if f64::from(position) >= d.max_position_embeddings => {
                let stretch =
                    d.factor * (f64::from(position) + 1.0) / d.max_position_embeddings - (d.factor - 1.0);
                let dim = d.rotary_dim as f64;
                base_frequencies(d.theta * stretch.powf(dim / (dim - 2.0)), d.rotary_dim).into()
            }
            _ => (&self.inv_freq).into(),
        }
    }

    /// Factor of cosines and sines.
    pub fn attention_factor(&self) -> f32 {
        self.attention_factor
    }

    /// Cosines and sines of a step's positions, on the device of `ops`. Computing them in each step takes a fraction of
    /// a percent of its time and avoids a table for the whole context.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn table(&self, positions: &[u32], ops: &dyn Ops) -> Result<RopeTable> {
        let half = self.inv_freq.len();
        let mut cos = Vec::with_capacity(positions.len() * half);
        let mut sin = Vec::with_capacity(positions.len() * half);
        for &position in positions {
            for f in self.inv_freq_at(position).iter() {
                let (s, c) = (position as f32 * f).sin_cos();
                cos.push(c * self.attention_factor);
                sin.push(s * self.attention_factor);
            }
        }
        let shape = [positions.len() as i64, half as i64];
        let upload = |values: &[f32]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to(ops.device())?)
        };
        Ok(RopeTable { cos: upload(&cos)?, sin: upload(&sin)? })
    }
}

/// `theta^(2i / dim)` for each pair of columns, rounded to float32.
fn powers(theta: f64, dim: usize) -> impl Iterator<Item = f32> {
    (0..dim / 2).map(move |i| theta.powf(f64::from((2 * i) as f32 / dim as f32)) as f32)
}

fn base_frequencies(theta: f64, dim: usize) -> Vec<f32> {
    powers(theta, dim).map(|p| 1.0 / p).collect()
}

/// A frequency of Llama 3.1: low ones (long waves) are divided by the factor, high ones are kept, and those between are
/// interpolated.
fn llama3(f: f32, [factor, low, high]: [f32; 3], original: f32) -> f32 {
    let wavelength = 2.0 * std::f32::consts::PI / f;
    if wavelength > original / low {
        f / factor
    } else if wavelength < original / high {
        f
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * f / factor + smooth * f
    }
}

/// YaRN (Peng et al., 2023): a linear ramp over the columns from kept to divided frequencies.
fn yarn_frequencies(p: &RopeParameters<'_>, yarn: &Yarn) -> (Vec<f32>, f64) {
    let factor = yarn.factor;
    let attention_factor =
        yarn.attention_factor.unwrap_or_else(|| match (yarn.mscale, yarn.mscale_all_dim) {
            (Some(m), Some(all)) if m != 0.0 && all != 0.0 => yarn.magnitude(m) / yarn.magnitude(all),
            _ => yarn.magnitude(1.0),
        });
    let dim = p.rotary_dim as f64;
    let original = yarn.original_max_position_embeddings as f64;
    // The column whose frequency makes this many turns in the original length.
    let column = |turns: f64| dim * (original / (turns * 2.0 * PI)).ln() / (2.0 * p.theta.ln());
    let (mut low, mut high) = (column(yarn.beta_fast), column(yarn.beta_slow));
    if yarn.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
    if low == high {
        high += 0.001;
    }
    let frequencies = powers(p.theta, p.rotary_dim).enumerate().map(|(i, power)| {
        let ramp = (((i as f64 - low) / (high - low)) as f32).clamp(0.0, 1.0);
        let kept = 1.0 - ramp;
        (1.0 / (factor as f32 * power)) * (1.0 - kept) + (1.0 / power) * kept
    });
    (frequencies.collect(), attention_factor)
}

/// LongRoPE (Ding et al., 2024): one divisor per frequency, from one of two lists.
fn longrope_frequencies(p: &RopeParameters<'_>, longrope: &Longrope) -> (Vec<f32>, f64) {
    let original = longrope.original_max_position_embeddings;
    let is_long = p.context_length > original;
    let divisors = if is_long { &longrope.long_factor } else { &longrope.short_factor };
    let original = original as f64;
    let factor = longrope.factor.unwrap_or(p.max_position_embeddings as f64 / original);
    let attention_factor = longrope
        .attention_factor
        .unwrap_or_else(|| if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() });
    let frequencies = powers(p.theta, p.rotary_dim).zip(divisors).map(|(power, &d)| 1.0 / (d as f32 * power));
    (frequencies.collect(), attention_factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(scaling: Option<&RopeScaling>, context_length: usize) -> RopeParameters<'_> {
        RopeParameters {
            theta: 10_000.0,
            rotary_dim: 24,
            scaling,
            divisors: None,
            max_position_embeddings: 256,
            context_length,
        }
    }

    /// Compares with the frequencies that transformers computes from the same configuration.
    #[test]
    fn frequencies_equal_those_of_transformers() {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rope.json");
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<&String> = table.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 13);
        for name in names {
            let case = &table[name];
            let config = serde_json::json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 10, "hidden_size": 144,
                "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 6, "head_dim": 24,
                "max_position_embeddings": 256, "rope_parameters": case["scaling"],
            });
            std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
            let checkpoint = sglang_checkpoint::Checkpoint::open(folder.path()).unwrap();
            let config = sglang_checkpoint::ModelConfig::from_checkpoint(&checkpoint, None).unwrap();
            let rotary = RotaryEmbedding::new(&parameters(config.rope_scaling.as_ref(), 256));
            // The last position of a sequence of 256 tokens, and of 400 where the result differs.
            let found = rotary.inv_freq_at(if name == "dynamic_400" { 399 } else { 255 });
            let expected = case["inv_freq"].as_array().unwrap();
            assert_eq!(found.len(), expected.len(), "{name}");
            for (f, e) in found.iter().zip(expected) {
                let e = e.as_f64().unwrap();
                assert!((f64::from(*f) - e).abs() <= 2e-6 * e.abs(), "{name}: {f} for {e}");
            }
            let factor = case["attention_factor"].as_f64().unwrap();
            assert!((f64::from(rotary.attention_factor) - factor).abs() < 1e-6, "{name}");
        }
    }

    #[test]
    fn divisors_of_the_checkpoint_divide_the_frequencies() {
        let divisors: Vec<f32> = (1..=12).map(|i| i as f32).collect();
        let plain = RotaryEmbedding::new(&parameters(None, 256));
        let divided =
            RotaryEmbedding::new(&RopeParameters { divisors: Some(&divisors), ..parameters(None, 256) });
        for ((p, d), divisor) in plain.inv_freq.iter().zip(&divided.inv_freq).zip(&divisors) {
            assert_eq!(p / divisor, *d);
        }
    }

    #[test]
    fn a_table_holds_the_cosine_and_sine_of_every_position() {
        let rotary = RotaryEmbedding::new(&parameters(None, 256));
        let ops = crate::ops::TorchOps::new(tch::Device::Cpu, tch::Kind::Float);
        let table = rotary.table(&[0, 7], &ops).unwrap();
        assert_eq!(table.cos.size(), [2, 12]);
        assert_eq!(table.cos.f_double_value(&[0, 3]).unwrap(), 1.0);
        for i in 0..12 {
            let angle = 7.0 * f64::from(rotary.inv_freq[i as usize]);
            assert!((table.cos.f_double_value(&[1, i]).unwrap() - angle.cos()).abs() < 1e-6);
            assert!((table.sin.f_double_value(&[1, i]).unwrap() - angle.sin()).abs() < 1e-6);
        }
    }
}
