//! The formats IQ1_S to IQ4_XS: groups of numbers are entries of a fixed table, with scales and signs beside them.
//!
//! Layouts follow ggml's `ggml-quants`; names of the tables are ggml's.

pub(super) mod four;
mod grids;
mod one;
pub(super) mod three;
mod two;

pub(super) use four::{iq4_nl, iq4_xs};
pub(super) use one::{iq1_m, iq1_s};
pub(super) use three::{iq3_s, iq3_xxs};
pub(super) use two::{iq2_s, iq2_xs, iq2_xxs};

/// The 16-bit number at byte `at`.
fn u16_at<const N: usize>(b: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

/// The 32-bit number at byte `at`.
fn u32_at<const N: usize>(b: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// The half of a byte that belongs to an even or odd `i`.
fn nibble(byte: u8, i: usize) -> u8 {
    byte >> (i % 2 * 4) & 0xF
}

/// Eight signs from seven bits: the eighth makes the number of minuses even (ggml's `ksigns_iq2xs`).
fn even_signs(bits: u32) -> u8 {
    let bits = (bits & 0x7F) as u8;
    bits | (bits.count_ones() as u8 & 1) << 7
}

/// 1, or -1 where bit `j` is set.
fn sign(signs: u8, j: usize) -> f32 {
    if signs >> j & 1 == 0 { 1.0 } else { -1.0 }
}
