//! Converts blocks of rarely supported types to blocks of common types that hold exactly the same numbers.

use super::dequant::DequantError;
use super::iq::{four, three};
use super::types::GgmlType;
use super::{k_quants, ternary};

/// The common type that can hold the numbers of `ty` exactly; `None` if there is none.
///
/// Values of Q3_K and IQ3_S are a scale, times an integer scale per 16 numbers, times integers from -15 to 15, which
/// fits Q6_K. Values of IQ4_NL are a scale times 8-bit integers, which fits Q8_0. Values of TQ1_0 and TQ2_0 are a scale
/// times -1, 0 or 1, which fits Q4_0.
pub fn equal_type(ty: GgmlType) -> Option<GgmlType> {
    match ty {
        GgmlType::Q3_K | GgmlType::IQ3_S => Some(GgmlType::Q6_K),
        GgmlType::IQ4_NL => Some(GgmlType::Q8_0),
        GgmlType::TQ1_0 | GgmlType::TQ2_0 => Some(GgmlType::Q4_0),
        _ => None,
    }
}

/// Writes whole blocks of `ty` to `out` as blocks of its [`equal_type`].
///
/// # Errors
/// [`DequantError`] if `data` does not consist of whole blocks, `out` has the wrong length, or the type has no equal
/// type.
pub fn repack(ty: GgmlType, data: &[u8], out: &mut [u8]) -> Result<(), DequantError> {
    if !data.len().is_multiple_of(ty.block_bytes()) {
        return Err(DequantError::PartialBlock { ty, block: ty.block_bytes(), found: data.len() });
    }
    let elements = data.len() / ty.block_bytes() * ty.block_len();
    if equal_type(ty).and_then(|equal| equal.bytes_for(elements)) != Some(out.len()) {
        return Err(DequantError::OutputLength { ty, elements, found: out.len() });
    }
    match ty {
        GgmlType::Q3_K => each(data, out, q3_k),
        GgmlType::IQ3_S => each(data, out, iq3_s),
        GgmlType::IQ4_NL => each(data, out, iq4_nl),
        GgmlType::TQ1_0 => each(data, out, |b: &[u8; 54], o: &mut [u8; 144]| {
            ternary_to_q4_0([b[52], b[53]], &ternary::tq1_0_numbers(b), o);
        }),
        GgmlType::TQ2_0 => each(data, out, |b: &[u8; 66], o: &mut [u8; 144]| {
            ternary_to_q4_0([b[64], b[65]], &ternary::tq2_0_numbers(b), o);
        }),
        _ => return Err(DequantError::OutputLength { ty, elements, found: out.len() }),
    }
    Ok(())
}

fn each<const N: usize, const M: usize>(data: &[u8], out: &mut [u8], f: impl Fn(&[u8; N], &mut [u8; M])) {
    let (blocks, _) = data.as_chunks::<N>();
    let (outs, _) = out.as_chunks_mut::<M>();
    for (block, o) in blocks.iter().zip(outs) {
        f(block, o);
    }
}

/// Writes a block of Q6_K: numbers from -32 to 31, a scale for every 16 of them and one for the block.
fn q6_k(d: [u8; 2], scales: [i8; 16], number: impl Fn(usize) -> i8, o: &mut [u8; 210]) {
    o.fill(0);
    for i in 0..256 {
        let q = (number(i) + 32) as u8;
        // Each half of 128 numbers has low nibbles in 64 bytes and two high bits in 32 bytes.
        let (half, quarter, l) = (i / 128, i % 128 / 32, i % 32);
        o[half * 64 + quarter % 2 * 32 + l] |= (q & 0xF) << (quarter / 2 * 4);
        o[128 + half * 32 + l] |= q >> 4 << (quarter * 2);
    }
    for (o, scale) in o[192..208].iter_mut().zip(scales) {
        *o = scale as u8;
    }
    o[208..].copy_from_slice(&d);
}

fn q3_k(b: &[u8; 110], o: &mut [u8; 210]) {
    q6_k([b[108], b[109]], k_quants::q3_k_scales(b), |i| k_quants::q3_k_number(b, i), o);
}

fn iq3_s(b: &[u8; 110], o: &mut [u8; 210]) {
    let scales = std::array::from_fn(|i| three::iq3_s_scale(b, i / 2) as i8);
    q6_k([b[0], b[1]], scales, |i| three::iq3_s_number(b, i), o);
}

fn iq4_nl(b: &[u8; 18], o: &mut [u8; 34]) {
    o[..2].copy_from_slice(&b[..2]);
    for (j, packed) in b[2..].iter().enumerate() {
        o[2 + j] = four::VALUES[usize::from(packed & 0xF)] as u8;
        o[18 + j] = four::VALUES[usize::from(packed >> 4)] as u8;
    }
}

/// Writes eight blocks of Q4_0 with the same scale.
fn ternary_to_q4_0(d: [u8; 2], numbers: &[i8; 256], o: &mut [u8; 144]) {
    for (o, numbers) in o.as_chunks_mut::<18>().0.iter_mut().zip(numbers.as_chunks::<32>().0) {
        o[..2].copy_from_slice(&d);
        for j in 0..16 {
            o[2 + j] = (numbers[j] + 8) as u8 | ((numbers[j + 16] + 8) as u8) << 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dequant::dequantize;
    use super::*;

    #[test]
    fn repacked_blocks_hold_the_same_bits() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for ty in GgmlType::ALL {
            let Some(equal) = equal_type(ty) else { continue };
            let blocks = 64;
            let mut data: Vec<u8> = (0..blocks * ty.block_bytes()).map(|_| next()).collect();
            let scale = match ty {
                GgmlType::IQ3_S | GgmlType::IQ4_NL => 1,
                _ => ty.block_bytes() - 1,
            };
            // Makes scales finite, of either sign, and some zero.
            for (i, block) in data.chunks_mut(ty.block_bytes()).enumerate() {
                block[scale] = if i % 8 == 0 { (i as u8 / 8 % 2) << 7 } else { block[scale] & 0xBF };
                block[scale - 1] = if i % 8 == 0 { 0 } else { block[scale - 1] };
            }
            let elements = blocks * ty.block_len();
            let mut packed = vec![0xFF; equal.bytes_for(elements).unwrap()];
            repack(ty, &data, &mut packed).unwrap();
            let (mut direct, mut by_relative) = (vec![0.0; elements], vec![1.0; elements]);
            dequantize(ty, &data, &mut direct).unwrap();
            dequantize(equal, &packed, &mut by_relative).unwrap();
            let differ = direct.iter().zip(&by_relative).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differ, None, "{ty}");
        }
    }

    #[test]
    fn wrong_lengths_and_types_are_refused() {
        assert!(repack(GgmlType::Q3_K, &[0; 109], &mut [0; 210]).is_err());
        assert!(repack(GgmlType::Q3_K, &[0; 110], &mut [0; 209]).is_err());
        assert!(repack(GgmlType::Q2_K, &[0; 84], &mut [0; 210]).is_err());
    }
}
