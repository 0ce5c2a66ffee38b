//! Attention does not depend on chunks, batch or threads.

use proptest::prelude::*;

use super::attention::Case;
use super::reference::bits;
use crate::attention::attention_with;
use crate::*;

/// The output of query rows `first..first + q_len` of one request that runs alone, in chunks of `chunk`.
fn alone(
    case: &Case,
    r: &AttentionRequest<'_>,
    isa: Isa,
    chunk: usize,
    options: &AttentionOptions<'_>,
) -> Vec<f32> {
    let width = case.heads * case.layout.head_dim;
    let pool = ThreadPool::new(1).unwrap();
    let mut all = Vec::new();
    let mut done = 0;
    while done < r.q_len {
        let take = chunk.min(r.q_len - done);
        let q = &case.q[(r.q_start + done) * width..][..take * width];
        let mut out = vec![f32::NAN; take * case.out_cols()];
        let seq_len = r.seq_len - r.q_len + done + take;
        let request = AttentionRequest { q_start: 0, q_len: take, seq_len, slots: r.slots };
        let q = Rows::dense(q, take, width).unwrap();
        attention_with(isa, &pool, q, case.heads, &case.kv(), &[request], options, &mut out).unwrap();
        all.extend(out);
        done += take;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_prompt_has_the_same_bits_whole_in_chunks_and_beside_other_requests(
        (heads, kv_heads) in prop::sample::select(vec![(9, 3), (4, 4), (8, 1), (2, 1), (53, 1)]),
        dim in prop::sample::select(vec![64usize, 80, 96, 128, 12]),
        values_of_keys in prop::option::of(1usize..=12),
        lens in prop::collection::vec((1usize..90, 0usize..300), 1..5),
        chunk in 1usize..80,
        threads in 1usize..4,
        window in prop::option::of(1usize..200),
        cap in prop::option::of(2f32..50.0),
        seed in any::<u64>(),
    ) {
        let lens: Vec<_> = lens.iter().map(|&(q, before)| (q, q + before)).collect();
        let case = Case::new(heads, kv_heads, dim, &lens, seed);
        let case = Case { value_columns: values_of_keys.map(|n| dim * n / 12), ..case };
        let options = AttentionOptions {
            sliding_window: window,
            logit_cap: cap,
            ..AttentionOptions::causal(0.1)
        };
        let width = case.out_cols();
        for isa in Isa::available().into_iter().skip(1) {
            let together = case.run(isa, threads, &options);
            for r in case.requests() {
                let part = &together[r.q_start * width..][..r.q_len * width];
                prop_assert_eq!(bits(part), bits(&alone(&case, &r, isa, chunk, &options)));
            }
        }
    }

    #[test]
    fn decoding_has_the_same_bits_alone_divided_among_threads_and_in_a_batch(
        lens in prop::collection::vec(1usize..1500, 1..12),
        threads in 1usize..5,
        window in prop::option::of(1usize..900),
        with_sinks in any::<bool>(),
        (heads, kv_heads, values_of_keys) in
            prop::sample::select(vec![(6, 2, None), (6, 1, Some(48)), (49, 1, Some(40)), (98, 2, Some(64))]),
        seed in any::<u64>(),
    ) {
        let lens: Vec<_> = lens.iter().map(|&n| (1, n)).collect();
        let case = Case { value_columns: values_of_keys, ..Case::new(heads, kv_heads, 64, &lens, seed) };
        let sinks: Vec<f32> = (0..heads).map(|h| (h % 7) as f32 - 2.0).collect();
        let options = AttentionOptions {
            sliding_window: window,
            sinks: with_sinks.then_some(&sinks[..]),
            ..AttentionOptions::causal(0.1)
        };
        for isa in Isa::available().into_iter().skip(1) {
            let together = case.run(isa, threads, &options);
            for r in case.requests() {
                let width = case.out_cols();
                let part = &together[r.q_start * width..][..width];
                prop_assert_eq!(bits(part), bits(&alone(&case, &r, isa, 1, &options)));
            }
        }
    }
}

#[test]
fn a_nan_in_one_request_leaves_the_others_alone() {
    let mut case = Case::new(4, 2, 64, &[(3, 70), (1, 130), (9, 9)], 2);
    let slot = case.tables[0][5] as usize;
    case.k[slot * case.layout.row()] = f32::NAN;
    for isa in Isa::available() {
        let out = case.run(isa, 2, &AttentionOptions::causal(0.125));
        for (row, out) in out.chunks_exact(4 * 64).enumerate() {
            for (h, out) in out.chunks_exact(64).enumerate() {
                assert!(out.iter().all(|x| x.is_nan() == (row < 3 && h < 2)), "row {row}, head {h}");
            }
        }
    }
}

#[test]
fn keys_after_a_query_cannot_be_seen_even_when_they_are_nan() {
    let mut case = Case::new(4, 2, 64, &[(100, 100)], 2);
    let options = AttentionOptions::causal(0.125);
    let before = case.run(Isa::best(), 2, &options);
    let slot = case.tables[0][70] as usize;
    let row = case.layout.row();
    case.k[slot * row..][..row].fill(f32::NAN);
    case.v[slot * row..][..row].fill(f32::INFINITY);
    let after = case.run(Isa::best(), 2, &options);
    assert_eq!(bits(&before[..70 * 256]), bits(&after[..70 * 256]));
    assert!(after[70 * 256..].iter().all(|x| x.is_nan()));
}
