//! IQ3_XXS and IQ3_S: groups of four magnitudes from a table, with separate signs.

use super::grids::GRIDS;
use crate::gguf::bits::{even_signs, half_at, nibble, sign, u32_at};

/// Dequantises group `k` of four numbers; two groups share a byte of signs.
fn group(o: &mut [f32; 4], k: usize, scale: f32, grid: &[i8; 4], signs: u8) {
    for (j, (x, value)) in o.iter_mut().zip(grid).enumerate() {
        *x = scale * f32::from(*value) * sign(signs, k % 2 * 4 + j);
    }
}

pub(crate) fn iq3_xxs(b: &[u8; 98], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // Eight groups share signs and a scale.
        let shared = u32_at(b, 66 + k / 8 * 4);
        let scale = d * (0.5 + f32::from((shared >> 28) as u8)) * 0.5;
        group(o, k, scale, &GRIDS.iq3_xxs[usize::from(b[2 + k])], even_signs(shared >> (k % 8 / 2 * 7)));
    }
}

/// Scale of group `k` of 32 numbers of IQ3_S.
pub(crate) fn iq3_s_scale(b: &[u8; 110], k: usize) -> u8 {
    1 + 2 * nibble(b[106 + k / 2], k)
}

/// Magnitudes of group `k` of four numbers of IQ3_S.
fn iq3_s_group(b: &[u8; 110], k: usize) -> &'static [i8; 4] {
    let high = b[66 + k / 8] >> (k % 8) & 1;
    &GRIDS.iq3_s[usize::from(b[2 + k]) | usize::from(high) << 8]
}

/// Number `i` of a block of IQ3_S, from -15 to 15.
pub(crate) fn iq3_s_number(b: &[u8; 110], i: usize) -> i8 {
    let value = iq3_s_group(b, i / 4)[i % 4];
    if b[74 + i / 8] >> (i % 8) & 1 == 0 { value } else { -value }
}

pub(crate) fn iq3_s(b: &[u8; 110], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        group(o, k, d * f32::from(iq3_s_scale(b, k / 8)), iq3_s_group(b, k), b[74 + k / 2]);
    }
}
