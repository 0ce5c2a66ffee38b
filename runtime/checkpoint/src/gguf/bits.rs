//! Reads numbers from the bytes of blocks.

use half::f16;

/// The half-precision number at byte `at` of a block.
pub(super) fn half_at<const N: usize>(block: &[u8; N], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The little-endian 16-bit number at byte `at`.
pub(super) fn u16_at<const N: usize>(b: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

/// The little-endian 32-bit number at byte `at`.
pub(super) fn u32_at<const N: usize>(b: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// The low nibble of a byte for even `i`, the high nibble for odd `i`.
pub(super) fn nibble(byte: u8, i: usize) -> u8 {
    byte >> (i % 2 * 4) & 0xF
}

/// Eight signs from seven bits: the eighth makes the number of minus signs even (ggml's `ksigns_iq2xs`).
pub(super) fn even_signs(bits: u32) -> u8 {
    let bits = (bits & 0x7F) as u8;
    bits | (bits.count_ones() as u8 & 1) << 7
}

/// -1 if bit `j` is set, otherwise 1.
pub(super) fn sign(signs: u8, j: usize) -> f32 {
    if signs >> j & 1 == 0 { 1.0 } else { -1.0 }
}
