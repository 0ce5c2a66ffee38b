//! Dequantisation of GGUF blocks to float32, bit-identical to the `gguf` Python package.
//!
//! Block layouts follow ggml's `ggml-quants`; multi-byte fields are little endian.

use half::bf16;

use super::bits::half_at;
use super::types::GgmlType;
use super::{iq, k_quants, ternary};

/// Lengths of input and output do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DequantError {
    /// The input is not a whole number of blocks.
    #[error("{ty} data: expected a multiple of {block} bytes, found {found}")]
    PartialBlock {
        /// Element type.
        ty: GgmlType,
        /// Bytes per block.
        block: usize,
        /// Bytes given.
        found: usize,
    },
    /// The output's length differs from the number of elements in the input.
    #[error("{ty} data of {elements} elements: output holds {found}")]
    OutputLength {
        /// Element type.
        ty: GgmlType,
        /// Elements in the input.
        elements: usize,
        /// Elements of the output.
        found: usize,
    },
}

/// Dequantises whole blocks of type `ty` into `out`, which must have exactly their number of elements.
///
/// Blocks are independent, so a tensor may be split at block borders and dequantised in parallel.
///
/// # Errors
/// [`DequantError`] if `data` does not consist of whole blocks or `out` has the wrong length.
pub fn dequantize(ty: GgmlType, data: &[u8], out: &mut [f32]) -> Result<(), DequantError> {
    if !data.len().is_multiple_of(ty.block_bytes()) {
        return Err(DequantError::PartialBlock { ty, block: ty.block_bytes(), found: data.len() });
    }
    let elements = data.len() / ty.block_bytes() * ty.block_len();
    if out.len() != elements {
        return Err(DequantError::OutputLength { ty, elements, found: out.len() });
    }
    match ty {
        GgmlType::F32 => each(data, out, |b: &[u8; 4], o: &mut [f32; 1]| o[0] = f32::from_le_bytes(*b)),
        GgmlType::F16 => each(data, out, |b: &[u8; 2], o: &mut [f32; 1]| o[0] = half_at(b, 0)),
        GgmlType::BF16 => {
            each(data, out, |b: &[u8; 2], o: &mut [f32; 1]| o[0] = bf16::from_le_bytes(*b).to_f32());
        }
        GgmlType::Q4_0 => each(data, out, q4_0),
        GgmlType::Q4_1 => each(data, out, q4_1),
        GgmlType::Q5_0 => each(data, out, q5_0),
        GgmlType::Q5_1 => each(data, out, q5_1),
        GgmlType::Q8_0 => each(data, out, q8_0),
        GgmlType::Q2_K => each(data, out, k_quants::q2_k),
        GgmlType::Q3_K => each(data, out, k_quants::q3_k),
        GgmlType::Q4_K => each(data, out, k_quants::q4_k),
        GgmlType::Q5_K => each(data, out, k_quants::q5_k),
        GgmlType::Q6_K => each(data, out, k_quants::q6_k),
        GgmlType::IQ1_S => each(data, out, iq::iq1_s),
        GgmlType::IQ1_M => each(data, out, iq::iq1_m),
        GgmlType::IQ2_XXS => each(data, out, iq::iq2_xxs),
        GgmlType::IQ2_XS => each(data, out, iq::iq2_xs),
        GgmlType::IQ2_S => each(data, out, iq::iq2_s),
        GgmlType::IQ3_XXS => each(data, out, iq::iq3_xxs),
        GgmlType::IQ3_S => each(data, out, iq::iq3_s),
        GgmlType::IQ4_NL => each(data, out, iq::iq4_nl),
        GgmlType::IQ4_XS => each(data, out, iq::iq4_xs),
        GgmlType::TQ1_0 => each(data, out, ternary::tq1_0),
        GgmlType::TQ2_0 => each(data, out, ternary::tq2_0),
        GgmlType::MXFP4 => each(data, out, mxfp4),
    }
    Ok(())
}

/// Calls `f` with every block of `N` bytes and its `M` outputs.
fn each<const N: usize, const M: usize>(data: &[u8], out: &mut [f32], f: impl Fn(&[u8; N], &mut [f32; M])) {
    let (blocks, _) = data.as_chunks::<N>();
    let (outs, _) = out.as_chunks_mut::<M>();
    for (block, o) in blocks.iter().zip(outs) {
        f(block, o);
    }
}

// 16 bytes hold 32 nibbles: element j in the low nibble of byte j, element j + 16 in the high nibble.

fn q4_0(b: &[u8; 18], o: &mut [f32; 32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let q = b[2 + j];
        o[j] = d * f32::from((q & 0xF) as i8 - 8);
        o[j + 16] = d * f32::from((q >> 4) as i8 - 8);
    }
}

fn q4_1(b: &[u8; 20], o: &mut [f32; 32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for j in 0..16 {
        let q = b[4 + j];
        o[j] = d * f32::from(q & 0xF) + m;
        o[j + 16] = d * f32::from(q >> 4) + m;
    }
}

/// Twice the values of 4-bit floats (E2M1; OCP Microscaling Formats, 2023); the sign is the highest bit.
const TWICE_E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn mxfp4(b: &[u8; 17], o: &mut [f32; 32]) {
    // Half the scale, which is a power of two; the smallest two are subnormal.
    let d = f32::from_bits(match b[0] {
        e @ 0..2 => 0x0020_0000 << e,
        e => u32::from(e - 1) << 23,
    });
    for j in 0..16 {
        let q = b[1 + j];
        o[j] = d * f32::from(TWICE_E2M1[usize::from(q & 0xF)]);
        o[j + 16] = d * f32::from(TWICE_E2M1[usize::from(q >> 4)]);
    }
}

/// Fifth bits: bit j of a 32-bit little-endian word belongs to element j.
fn high_bits<const N: usize>(b: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn q5_0(b: &[u8; 22], o: &mut [f32; 32]) {
    let (d, h) = (half_at(b, 0), high_bits(b, 2));
    for j in 0..16 {
        let q = b[6 + j];
        let lo = (q & 0xF) | ((((h >> j) & 1) as u8) << 4);
        let hi = (q >> 4) | ((((h >> (j + 16)) & 1) as u8) << 4);
        o[j] = d * f32::from(lo as i8 - 16);
        o[j + 16] = d * f32::from(hi as i8 - 16);
    }
}

fn q5_1(b: &[u8; 24], o: &mut [f32; 32]) {
    let (d, m, h) = (half_at(b, 0), half_at(b, 2), high_bits(b, 4));
    for j in 0..16 {
        let q = b[8 + j];
        let lo = (q & 0xF) | ((((h >> j) & 1) as u8) << 4);
        let hi = (q >> 4) | ((((h >> (j + 16)) & 1) as u8) << 4);
        o[j] = d * f32::from(lo) + m;
        o[j + 16] = d * f32::from(hi) + m;
    }
}

fn q8_0(b: &[u8; 34], o: &mut [f32; 32]) {
    let d = half_at(b, 0);
    for j in 0..32 {
        o[j] = d * f32::from(b[2 + j] as i8);
    }
}
