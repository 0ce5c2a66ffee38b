//! The formats TQ1_0 and TQ2_0: 256 numbers that are -1, 0 or 1 times a scale.

use super::bits::half_at;

/// Numbers of a block of TQ1_0, five per byte: they are the base-3 digits of the fraction `byte / 256`.
pub(super) fn tq1_0_numbers(b: &[u8; 54]) -> [i8; 256] {
    std::array::from_fn(|i| {
        let (byte, digit) = match i {
            0..160 => (b[i % 32], i / 32),
            160..240 => (b[32 + i % 16], (i - 160) / 16),
            _ => (b[48 + i % 4], (i - 240) / 4),
        };
        let rest = byte.wrapping_mul([1, 3, 9, 27, 81][digit]);
        ((u16::from(rest) * 3) >> 8) as i8 - 1
    })
}

/// Numbers of a block of TQ2_0, two bits per number.
pub(super) fn tq2_0_numbers(b: &[u8; 66]) -> [i8; 256] {
    std::array::from_fn(|i| (b[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) as i8 - 1)
}

pub(super) fn tq1_0(b: &[u8; 54], o: &mut [f32; 256]) {
    scaled(half_at(b, 52), &tq1_0_numbers(b), o);
}

pub(super) fn tq2_0(b: &[u8; 66], o: &mut [f32; 256]) {
    scaled(half_at(b, 64), &tq2_0_numbers(b), o);
}

fn scaled(d: f32, numbers: &[i8; 256], o: &mut [f32; 256]) {
    for (x, number) in o.iter_mut().zip(numbers) {
        *x = d * f32::from(*number);
    }
}
