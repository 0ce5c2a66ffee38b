use super::reference::{Noise, assert_near, bits};
use crate::*;

fn pool() -> ThreadPool {
    ThreadPool::new(2).unwrap()
}

#[test]
fn rms_norm_equals_the_reference_for_any_width_and_many_rows() {
    for (rows, cols) in [(1, 1), (3, 7), (2, 64), (5, 100), (300, 576)] {
        let x = Noise(1).floats(rows * cols);
        let w = Noise(2).floats(cols);
        let mut out = vec![0.0; x.len()];
        rms_norm(&pool(), &x, &w, 1e-5, &mut out).unwrap();
        let want: Vec<f64> = x
            .chunks_exact(cols)
            .flat_map(|x| {
                let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / cols as f64;
                x.iter()
                    .zip(&w)
                    .map(move |(&x, &w)| f64::from(x) / (mean + 1e-5).sqrt() * f64::from(w))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_near(&out, &want, |i| want[i].abs() + 1e-6, 2e-6);
    }
    rms_norm(&pool(), &[], &[1.0], 1e-5, &mut []).unwrap();
    assert!(rms_norm(&pool(), &[0.0; 5], &[1.0; 2], 1e-5, &mut [0.0; 5]).is_err());
    assert!(rms_norm(&pool(), &[0.0; 5], &[], 1e-5, &mut [0.0; 5]).is_err());
}

#[test]
fn the_fused_norm_is_an_addition_and_the_plain_norm_and_does_not_depend_on_the_batch() {
    let (rows, cols) = (90, 576);
    let (x, r) = (Noise(1).floats(rows * cols), Noise(3).floats(rows * cols));
    let w = Noise(2).floats(cols);
    let mut residual = r.clone();
    let mut out = vec![0.0; x.len()];
    fused_add_rms_norm(&pool(), &x, &mut residual, &w, 1e-6, &mut out).unwrap();
    let sum: Vec<f32> = x.iter().zip(&r).map(|(x, r)| r + x).collect();
    assert_eq!(bits(&residual), bits(&sum));
    for (sum, out) in sum.chunks_exact(cols).zip(out.chunks_exact(cols)) {
        let mut alone = vec![0.0; cols];
        rms_norm(&pool(), sum, &w, 1e-6, &mut alone).unwrap();
        assert_eq!(bits(out), bits(&alone));
    }
}

#[test]
fn head_norms_touch_only_the_columns_of_their_matrix() {
    let (rows, stride, heads, dim) = (4, 50, 3, 12);
    let before = Noise(1).floats(rows * stride);
    let w = Noise(2).floats(dim);
    let mut x = before.clone();
    let len = (rows - 1) * stride + heads * dim;
    rms_norm_heads(
        &pool(),
        RowsMut::strided(&mut x[5..5 + len], rows, heads * dim, stride).unwrap(),
        &w,
        1e-6,
    )
    .unwrap();
    for (t, (row, old)) in x.chunks_exact(stride).zip(before.chunks_exact(stride)).enumerate() {
        assert_eq!((&row[..5], &row[5 + heads * dim..]), (&old[..5], &old[5 + heads * dim..]), "row {t}");
        for h in 0..heads {
            let mut want = vec![0.0; dim];
            rms_norm(&pool(), &old[5 + h * dim..5 + (h + 1) * dim], &w, 1e-6, &mut want).unwrap();
            assert_eq!(bits(&row[5 + h * dim..5 + (h + 1) * dim]), bits(&want));
        }
    }
}

#[test]
fn gated_activations_equal_the_reference_from_the_smallest_to_the_largest_gates() {
    for d in [1, 8, 13, 1536] {
        let mut x = Noise(1).floats(20 * 2 * d);
        for (i, x) in x.iter_mut().enumerate() {
            *x *= [1.0, 10.0, 100.0, 1e-4][i % 4];
        }
        let reference = |gate: &dyn Fn(f64) -> f64| -> Vec<f64> {
            x.chunks_exact(2 * d)
                .flat_map(|r| (0..d).map(|i| gate(f64::from(r[i])) * f64::from(r[d + i])).collect::<Vec<_>>())
                .collect()
        };
        let mut out = vec![0.0; 20 * d];
        silu_and_mul(&pool(), &x, d, &mut out).unwrap();
        let want = reference(&|g| g / (1.0 + (-g).exp()));
        // If the exponential overflows float32, the product is 0 instead of something below 1e-34.
        assert_near(&out, &want, |i| want[i].abs() + 1e-28, 1e-6);
        gelu_tanh_and_mul(&pool(), &x, d, &mut out).unwrap();
        // The reference uses the sigmoid form: one plus a tanh near minus one would lose its own digits.
        let want = reference(&|g| {
            g / (1.0 + (-2.0 * (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g * g * g)).exp())
        });
        assert_near(&out, &want, |i| want[i].abs() + 1e-7, 2e-5);
    }
    assert!(silu_and_mul(&pool(), &[0.0; 6], 2, &mut [0.0; 3]).is_err());
    assert!(silu_and_mul(&pool(), &[0.0; 6], 0, &mut []).is_err());
    silu_and_mul(&pool(), &[], 3, &mut []).unwrap();
    let mut out = [0.0; 2];
    silu_and_mul(&pool(), &[f32::NAN, f32::NEG_INFINITY, 1.0, 1.0], 2, &mut out).unwrap();
    assert!(out[0].is_nan());
}

#[test]
fn neox_rotary_rotates_split_half_pairs_and_leaves_the_rest() {
    let (heads, dim, half, stride) = (3, 20, 6, 70);
    let angles = Noise(1).floats(10 * half);
    let cos: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
    let sin: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
    let table = RotaryTable::new(&cos, &sin, half).unwrap();
    let before = Noise(2).floats(4 * stride);
    let positions = [9u32, 0, 3, 3];
    let mut x = before.clone();
    rotary_neox(
        &pool(),
        RowsMut::strided(&mut x, 4, heads * dim, stride).unwrap(),
        dim,
        &table,
        Some(&positions),
    )
    .unwrap();
    for (i, (&got, &old)) in x.iter().zip(&before).enumerate() {
        let (t, c) = (i / stride, i % stride);
        let j = c % dim;
        let want = if c >= heads * dim || j >= 2 * half {
            old
        } else {
            let a = positions[t] as usize * half + j % half;
            if j < half {
                old * cos[a] - before[i + half] * sin[a]
            } else {
                old * cos[a] + before[i - half] * sin[a]
            }
        };
        assert_eq!(got.to_bits(), want.to_bits(), "row {t} column {c}");
    }
    let mut by_row = before[..stride].to_vec();
    let mut by_position = by_row.clone();
    rotary_neox(&pool(), RowsMut::dense(&mut by_row[..60], 1, 60).unwrap(), dim, &table, None).unwrap();
    rotary_neox(&pool(), RowsMut::dense(&mut by_position[..60], 1, 60).unwrap(), dim, &table, Some(&[0]))
        .unwrap();
    assert_eq!(by_row, by_position);
    let bad = rotary_neox(&pool(), RowsMut::dense(&mut x[..60], 1, 60).unwrap(), dim, &table, Some(&[10]))
        .unwrap_err();
    assert!(bad.to_string().contains("position is 10, not below the 10 rows"), "{bad}");
    assert!(
        rotary_neox(&pool(), RowsMut::dense(&mut x[..60], 1, 60).unwrap(), 10, &table, Some(&[1])).is_err()
    );
}

#[test]
fn argmax_takes_the_first_of_equals_and_reports_nan() {
    assert_eq!(argmax(&[]), None);
    for n in [1usize, 5, 32, 33, 49152] {
        let mut row = Noise(n as u64).floats(n);
        let last = n - 1;
        row[last] = 3.0;
        row[n / 2] = 3.0;
        assert_eq!(argmax(&row), Some(Argmax { index: n / 2, value: 3.0, has_nan: false }));
    }
    let got = argmax(&[f32::NAN, 1.0, 2.0, 2.0]).unwrap();
    assert_eq!((got.index, got.has_nan), (2, true));
    let mut long = vec![0.5; 100];
    long[40] = f32::NAN;
    assert!(argmax(&long).unwrap().has_nan);
    assert_eq!(argmax(&[f32::NAN]).unwrap().index, 0);
}

#[test]
fn overlapping_or_missing_rows_are_refused() {
    assert!(Rows::strided(&[0.0; 10], 3, 4, 3).is_err());
    assert!(Rows::strided(&[0.0; 9], 3, 2, 4).is_err());
    assert_eq!(Rows::strided(&[0.0; 10], 3, 2, 4).unwrap().row(2).len(), 2);
    assert!(Rows::strided(&[0.0; 10], 3, 2, 4).unwrap().row(3).is_empty());
    assert!(Rows::strided(&[], usize::MAX, 2, usize::MAX).is_err());
    assert!(Rows::dense(&[0.0; 10], 3, 3).is_err());
}
