//! The lookup tables (grids) of the IQ formats.

use std::sync::LazyLock;

/// All tables in the order of [`GRIDS`]. An entry is a little-endian 16-bit number that packs the value indices of a
/// group, the first in the lowest bits. `scripts/fixtures gguf_quants` writes the file.
const PACKED: &[u8; 2 * (256 + 512 + 1024 + 256 + 512 + 2048)] = include_bytes!("grids.bin");

/// The values that the indices of eight-number tables stand for, in the two-bit and one-bit formats.
const TWO: [i8; 4] = [0x08, 0x19, 0x2b, 0];
const ONE: [i8; 4] = [-1, 0, 1, 0];
/// The values of four-number tables.
const THREE_XXS: [i8; 8] = [0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e];
const THREE_S: [i8; 8] = [0x01, 0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f];

/// Every table, unpacked when the first block is read.
pub(super) static GRIDS: LazyLock<Grids> = LazyLock::new(|| {
    let entries = PACKED.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    let entries = &mut entries.into_iter();
    Grids {
        iq2_xxs: of_eight(entries, &TWO),
        iq2_xs: of_eight(entries, &TWO),
        iq2_s: of_eight(entries, &TWO),
        iq3_xxs: of_four(entries, &THREE_XXS),
        iq3_s: of_four(entries, &THREE_S),
        iq1_s: of_eight(entries, &ONE),
    }
});

/// The tables by format; IQ1_M uses that of IQ1_S.
pub(super) struct Grids {
    pub(super) iq2_xxs: [[i8; 8]; 256],
    pub(super) iq2_xs: [[i8; 8]; 512],
    pub(super) iq2_s: [[i8; 8]; 1024],
    pub(super) iq3_xxs: [[i8; 4]; 256],
    pub(super) iq3_s: [[i8; 4]; 512],
    pub(super) iq1_s: [[i8; 8]; 2048],
}

fn of_eight<const N: usize>(entries: &mut impl Iterator<Item = u16>, values: &[i8; 4]) -> [[i8; 8]; N] {
    std::array::from_fn(|_| {
        let entry = entries.next().unwrap_or_default();
        std::array::from_fn(|j| values[usize::from(entry >> (2 * j) & 3)])
    })
}

fn of_four<const N: usize>(entries: &mut impl Iterator<Item = u16>, values: &[i8; 8]) -> [[i8; 4]; N] {
    std::array::from_fn(|_| {
        let entry = entries.next().unwrap_or_default();
        std::array::from_fn(|j| values[usize::from(entry >> (4 * j) & 7)])
    })
}
