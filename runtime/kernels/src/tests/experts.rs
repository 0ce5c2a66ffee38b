use super::reference::{Noise, bits, weight};
use crate::{
    KernelError, Product, QuantType, ThreadPool, WeightMatrix, add_gated, clamped_swiglu_and_mul,
    combine_rows, gather_rows, linear_parts, linear_products,
};

#[test]
fn products_computed_together_have_the_bits_of_each_computed_alone() {
    for threads in [1, 3] {
        let pool = ThreadPool::new(threads).unwrap();
        for quant in QuantType::ALL {
            let unit = quant.block_len();
            // Group sizes as a router makes them: no, one, few and many rows, each group with its own matrix.
            let shapes = [(0, 24, 2), (1, 40, 1), (5, 8, 3), (33, 70, 1), (2, 24, 2)];
            let k = if unit == 1 { 801 } else { 3 * unit };
            let weights: Vec<WeightMatrix> =
                shapes.iter().enumerate().map(|(i, s)| weight(quant, s.1, k, i as u64)).collect();
            let inputs: Vec<Vec<f32>> =
                shapes.iter().enumerate().map(|(i, s)| Noise(90 + i as u64).floats(s.0 * k)).collect();
            let biases: Vec<Vec<f32>> = shapes.iter().map(|s| Noise(5).floats(s.1 * s.2)).collect();
            let alone: Vec<Vec<f32>> = (0..shapes.len())
                .map(|i| {
                    let mut out = vec![f32::NAN; shapes[i].0 * biases[i].len()];
                    let parts = vec![&weights[i]; shapes[i].2];
                    linear_parts(&pool, &inputs[i], &parts, Some(&biases[i]), &mut out).unwrap();
                    out
                })
                .collect();
            let mut together: Vec<Vec<f32>> = alone.iter().map(|out| vec![f32::NAN; out.len()]).collect();
            let mut products: Vec<Product<'_>> = together
                .iter_mut()
                .enumerate()
                .map(|(i, out)| Product {
                    x: &inputs[i],
                    parts: vec![&weights[i]; shapes[i].2],
                    bias: Some(&biases[i]),
                    out,
                })
                .collect();
            linear_products(&pool, &mut products).unwrap();
            for (a, b) in alone.iter().zip(&together) {
                assert_eq!(bits(a), bits(b), "{quant:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn a_product_that_does_not_fit_refuses_the_job() {
    let pool = ThreadPool::new(1).unwrap();
    let w = WeightMatrix::from_f32(2, 3, &[1.0; 6]).unwrap();
    let mut out = [0.0; 3];
    let mut products = [Product { x: &[1.0; 3], parts: vec![&w], bias: None, out: &mut out }];
    assert!(matches!(
        linear_products(&pool, &mut products),
        Err(KernelError::Length { got: 3, want: 2, .. })
    ));
}

#[test]
fn rows_are_gathered_in_order_and_combined_by_weight() {
    let pool = ThreadPool::new(2).unwrap();
    for (tokens, cols, k) in [(1, 1, 1), (3, 19, 2), (700, 96, 3)] {
        let x = Noise(1).floats(tokens * cols);
        let order: Vec<u32> = (0..tokens * k).map(|i| (i * 7 % tokens) as u32).collect();
        let mut gathered = vec![f32::NAN; order.len() * cols];
        gather_rows(&pool, &x, cols, &order, &mut gathered).unwrap();
        for (i, &row) in order.iter().enumerate() {
            let (got, want) = (&gathered[i * cols..][..cols], &x[row as usize * cols..][..cols]);
            assert_eq!(bits(got), bits(want));
        }
        let at: Vec<u32> = (0..tokens * k).map(|i| (i * 11 % order.len()) as u32).collect();
        let weights = Noise(2).floats(at.len());
        let mut out = vec![f32::NAN; tokens * cols];
        combine_rows(&pool, &gathered, cols, &at, &weights, &mut out).unwrap();
        for t in 0..tokens {
            for c in 0..cols {
                let want: f64 = (t * k..(t + 1) * k)
                    .map(|i| f64::from(weights[i]) * f64::from(gathered[at[i] as usize * cols + c]))
                    .sum();
                assert!((f64::from(out[t * cols + c]) - want).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn indices_of_rows_that_are_not_there_are_refused() {
    let pool = ThreadPool::new(1).unwrap();
    let mut out = [0.0; 2];
    assert!(gather_rows(&pool, &[1.0; 4], 2, &[2], &mut out).is_err());
    assert!(combine_rows(&pool, &[1.0; 4], 2, &[0, 2], &[1.0; 2], &mut out).is_err());
    assert!(combine_rows(&pool, &[1.0; 4], 2, &[0, 1], &[1.0], &mut out).is_err());
    combine_rows(&pool, &[1.0; 4], 2, &[], &[], &mut out).unwrap();
    assert_eq!(out, [0.0; 2]);
    combine_rows(&pool, &[], 2, &[], &[], &mut []).unwrap();
}

#[test]
fn a_gate_weighs_each_row_by_its_sigmoid() {
    let pool = ThreadPool::new(2).unwrap();
    let (rows, cols) = (300, 131);
    let (x, gate, before) =
        (Noise(3).floats(rows * cols), Noise(4).floats(rows), Noise(5).floats(rows * cols));
    let mut y = before.clone();
    add_gated(&pool, &x, &gate, &mut y).unwrap();
    for (i, y) in y.iter().enumerate() {
        let sigmoid = 1.0 / (1.0 + (-f64::from(gate[i / cols])).exp());
        let want = f64::from(before[i]) + sigmoid * f64::from(x[i]);
        assert!((f64::from(*y) - want).abs() < 1e-6);
    }
    assert!(add_gated(&pool, &x, &gate[1..], &mut y).is_err());
}

#[test]
fn the_clamped_activation_follows_its_formula_beyond_the_limit_too() {
    let pool = ThreadPool::new(2).unwrap();
    let (alpha, limit, width) = (1.702f32, 7.0f32, 37);
    let x: Vec<f32> = Noise(6).floats(2 * width * 50).iter().map(|v| v * 20.0).collect();
    let mut out = vec![f32::NAN; x.len() / 2];
    clamped_swiglu_and_mul(&pool, &x, width, alpha, limit, &mut out).unwrap();
    for (i, got) in out.iter().enumerate() {
        let row = &x[i / width * 2 * width..][..2 * width];
        let gate = f64::from(row[i % width].min(limit));
        let up = f64::from(row[width + i % width].clamp(-limit, limit));
        let want = gate / (1.0 + (-f64::from(alpha) * gate).exp()) * (up + 1.0);
        assert!((f64::from(*got) - want).abs() <= 2e-6 * (1.0 + want.abs()), "{got} {want}");
    }
    let mut one = [0.0];
    clamped_swiglu_and_mul(&pool, &[f32::NAN, 1.0], 1, alpha, limit, &mut one).unwrap();
    assert!(one[0].is_nan());
}
