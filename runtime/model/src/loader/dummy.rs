//! Random weights of the right shape, for benchmarks. The same name and shape give the same weights on every machine.

/// Little-endian float32 values. Matrices are uniformly distributed with variance `1 / columns`, so that activations
/// keep their size; norm weights are ones and biases zeros.
pub(super) fn random_values(name: &str, shape: &[usize]) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut out = Vec::with_capacity(count * 4);
    let [_, .., columns] = shape else {
        let value: f32 = if name.ends_with("bias") { 0.0 } else { 1.0 };
        out.extend(std::iter::repeat_n(value.to_le_bytes(), count).flatten());
        return out;
    };
    // FNV-1a of the name, then xorshift64* (Vigna, 2014).
    let mut state =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
            | 1;
    let scale = (3.0 / *columns as f32).sqrt();
    for _ in 0..count {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        let unit = bits as f32 / (1_u32 << 23) as f32 - 1.0;
        out.extend_from_slice(&(unit * scale).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(name: &str, shape: &[usize]) -> Vec<f32> {
        random_values(name, shape)
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn matrices_keep_the_variance_of_what_they_multiply() {
        let values = floats("model.layers.0.mlp.up_proj.weight", &[200, 300]);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 1e-3 && (variance * 300.0 - 1.0).abs() < 0.02, "{mean} {variance}");
        assert_eq!(values, floats("model.layers.0.mlp.up_proj.weight", &[200, 300]));
        assert_ne!(values, floats("model.layers.1.mlp.up_proj.weight", &[200, 300]));
    }

    #[test]
    fn norms_are_ones_and_biases_zeros() {
        assert_eq!(floats("model.norm.weight", &[3]), [1.0; 3]);
        assert_eq!(floats("model.layers.0.self_attn.q_proj.bias", &[2]), [0.0; 2]);
    }
}
