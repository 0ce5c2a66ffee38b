//! IQ2_XXS, IQ2_XS and IQ2_S: groups of eight magnitudes from a table, with separate signs.

use super::grids::GRIDS;
use crate::gguf::bits::{even_signs, half_at, nibble, sign, u16_at, u32_at};

fn group(o: &mut [f32; 8], scale: f32, grid: &[i8; 8], signs: u8) {
    for (j, (x, value)) in o.iter_mut().zip(grid).enumerate() {
        *x = scale * f32::from(*value) * sign(signs, j);
    }
}

fn scale(d: f32, bits: u8) -> f32 {
    d * (0.5 + f32::from(bits)) * 0.25
}

pub(crate) fn iq2_xxs(b: &[u8; 66], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // Four groups share eight bytes: their table indices, then signs and a scale.
        let at = 2 + k / 4 * 8;
        let shared = u32_at(b, at + 4);
        let grid = &GRIDS.iq2_xxs[usize::from(b[at + k % 4])];
        group(o, scale(d, (shared >> 28) as u8), grid, even_signs(shared >> (k % 4 * 7)));
    }
}

pub(crate) fn iq2_xs(b: &[u8; 74], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let q = u16_at(b, 2 + 2 * k);
        let grid = &GRIDS.iq2_xs[usize::from(q & 511)];
        group(o, scale(d, nibble(b[66 + k / 4], k / 2)), grid, even_signs(u32::from(q >> 9)));
    }
}

pub(crate) fn iq2_s(b: &[u8; 82], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let high = b[66 + k / 4] >> (k % 4 * 2) & 3;
        let grid = &GRIDS.iq2_s[usize::from(b[2 + k]) | usize::from(high) << 8];
        group(o, scale(d, nibble(b[74 + k / 4], k / 2)), grid, b[34 + k]);
    }
}
