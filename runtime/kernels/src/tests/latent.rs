//! The parts of multi-head latent attention: values inside the keys, a matrix per head, interleaved rotation.

use half::{bf16, f16};

use super::attention::Case;
use super::reference::{Noise, assert_near, bits, dequantised, product, weight};
use crate::*;

const LENS: [(usize, usize); 5] = [(1, 1), (5, 5), (1, 700), (20, 150), (70, 70)];

#[test]
fn values_in_the_keys_equal_the_float64_reference_for_every_head_count_and_instruction_set() {
    // DeepSeek-V2-Lite's sizes, heads in several tasks, and sizes that are not whole vectors.
    for (heads, kv_heads, dim, values) in
        [(16, 1, 576, 512), (50, 1, 40, 32), (130, 2, 24, 24), (7, 1, 31, 19), (3, 1, 64, 61)]
    {
        let case = Case::new(heads, kv_heads, dim, &LENS, 3).with_values_of_keys(values);
        let options = AttentionOptions::causal(1.0 / (dim as f32).sqrt());
        let want = case.reference(&options, &case.k, &case.v);
        for isa in Isa::available() {
            assert_near(&case.run(isa, 3, &options), &want, |_| 2.0, 1e-5);
        }
    }
}

#[test]
fn half_precision_latents_are_read_as_the_numbers_they_hold() {
    let case = Case::new(5, 1, 40, &LENS, 5).with_values_of_keys(28);
    let options = AttentionOptions::causal(0.125);
    let half: Vec<f16> = case.k.iter().map(|&x| f16::from_f32(x)).collect();
    let brain: Vec<bf16> = case.k.iter().map(|&x| bf16::from_f32(x)).collect();
    let (wide_half, wide_brain): (Vec<f32>, Vec<f32>) =
        (half.iter().map(|x| x.to_f32()).collect(), brain.iter().map(|x| x.to_f32()).collect());
    for isa in Isa::available() {
        for (k, wide) in [(KvSlice::F16(&half), &wide_half), (KvSlice::BF16(&brain), &wide_brain)] {
            let kv = PagedKv { k, ..case.kv() };
            let want = case.reference(&options, wide, &[]);
            assert_near(&case.run_with(isa, 2, &options, &kv), &want, |_| 2.0, 1e-5);
        }
    }
}

#[test]
fn latents_are_stored_in_their_slots_and_impossible_values_are_refused() {
    let layout = KvLayout { slots: 5, kv_heads: 1, head_dim: 3 };
    let data = Noise(1).floats(2 * 7);
    let rows = Rows::strided(&data[..], 2, 3, 7).unwrap();
    let mut cache = vec![0.0; 15];
    store_latent(rows, &[4, 1], layout, &mut KvSliceMut::F32(&mut cache)).unwrap();
    assert_eq!((&cache[12..], &cache[3..6]), (&data[..3], &data[7..10]));
    assert!(cache[..3].iter().chain(&cache[6..12]).all(|&x| x == 0.0));
    let error = store_latent(rows, &[5, 1], layout, &mut KvSliceMut::F32(&mut cache)).unwrap_err();
    assert!(error.to_string().contains("slot is 5, not below the 5 slots"), "{error}");
    let pool = ThreadPool::new(1).unwrap();
    for columns in [0, 4] {
        let kv = PagedKv { layout, k: KvSlice::F32(&cache), v: Values::OfKeys(columns) };
        let (q, options) = (Rows::dense(&data[..6], 1, 6).unwrap(), AttentionOptions::causal(1.0));
        let error = paged_attention(&pool, q, 2, &kv, &[], &options, &mut []).unwrap_err();
        assert!(error.to_string().contains("columns of the values"), "{error}");
    }
}

#[test]
fn every_heads_product_has_the_bits_of_the_product_alone_and_equals_float64() {
    let (heads, n, gap) = (3, 21, 5);
    for quant in [QuantType::F32, QuantType::BF16, QuantType::Q8_0, QuantType::Q6_K] {
        let k = if quant.block_len() == 1 { 37 } else { quant.block_len() };
        let weights: Vec<WeightMatrix> = (0..heads).map(|h| weight(quant, n, k, 40 + h as u64)).collect();
        let from = HeadColumns { stride: heads * (k + gap) + 2, step: k + gap };
        let to = HeadColumns { stride: heads * (n + 1), step: n + 1 };
        for m in [1, 3, 50] {
            let x = Noise(2).floats(m * from.stride);
            let mut out = vec![7.0; m * to.stride];
            let pool = ThreadPool::new(2).unwrap();
            linear_heads(&pool, m, (&x, from), &weights, (&mut out, to)).unwrap();
            for (h, weight) in weights.iter().enumerate() {
                let columns: Vec<f32> =
                    x.chunks_exact(from.stride).flat_map(|row| row[h * from.step..][..k].to_vec()).collect();
                let found: Vec<f32> =
                    out.chunks_exact(to.stride).flat_map(|row| row[h * to.step..][..n].to_vec()).collect();
                let mut alone = vec![0.0; m * n];
                linear(&pool, &columns, weight, None, &mut alone).unwrap();
                assert_eq!(bits(&found), bits(&alone), "{quant:?}, head {h} of {m} rows");
                let (want, size) = product(&columns, &dequantised(weight), k, None);
                assert_near(&found, &want, |i| size[i], 2e-6);
            }
            let gaps = out.iter().enumerate().filter(|(i, _)| i % to.step == n);
            assert!(gaps.clone().count() == m * heads && gaps.into_iter().all(|(_, x)| *x == 7.0));
        }
    }
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let pool = ThreadPool::new(1).unwrap();
    let weights = [weight(QuantType::F32, 4, 3, 1), weight(QuantType::F32, 4, 3, 2)];
    let (from, to) = (HeadColumns::dense(2, 3), HeadColumns::dense(2, 4));
    let mut out = [0.0; 8];
    let mut refused = |x: &[f32], from, weights: &[WeightMatrix], to, text: &str| {
        let error = linear_heads(&pool, 1, (x, from), weights, (&mut out, to)).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(&[0.0; 5], from, &weights, to, "the input of linear_heads");
    refused(&[0.0; 6], HeadColumns { stride: 6, step: 2 }, &weights, to, "columns from one head to the next");
    refused(&[0.0; 6], from, &weights, HeadColumns { stride: 7, step: 4 }, "within 7 columns");
    let other = [weights[0].clone(), weight(QuantType::F32, 4, 2, 1)];
    refused(&[0.0; 6], from, &other, to, "columns of a head's weight is 2");
    linear_heads(&pool, 0, (&[], from), &weights, (&mut [], to)).unwrap();
}

#[test]
fn interleaved_rotary_rotates_neighbours_in_the_given_columns() {
    let (heads, head_dim, first, half) = (2, 13, 4, 3);
    let angles = Noise(1).floats(5 * half);
    let cos: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
    let sin: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
    let table = RotaryTable::new(&cos, &sin, half).unwrap();
    let before = Noise(2).floats(5 * heads * head_dim);
    let pool = ThreadPool::new(1).unwrap();
    for interleaved in [true, false] {
        let mut x = before.clone();
        let rows = RowsMut::dense(&mut x, 5, heads * head_dim).unwrap();
        rotary(&pool, rows, RotaryColumns { head_dim, first, interleaved }, &table, None).unwrap();
        for (i, &old) in before.iter().enumerate() {
            let (t, c) = (i / (heads * head_dim), i % head_dim);
            let want = if c < first || c >= first + 2 * half {
                old
            } else {
                let j = c - first;
                let (pair, is_second, distance) =
                    if interleaved { (j / 2, j % 2 == 1, 1) } else { (j % half, j >= half, half) };
                let a = t * half + pair;
                if is_second {
                    old * cos[a] + before[i - distance] * sin[a]
                } else {
                    old * cos[a] - before[i + distance] * sin[a]
                }
            };
            assert!((x[i] - want).abs() <= 1e-6, "row {t} column {c}: {} for {want}", x[i]);
        }
    }
    let mut x = before.clone();
    let rows = RowsMut::dense(&mut x, 5, heads * head_dim).unwrap();
    let columns = RotaryColumns { head_dim, first: 8, interleaved: true };
    let error = rotary(&pool, rows, columns, &table, None).unwrap_err().to_string();
    assert!(error.contains("head dimension is 13, not a divisor of 26 columns, at least 14"), "{error}");
}
