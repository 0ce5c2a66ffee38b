//! IQ1_S and IQ1_M: groups of eight numbers that are -1, 0 or 1, all shifted by an eighth up or down.

use half::f16;

use super::grids::GRIDS;
use crate::gguf::bits::{half_at, nibble, u16_at};

const DELTA: f32 = 0.125;

fn group(o: &mut [f32; 8], scale: f32, entry: usize, is_down: bool) {
    let delta = if is_down { -DELTA } else { DELTA };
    for (x, value) in o.iter_mut().zip(&GRIDS.iq1_s[entry]) {
        *x = scale * (f32::from(*value) + delta);
    }
}

pub(crate) fn iq1_s(b: &[u8; 50], o: &mut [f32; 256]) {
    let d = half_at(b, 0);
    for (k, o) in o.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let shared = u16_at(b, 34 + k / 4 * 2);
        let scale = d * f32::from(2 * (shared >> 12 & 7) + 1);
        let entry = usize::from(b[2 + k]) | usize::from(shared >> (k % 4 * 3) & 7) << 8;
        group(o, scale, entry, shared & 0x8000 != 0);
    }
}

pub(crate) fn iq1_m(b: &[u8; 56], o: &mut [f32; 256]) {
    let shared: [u16; 4] = std::array::from_fn(|i| u16_at(b, 48 + 2 * i));
    // The scale of the block is spread over the highest four bits of each.
    let bits = (0..4).fold(0, |bits, i| bits | shared[i] >> 12 << (4 * i));
    let d = f16::from_bits(bits).to_f32();
    for (k, o) in o.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let scale = d * f32::from(2 * (shared[k / 8] >> (k % 8 / 2 * 3) & 7) + 1);
        let high = nibble(b[32 + k / 2], k);
        group(o, scale, usize::from(b[k]) | usize::from(high & 7) << 8, high & 8 != 0);
    }
}
