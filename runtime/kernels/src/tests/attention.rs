//! Attention against softmax in float64.

use half::{bf16, f16};

use super::reference::{Noise, assert_near};
use crate::attention::attention_with;
use crate::*;

/// A pool and its requests, in shuffled slots.
pub(super) struct Case {
    pub layout: KvLayout,
    pub heads: usize,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub tables: Vec<Vec<u32>>,
    /// Queries and positions of each request.
    pub lens: Vec<(usize, usize)>,
    pub q: Vec<f32>,
    /// Columns of the keys that are the values; `None` if the values are in `v`.
    pub value_columns: Option<usize>,
}

impl Case {
    pub(super) fn new(
        heads: usize,
        kv_heads: usize,
        head_dim: usize,
        lens: &[(usize, usize)],
        seed: u64,
    ) -> Self {
        let mut noise = Noise(seed);
        let slots: usize = lens.iter().map(|l| l.1).sum::<usize>() + 3;
        let mut free: Vec<u32> = (0..slots as u32).collect();
        for i in (1..slots).rev() {
            free.swap(i, noise.bits() as usize % (i + 1));
        }
        let tables = lens.iter().map(|l| free.split_off(free.len() - l.1)).collect();
        let layout = KvLayout { slots, kv_heads, head_dim };
        let rows: usize = lens.iter().map(|l| l.0).sum();
        Self {
            layout,
            heads,
            k: noise.floats(layout.len()).iter().map(|x| x * 2.0).collect(),
            v: noise.floats(layout.len()),
            tables,
            lens: lens.to_vec(),
            q: noise.floats(rows * heads * head_dim).iter().map(|x| x * 2.0).collect(),
            value_columns: None,
        }
    }

    /// Makes the first columns of the keys the values.
    pub(super) fn with_values_of_keys(self, columns: usize) -> Self {
        Self { value_columns: Some(columns), ..self }
    }

    /// Columns of the output.
    pub(super) fn out_cols(&self) -> usize {
        self.heads * self.kv().value_dim()
    }

    pub(super) fn requests(&self) -> Vec<AttentionRequest<'_>> {
        let mut q_start = 0;
        let request = |(&(q_len, seq_len), slots): (&(usize, usize), &'_ Vec<u32>)| {
            q_start += q_len;
            (q_start - q_len, q_len, seq_len, slots as *const Vec<u32>)
        };
        let starts: Vec<_> = self.lens.iter().zip(&self.tables).map(request).collect();
        starts
            .iter()
            .zip(&self.tables)
            .map(|(&(q_start, q_len, seq_len, _), slots)| AttentionRequest { q_start, q_len, seq_len, slots })
            .collect()
    }

    pub(super) fn kv(&self) -> PagedKv<'_> {
        let v = self.value_columns.map_or(Values::Own(KvSlice::F32(&self.v)), Values::OfKeys);
        PagedKv { layout: self.layout, k: KvSlice::F32(&self.k), v }
    }

    pub(super) fn run(&self, isa: Isa, threads: usize, options: &AttentionOptions<'_>) -> Vec<f32> {
        self.run_with(isa, threads, options, &self.kv())
    }

    pub(super) fn run_with(
        &self,
        isa: Isa,
        threads: usize,
        options: &AttentionOptions<'_>,
        kv: &PagedKv<'_>,
    ) -> Vec<f32> {
        let width = self.heads * self.layout.head_dim;
        let rows = self.q.len() / width;
        let mut out = vec![f32::NAN; rows * self.out_cols()];
        let q = Rows::dense(&self.q, rows, width).unwrap();
        let pool = ThreadPool::new(threads).unwrap();
        attention_with(isa, &pool, q, self.heads, kv, &self.requests(), options, &mut out).unwrap();
        out
    }

    /// The whole output, computed in float64.
    pub(super) fn reference(&self, o: &AttentionOptions<'_>, k: &[f32], v: &[f32]) -> Vec<f64> {
        let (dim, kv_heads) = (self.layout.head_dim, self.layout.kv_heads);
        let v = if self.value_columns.is_some() { k } else { v };
        let mut out = Vec::new();
        for r in self.requests() {
            for t in 0..r.q_len {
                let position = r.seq_len - r.q_len + t;
                for h in 0..self.heads {
                    let kv_head = h / (self.heads / kv_heads);
                    let q = &self.q[((r.q_start + t) * self.heads + h) * dim..][..dim];
                    let row = |p: usize, x: &[f32]| -> Vec<f64> {
                        let at = (r.slots[p] as usize * kv_heads + kv_head) * dim;
                        x[at..at + dim].iter().map(|&x| f64::from(x)).collect()
                    };
                    let seen: Vec<usize> = (0..r.seq_len)
                        .filter(|&p| !o.causal || p <= position)
                        .filter(|&p| o.sliding_window.is_none_or(|w| p + w > position))
                        .collect();
                    let scores: Vec<f64> = seen
                        .iter()
                        .map(|&p| {
                            let s: f64 = q.iter().zip(row(p, k)).map(|(&q, k)| f64::from(q) * k).sum();
                            let s = s * f64::from(o.scale);
                            o.logit_cap.map_or(s, |c| f64::from(c) * (s / f64::from(c)).tanh())
                        })
                        .collect();
                    let sink = o.sinks.map(|s| f64::from(s[h]));
                    let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().copied().chain(sink).map(|s| (s - max).exp()).sum();
                    let mut sums = vec![0.0; self.value_columns.unwrap_or(dim)];
                    for (&p, s) in seen.iter().zip(&scores) {
                        for (sum, v) in sums.iter_mut().zip(row(p, v)) {
                            *sum += (s - max).exp() / total * v;
                        }
                    }
                    out.extend(sums);
                }
            }
        }
        out
    }
}

const LENS: [(usize, usize); 6] = [(1, 1), (5, 5), (1, 64), (1, 700), (70, 200), (130, 130)];

#[test]
fn attention_equals_the_float64_reference_for_every_head_size_and_instruction_set() {
    for (heads, kv_heads, dim) in [(9, 3, 64), (4, 4, 80), (8, 1, 96), (2, 1, 128), (3, 3, 13)] {
        let case = Case::new(heads, kv_heads, dim, &LENS, 3);
        let options = AttentionOptions::causal(1.0 / (dim as f32).sqrt());
        let want = case.reference(&options, &case.k, &case.v);
        for isa in Isa::available() {
            assert_near(&case.run(isa, 2, &options), &want, |_| 1.0, 1e-5);
        }
    }
}

#[test]
fn windows_caps_sinks_and_full_attention_equal_the_reference_alone_and_together() {
    let case = Case::new(6, 2, 64, &LENS, 4);
    let sinks = [0.5, -1.0, 3.0, 0.0, 8.0, -40.0];
    let plain = AttentionOptions::causal(0.2);
    for options in [
        AttentionOptions { sliding_window: Some(1), ..plain },
        AttentionOptions { sliding_window: Some(64), ..plain },
        AttentionOptions { sliding_window: Some(65), ..plain },
        AttentionOptions { sliding_window: Some(100_000), ..plain },
        AttentionOptions { logit_cap: Some(5.0), ..plain },
        AttentionOptions { logit_cap: Some(500.0), ..plain },
        AttentionOptions { sinks: Some(&sinks), ..plain },
        AttentionOptions { causal: false, ..plain },
        AttentionOptions { causal: false, sliding_window: Some(20), ..plain },
        AttentionOptions { sliding_window: Some(90), logit_cap: Some(3.0), sinks: Some(&sinks), ..plain },
    ] {
        let want = case.reference(&options, &case.k, &case.v);
        for isa in Isa::available() {
            assert_near(&case.run(isa, 3, &options), &want, |_| 1.0, 1e-5);
        }
    }
}

#[test]
fn half_precision_pools_are_read_as_the_numbers_they_hold() {
    let case = Case::new(6, 2, 64, &LENS, 5);
    let options = AttentionOptions::causal(0.125);
    let (hk, hv): (Vec<f16>, Vec<f16>) = (
        case.k.iter().map(|&x| f16::from_f32(x)).collect(),
        case.v.iter().map(|&x| f16::from_f32(x)).collect(),
    );
    let (bk, bv): (Vec<bf16>, Vec<bf16>) = (
        case.k.iter().map(|&x| bf16::from_f32(x)).collect(),
        case.v.iter().map(|&x| bf16::from_f32(x)).collect(),
    );
    let widen = |x: &[f16]| x.iter().map(|x| x.to_f32()).collect::<Vec<_>>();
    let widen_b = |x: &[bf16]| x.iter().map(|x| x.to_f32()).collect::<Vec<_>>();
    for isa in Isa::available() {
        let kv = PagedKv { layout: case.layout, k: KvSlice::F16(&hk), v: Values::Own(KvSlice::F16(&hv)) };
        let want = case.reference(&options, &widen(&hk), &widen(&hv));
        assert_near(&case.run_with(isa, 2, &options, &kv), &want, |_| 1.0, 1e-5);
        let kv = PagedKv { layout: case.layout, k: KvSlice::BF16(&bk), v: Values::Own(KvSlice::BF16(&bv)) };
        let want = case.reference(&options, &widen_b(&bk), &widen_b(&bv));
        assert_near(&case.run_with(isa, 2, &options, &kv), &want, |_| 1.0, 1e-5);
    }
}

#[test]
fn stored_rows_are_found_in_their_slots_in_every_number_format() {
    let layout = KvLayout { slots: 5, kv_heads: 2, head_dim: 3 };
    let data = Noise(1).floats(2 * 20);
    let k = Rows::strided(&data[..], 2, 6, 20).unwrap();
    let v = Rows::strided(&data[6..], 2, 6, 20).unwrap();
    let (mut kc, mut vc) = (vec![0.0; 30], vec![0.0; 30]);
    store_kv(k, v, &[4, 1], layout, &mut KvSliceMut::F32(&mut kc), &mut KvSliceMut::F32(&mut vc)).unwrap();
    assert_eq!((&kc[24..], &kc[6..12]), (&data[..6], &data[20..26]));
    assert_eq!((&vc[24..], &vc[6..12]), (&data[6..12], &data[26..32]));
    assert!(kc[..6].iter().chain(&kc[12..24]).all(|&x| x == 0.0));
    let (mut kc, mut vc) = (vec![f16::ZERO; 30], vec![bf16::ZERO; 30]);
    store_kv(k, v, &[4, 1], layout, &mut KvSliceMut::F16(&mut kc), &mut KvSliceMut::BF16(&mut vc)).unwrap();
    assert_eq!((kc[24], vc[24]), (f16::from_f32(data[0]), bf16::from_f32(data[6])));
    let mut bad = vec![0.0; 30];
    let mut other = vec![0.0; 30];
    let error =
        store_kv(k, v, &[5, 1], layout, &mut KvSliceMut::F32(&mut bad), &mut KvSliceMut::F32(&mut other))
            .unwrap_err();
    assert!(error.to_string().contains("slot is 5, not below the 5 slots"), "{error}");
    assert!(bad.iter().all(|&x| x == 0.0));
}

#[test]
fn arguments_that_do_not_fit_are_refused_before_anything_is_written() {
    let case = Case::new(6, 2, 8, &[(2, 5), (1, 3)], 5);
    let pool = ThreadPool::new(1).unwrap();
    let kv = case.kv();
    let q = Rows::dense(&case.q, 3, 48).unwrap();
    let mut out = vec![7.0; case.q.len()];
    let plain = AttentionOptions::causal(1.0);
    let good = case.requests();
    let mut refused =
        |heads, requests: &[AttentionRequest<'_>], options: &AttentionOptions<'_>, text: &str| {
            let error = paged_attention(&pool, q, heads, &kv, requests, options, &mut out).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(out.iter().all(|&x| x == 7.0));
        };
    refused(5, &good, &plain, "number of query heads is 5, not a multiple of 2");
    refused(4, &good, &plain, "a row of queries");
    refused(6, &[AttentionRequest { q_len: 6, ..good[0] }], &plain, "queries of a request is 6");
    refused(6, &[AttentionRequest { q_start: 2, ..good[0] }], &plain, "last row of a request is 4");
    refused(6, &[AttentionRequest { q_start: usize::MAX, ..good[0] }], &plain, "last row of a request");
    refused(6, &[good[0], AttentionRequest { q_start: 1, ..good[1] }], &plain, "first row of a request");
    refused(6, &[AttentionRequest { seq_len: 6, ..good[0] }], &plain, "number of slots of a request is 5");
    let far = [0, 1, case.layout.slots as u32, 0, 0];
    refused(6, &[AttentionRequest { slots: &far, ..good[0] }], &plain, "slot is 11");
    refused(6, &good, &AttentionOptions { sinks: Some(&[0.0; 5]), ..plain }, "the sinks");
    refused(6, &good, &AttentionOptions { sliding_window: Some(0), ..plain }, "sliding window");
    paged_attention(&pool, q, 6, &kv, &[], &plain, &mut out).unwrap();
    let none = Rows::dense(&[], 0, 48).unwrap();
    paged_attention(&pool, none, 6, &kv, &[], &plain, &mut []).unwrap();
}
