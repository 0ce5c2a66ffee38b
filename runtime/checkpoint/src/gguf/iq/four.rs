//! IQ4_NL and IQ4_XS: four bits per number select a value from a table that is denser around zero.

use crate::gguf::bits::{half_at, nibble, u16_at};

/// ggml's `kvalues_iq4nl`.
pub(crate) const VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// 16 bytes hold 32 numbers: the first half in the low nibbles.
fn group(o: &mut [f32], scale: f32, packed: &[u8]) {
    let (low, high) = o.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(packed) {
        *low = scale * f32::from(VALUES[usize::from(byte & 0xF)]);
        *high = scale * f32::from(VALUES[usize::from(byte >> 4)]);
    }
}

pub(crate) fn iq4_nl(b: &[u8; 18], o: &mut [f32; 32]) {
    group(o, half_at(b, 0), &b[2..]);
}

pub(crate) fn iq4_xs(b: &[u8; 136], o: &mut [f32; 256]) {
    let (d, high) = (half_at(b, 0), u16_at(b, 2));
    for (k, o) in o.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let scale = nibble(b[4 + k / 2], k) | ((high >> (2 * k) & 3) as u8) << 4;
        let start = 8 + 16 * k;
        group(o, d * f32::from(scale as i8 - 32), &b[start..start + 16]);
    }
}
