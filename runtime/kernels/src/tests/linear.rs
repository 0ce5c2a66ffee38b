use proptest::prelude::*;

use super::reference::{Noise, assert_near, bits, dequantised, product, weight};
use crate::linear::linear_with;
use crate::{Isa, KernelError, QuantType, ThreadPool, WeightMatrix, linear, linear_parts};

#[test]
fn products_equal_the_float64_reference_for_every_format_size_and_instruction_set() {
    let pool = ThreadPool::new(2).unwrap();
    for quant in QuantType::ALL {
        let unit = quant.block_len();
        for k in [unit, 3 * unit, 1024usize.next_multiple_of(unit), if unit == 1 { 801 } else { 2304 }] {
            for (m, n) in [(1, 1), (1, 13), (2, 9), (5, 70), (65, 35)] {
                let w = weight(quant, n, k, 7);
                let x = Noise(8).floats(m * k);
                let bias = Noise(9).floats(n);
                let (want, size) = product(&x, &dequantised(&w), k, Some(&bias));
                for isa in Isa::available() {
                    let mut out = vec![f32::NAN; m * n];
                    linear_with(isa, &pool, &x, &[&w], Some(&bias), &mut out).unwrap();
                    assert_near(&out, &want, |i| size[i], 2e-6);
                }
            }
        }
    }
}

#[test]
fn quantised_weights_give_the_bits_of_their_float32_values() {
    let pool = ThreadPool::new(1).unwrap();
    for quant in QuantType::ALL {
        let w = weight(quant, 20, 1024, 2);
        let plain = WeightMatrix::from_f32(20, 1024, &dequantised(&w)).unwrap();
        for m in [1, 2, 7, 50] {
            let x = Noise(3).floats(m * 1024);
            let (mut a, mut b) = (vec![0.0; m * 20], vec![0.0; m * 20]);
            linear(&pool, &x, &w, None, &mut a).unwrap();
            linear(&pool, &x, &plain, None, &mut b).unwrap();
            assert_eq!(bits(&a), bits(&b), "{quant:?}, {m} rows");
        }
    }
}

#[test]
fn portable_code_gives_the_bits_of_avx2() {
    let Some(avx2) = Isa::available().into_iter().find(|i| i.name() == "avx2") else { return };
    let portable = Isa::available()[0];
    let pool = ThreadPool::new(1).unwrap();
    for quant in QuantType::ALL {
        let w = weight(quant, 11, 1280, 2);
        let x = Noise(3).floats(5 * 1280);
        let (mut a, mut b) = (vec![0.0; 55], vec![0.0; 55]);
        linear_with(avx2, &pool, &x, &[&w], None, &mut a).unwrap();
        linear_with(portable, &pool, &x, &[&w], None, &mut b).unwrap();
        assert_eq!(bits(&a), bits(&b), "{quant:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_row_has_the_same_bits_alone_and_anywhere_in_any_batch_with_any_number_of_threads(
        quant in prop::sample::select(QuantType::ALL.to_vec()),
        m in 1usize..70,
        n in 1usize..90,
        blocks in 1usize..6,
        odd in 0usize..9,
        threads in 1usize..4,
        seed in any::<u64>(),
    ) {
        let k = if quant.block_len() == 1 { blocks * 211 + odd } else { blocks * quant.block_len() };
        let w = weight(quant, n, k, seed);
        let x = Noise(seed ^ 1).floats(m * k);
        let bias = Noise(seed ^ 2).floats(n);
        let (one, many) = (ThreadPool::new(1).unwrap(), ThreadPool::new(threads).unwrap());
        for isa in Isa::available().into_iter().skip(1) {
            let mut batch = vec![0.0; m * n];
            linear_with(isa, &many, &x, &[&w], Some(&bias), &mut batch).unwrap();
            for (x, batch) in x.chunks_exact(k).zip(batch.chunks_exact(n)) {
                let mut alone = vec![0.0; n];
                linear_with(isa, &one, x, &[&w], Some(&bias), &mut alone).unwrap();
                prop_assert_eq!(bits(batch), bits(&alone));
            }
        }
    }
}

#[test]
fn stacked_parts_of_different_storage_give_their_columns_side_by_side() {
    let pool = ThreadPool::new(2).unwrap();
    let parts = [
        weight(QuantType::Q4_1, 9, 256, 1),
        weight(QuantType::F32, 1, 256, 2),
        weight(QuantType::Q6_K, 30, 256, 3),
    ];
    let x = Noise(4).floats(3 * 256);
    let bias = Noise(5).floats(40);
    let mut out = vec![0.0; 3 * 40];
    linear_parts(&pool, &x, &parts.each_ref(), Some(&bias), &mut out).unwrap();
    let mut first = 0;
    for part in &parts {
        let n = part.rows();
        let mut alone = vec![0.0; 3 * n];
        linear(&pool, &x, part, Some(&bias[first..first + n]), &mut alone).unwrap();
        for (row, alone) in out.chunks_exact(40).zip(alone.chunks_exact(n)) {
            assert_eq!(&row[first..first + n], alone);
        }
        first += n;
    }
    let other = weight(QuantType::F32, 1, 128, 2);
    let error = linear_parts(&pool, &x, &[&parts[0], &other], None, &mut out).unwrap_err();
    assert!(matches!(error, KernelError::Value { got: 128, .. }));
}

#[test]
fn a_nan_spoils_its_own_row_only() {
    let pool = ThreadPool::new(2).unwrap();
    let w = weight(QuantType::Q4_1, 12, 96, 1);
    let mut x = Noise(4).floats(7 * 96);
    x[2 * 96 + 95] = f32::NAN;
    let mut out = vec![0.0; 7 * 12];
    linear(&pool, &x, &w, None, &mut out).unwrap();
    for (i, row) in out.chunks_exact(12).enumerate() {
        assert!(row.iter().all(|v| v.is_nan() == (i == 2)), "row {i}");
    }
}

#[test]
fn no_tokens_are_no_work_and_wrong_lengths_are_named() {
    let pool = ThreadPool::new(2).unwrap();
    let w = weight(QuantType::F32, 3, 4, 1);
    linear(&pool, &[], &w, None, &mut []).unwrap();
    let error = linear(&pool, &[0.0; 5], &w, None, &mut [0.0; 3]).unwrap_err();
    assert!(error.to_string().contains("the input of linear holds 5 values where 4"), "{error}");
    let error = linear(&pool, &[0.0; 8], &w, None, &mut [0.0; 3]).unwrap_err();
    assert!(error.to_string().contains("the output of linear holds 3 values where 6"), "{error}");
    let error = linear(&pool, &[0.0; 4], &w, Some(&[0.0; 2]), &mut [0.0; 3]).unwrap_err();
    assert!(error.to_string().contains("the bias of linear"), "{error}");
}
