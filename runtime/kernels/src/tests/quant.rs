use std::sync::Arc;

use super::reference::{bits, dequantised, weight};
use crate::embedding::Lookup;
use crate::simd::dispatch;
use crate::{Isa, KernelError, QuantType, ThreadPool, WeightMatrix, embedding};

#[test]
fn every_format_dequantises_to_the_numbers_of_its_definition_on_every_instruction_set() {
    for quant in QuantType::ALL {
        let w = weight(quant, 5, 768, 11);
        let want = dequantised(&w);
        for isa in Isa::available() {
            for (row, want) in w.bytes().chunks_exact(w.row_bytes()).zip(want.chunks_exact(768)) {
                let mut out = vec![0.0; 768];
                dispatch(isa, Lookup { quant, row, out: &mut out });
                assert_eq!(bits(&out), bits(want), "{quant:?} with {}", isa.name());
            }
        }
    }
}

#[test]
fn float_rows_of_odd_length_are_read_to_their_end_and_no_further() {
    for quant in [QuantType::F32, QuantType::F16, QuantType::BF16] {
        for cols in [1, 7, 8, 9, 15, 17, 31] {
            let w = weight(quant, 3, cols, 5);
            for isa in Isa::available() {
                for (row, want) in
                    w.bytes().chunks_exact(w.row_bytes()).zip(dequantised(&w).chunks_exact(cols))
                {
                    let mut out = vec![9.0; cols];
                    dispatch(isa, Lookup { quant, row, out: &mut out });
                    assert_eq!(bits(&out), bits(want));
                }
            }
        }
    }
}

#[test]
fn embedding_gives_the_rows_of_the_ids_in_order() {
    let pool = ThreadPool::new(2).unwrap();
    for quant in [QuantType::Q4_1, QuantType::F32] {
        let w = weight(quant, 300, 256, 3);
        let all = dequantised(&w);
        let ids: Vec<u32> = (0..400).map(|i| i * 7 % 300).collect();
        let mut out = vec![0.0; 400 * 256];
        embedding(&pool, &w, &ids, &mut out).unwrap();
        for (id, row) in ids.iter().zip(out.chunks_exact(256)) {
            assert_eq!(row, &all[*id as usize * 256..][..256]);
        }
        embedding(&pool, &w, &[], &mut []).unwrap();
        let error = embedding(&pool, &w, &[0, 300], &mut out[..512]).unwrap_err();
        assert!(error.to_string().contains("token id is 300, not below the 300 rows"), "{error}");
    }
}

#[test]
fn a_weight_whose_bytes_do_not_fit_its_shape_is_refused() {
    let make = |quant, rows, cols, len: usize| {
        WeightMatrix::from_bytes(quant, rows, cols, Arc::new(vec![0u8; len]), 0..len)
    };
    assert!(make(QuantType::Q4_1, 2, 64, 80).is_ok());
    assert!(matches!(make(QuantType::Q4_1, 2, 64, 81), Err(KernelError::Length { got: 81, want: 80, .. })));
    assert!(matches!(make(QuantType::Q4_1, 2, 48, 60), Err(KernelError::Value { got: 48, .. })));
    assert!(matches!(make(QuantType::Q6_K, 1, 128, 105), Err(KernelError::Value { .. })));
    assert!(make(QuantType::F32, 4, 0, 0).is_err());
    assert!(make(QuantType::F32, usize::MAX, 2, 0).is_err());
    assert!(WeightMatrix::from_bytes(QuantType::F32, 1, 2, Arc::new(vec![0u8; 8]), 4..12).is_err());
}

#[test]
fn a_slice_of_rows_is_those_rows() {
    let w = weight(QuantType::Q8_0, 10, 64, 1);
    let part = w.slice_rows(3..7).unwrap().slice_rows(1..3).unwrap();
    assert_eq!((part.rows(), part.cols()), (2, 64));
    assert_eq!(dequantised(&part), &dequantised(&w)[4 * 64..6 * 64]);
    assert!(w.slice_rows(3..11).is_err());
}
