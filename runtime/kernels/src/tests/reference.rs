//! Test data and plain float64 references.

use std::sync::Arc;

use half::{bf16, f16};

use crate::{QuantType, WeightMatrix};

/// A linear congruential generator, which gives the same numbers in every run.
pub(super) struct Noise(pub u64);

impl Noise {
    pub(super) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// In `-1.0..1.0`.
    pub(super) fn float(&mut self) -> f32 {
        self.bits() as f32 / (1u32 << 30) as f32 - 1.0
    }

    pub(super) fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

/// Offsets of the half-precision scales in a block.
fn half_offsets(quant: QuantType) -> &'static [usize] {
    match quant {
        QuantType::F32 | QuantType::F16 | QuantType::BF16 => &[],
        QuantType::Q4_0 | QuantType::Q5_0 | QuantType::Q8_0 => &[0],
        QuantType::Q4_1 | QuantType::Q5_1 | QuantType::Q4_K | QuantType::Q5_K => &[0, 2],
        QuantType::Q6_K => &[208],
    }
}

/// Random weights: every bit pattern of the integers, scales of moderate size.
pub(super) fn weight(quant: QuantType, rows: usize, cols: usize, seed: u64) -> WeightMatrix {
    let mut noise = Noise(seed);
    let len = rows * quant.row_bytes(cols).unwrap();
    let bytes: Vec<u8> = match quant {
        QuantType::F32 => noise.floats(rows * cols).iter().flat_map(|x| x.to_le_bytes()).collect(),
        QuantType::F16 => {
            noise.floats(rows * cols).iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
        }
        QuantType::BF16 => {
            noise.floats(rows * cols).iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect()
        }
        _ => {
            let mut bytes: Vec<u8> = (0..len).map(|_| noise.bits() as u8).collect();
            for block in bytes.chunks_exact_mut(quant.block_bytes()) {
                for &at in half_offsets(quant) {
                    block[at..at + 2].copy_from_slice(&f16::from_f32(noise.float() / 16.0).to_le_bytes());
                }
            }
            bytes
        }
    };
    WeightMatrix::from_bytes(quant, rows, cols, Arc::new(bytes), 0..len).unwrap()
}

/// Dequantises all weights one by one, by the definitions of the formats.
pub(super) fn dequantised(w: &WeightMatrix) -> Vec<f32> {
    let quant = w.quant();
    let block = quant.block_len();
    w.bytes()
        .chunks_exact(quant.block_bytes())
        .flat_map(|bytes| (0..block).map(move |j| one_weight(quant, bytes, j)))
        .collect()
}

fn one_weight(quant: QuantType, b: &[u8], j: usize) -> f32 {
    let half = |at: usize| f16::from_le_bytes([b[at], b[at + 1]]).to_f32();
    // Blocks of 32: the first sixteen weights are in low nibbles.
    let nibble = |at: usize| i32::from(if j < 16 { b[at + j] & 15 } else { b[at + j - 16] >> 4 });
    let fifth = |at: usize| i32::from(b[at + j / 8] >> (j % 8) & 1) << 4;
    // Blocks of 256: nibbles of 64 weights share 32 bytes; six-bit scales as in ggml's get_scale_min_k4.
    let k_nibble = |at: usize| {
        let byte = b[at + j / 64 * 32 + j % 32];
        i32::from(if j % 64 < 32 { byte & 15 } else { byte >> 4 })
    };
    let k_scale = || {
        let (s, i) = (&b[4..16], j / 32);
        if i < 4 {
            (s[i] & 63, s[i + 4] & 63)
        } else {
            ((s[i + 4] & 15) | (s[i - 4] >> 6) << 4, (s[i + 4] >> 4) | (s[i] >> 6) << 4)
        }
    };
    let k_value = |q: i32| {
        let (scale, min) = k_scale();
        half(0) * f32::from(scale) * q as f32 - half(2) * f32::from(min)
    };
    match quant {
        QuantType::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        QuantType::F16 => half(0),
        QuantType::BF16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        QuantType::Q4_0 => (nibble(2) - 8) as f32 * half(0),
        QuantType::Q4_1 => nibble(4) as f32 * half(0) + half(2),
        QuantType::Q5_0 => ((nibble(6) | fifth(2)) - 16) as f32 * half(0),
        QuantType::Q5_1 => (nibble(8) | fifth(4)) as f32 * half(0) + half(2),
        QuantType::Q8_0 => f32::from(b[2 + j] as i8) * half(0),
        QuantType::Q4_K => k_value(k_nibble(16)),
        QuantType::Q5_K => k_value(k_nibble(48) | i32::from(b[16 + j % 32] >> (j / 32) & 1) << 4),
        QuantType::Q6_K => {
            let (half_block, l) = (j / 128, j % 128);
            let low = b[64 * half_block + l % 64];
            let low = if l < 64 { low & 15 } else { low >> 4 };
            let high = b[128 + 32 * half_block + l % 32] >> (2 * (l / 32)) & 3;
            let scale = f32::from(b[192 + j / 16] as i8);
            half(208) * scale * (i32::from(low | high << 4) - 32) as f32
        }
    }
}

/// `x · wᵀ + bias` in float64, and the same with absolute values, which is the size that rounding errors are relative
/// to.
pub(super) fn product(x: &[f32], w: &[f32], k: usize, bias: Option<&[f32]>) -> (Vec<f64>, Vec<f64>) {
    let n = w.len() / k;
    let mut out = Vec::new();
    let mut sizes = Vec::new();
    for x in x.chunks_exact(k) {
        for (j, w) in w.chunks_exact(k).enumerate() {
            let b = bias.map_or(0.0, |b| f64::from(b[j % n]));
            out.push(b + x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>());
            sizes.push(
                b.abs() + x.iter().zip(w).map(|(&x, &w)| (f64::from(x) * f64::from(w)).abs()).sum::<f64>(),
            );
        }
    }
    (out, sizes)
}

/// Fails if an element of `got` is further from `want` than `limit` times `size`.
pub(super) fn assert_near(got: &[f32], want: &[f64], size: impl Fn(usize) -> f64, limit: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(g) - w).abs();
        assert!(off <= limit * size(i), "element {i}: {g} instead of {w}, off by {off:e}");
    }
}

/// The bits, for exact comparison.
pub(super) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}
