//! The super-block formats Q2_K to Q6_K: 256 elements in sub-blocks, each with its own scale.

use super::bits::half_at;

/// The eight 6-bit scales and minima that Q4_K and Q5_K pack into 12 bytes: sub-blocks 0–3 lie in the low six bits
/// of bytes 0–7; sub-blocks 4–7 have their low nibble in bytes 8–11 and two high bits on top of bytes 0–7.
fn scales_and_mins<const N: usize>(b: &[u8; N], at: usize) -> ([f32; 8], [f32; 8]) {
    let (mut sc, mut mn) = ([0.0; 8], [0.0; 8]);
    for i in 0..4 {
        let (low_s, low_m, both) = (b[at + i], b[at + 4 + i], b[at + 8 + i]);
        sc[i] = f32::from(low_s & 63);
        mn[i] = f32::from(low_m & 63);
        sc[i + 4] = f32::from((both & 0xF) | ((low_s >> 6) << 4));
        mn[i + 4] = f32::from((both >> 4) | ((low_m >> 6) << 4));
    }
    (sc, mn)
}

pub(super) fn q2_k(b: &[u8; 84], o: &mut [f32; 256]) {
    let (d, dmin) = (half_at(b, 80), half_at(b, 82));
    for (group, o) in o.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let (scale, min) = (d * f32::from(b[group] & 0xF), dmin * f32::from(b[group] >> 4));
        // Eight groups share 32 bytes, two bits each.
        let (start, shift) = (16 + group / 8 * 32 + group % 2 * 16, group % 8 / 2 * 2);
        for (l, x) in o.iter_mut().enumerate() {
            *x = scale * f32::from((b[start + l] >> shift) & 3) - min;
        }
    }
}

/// The sixteen 6-bit scales of Q3_K, less 32: low nibbles in bytes 0–7, two high bits in bytes 8–11.
pub(super) fn q3_k_scales(b: &[u8; 110]) -> [i8; 16] {
    std::array::from_fn(|i| {
        let low = b[96 + i % 8] >> (i / 8 * 4) & 0xF;
        let high = b[104 + i % 4] >> (i / 4 * 2) & 3;
        (low | high << 4) as i8 - 32
    })
}

/// Number `i` of a block of Q3_K, from -4 to 3.
pub(super) fn q3_k_number(b: &[u8; 110], i: usize) -> i8 {
    let low = b[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    // A set bit adds four.
    let high = b[i % 32] >> (i / 32) & 1;
    (low | high << 2) as i8 - 4
}

pub(super) fn q3_k(b: &[u8; 110], o: &mut [f32; 256]) {
    let d = half_at(b, 108);
    let scales = q3_k_scales(b).map(|scale| d * f32::from(scale));
    for (i, x) in o.iter_mut().enumerate() {
        *x = scales[i / 16] * f32::from(q3_k_number(b, i));
    }
}

pub(super) fn q4_k(b: &[u8; 144], o: &mut [f32; 256]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    let (sc, mn) = scales_and_mins(b, 4);
    for group in 0..4 {
        let (d0, m0) = (d * sc[2 * group], dmin * mn[2 * group]);
        let (d1, m1) = (d * sc[2 * group + 1], dmin * mn[2 * group + 1]);
        for l in 0..32 {
            let q = b[16 + group * 32 + l];
            o[group * 64 + l] = d0 * f32::from(q & 0xF) - m0;
            o[group * 64 + 32 + l] = d1 * f32::from(q >> 4) - m1;
        }
    }
}

pub(super) fn q5_k(b: &[u8; 176], o: &mut [f32; 256]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    let (sc, mn) = scales_and_mins(b, 4);
    for group in 0..4 {
        let (d0, m0) = (d * sc[2 * group], dmin * mn[2 * group]);
        let (d1, m1) = (d * sc[2 * group + 1], dmin * mn[2 * group + 1]);
        for l in 0..32 {
            let (q, h) = (b[48 + group * 32 + l], b[16 + l] >> (2 * group));
            o[group * 64 + l] = d0 * f32::from((q & 0xF) | ((h & 1) << 4)) - m0;
            o[group * 64 + 32 + l] = d1 * f32::from((q >> 4) | ((h & 2) << 3)) - m1;
        }
    }
}

pub(super) fn q6_k(b: &[u8; 210], o: &mut [f32; 256]) {
    let d = half_at(b, 208);
    for half in 0..2 {
        let (ql, qh, sc, out) = (half * 64, 128 + half * 32, 192 + half * 8, half * 128);
        for l in 0..32 {
            let (a, c, h) = (b[ql + l], b[ql + 32 + l], b[qh + l]);
            let q = [
                (a & 0xF) | ((h & 3) << 4),
                (c & 0xF) | (((h >> 2) & 3) << 4),
                (a >> 4) | (((h >> 4) & 3) << 4),
                (c >> 4) | ((h >> 6) << 4),
            ];
            for (i, q) in q.into_iter().enumerate() {
                let scale = d * f32::from(b[sc + 2 * i + l / 16] as i8);
                o[out + 32 * i + l] = scale * f32::from(q as i8 - 32);
            }
        }
    }
}
