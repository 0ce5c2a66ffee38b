//! Benchmarks of products, attention and whole decode steps with the shapes of SmolLM2-135M.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sglang_kernels::*;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(2)
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() % 2001) as f32 / 1000.0 - 1.0).collect()
    }
}

/// Random blocks with small, finite half-precision scales.
fn weight(quant: QuantType, rows: usize, cols: usize) -> WeightMatrix {
    let len = rows * quant.row_bytes(cols).unwrap();
    let mut noise = Noise(rows as u64 * 7 + cols as u64);
    let bytes: Vec<u8> = match quant {
        QuantType::F32 => noise.floats(rows * cols).iter().flat_map(|x| x.to_le_bytes()).collect(),
        QuantType::BF16 | QuantType::F16 => (0..rows * cols)
            .flat_map(|_| (0x3c00u16 | (noise.next() as u16 & 0x80ff)).to_le_bytes())
            .collect(),
        _ => {
            let mut bytes: Vec<u8> = (0..len).map(|_| noise.next() as u8).collect();
            for block in bytes.chunks_exact_mut(quant.block_bytes()) {
                block[..2].copy_from_slice(&0x2400u16.to_le_bytes());
                if quant == QuantType::Q4_1 {
                    block[2..4].copy_from_slice(&0xa400u16.to_le_bytes());
                }
            }
            bytes
        }
    };
    WeightMatrix::from_bytes(quant, rows, cols, Arc::new(bytes), 0..len).unwrap()
}

const TYPES: [QuantType; 4] = [QuantType::Q4_1, QuantType::Q8_0, QuantType::BF16, QuantType::F32];

fn products(c: &mut Criterion) {
    let pool = ThreadPool::new(threads()).unwrap();
    for (k, n) in [(576, 1536), (1536, 576), (576, 49152)] {
        let mut group = c.benchmark_group(format!("linear {k}->{n}"));
        for quant in TYPES {
            let w = weight(quant, n, k);
            for m in [1, 4, 8, 32, 512] {
                if m == 512 && n > 10_000 {
                    continue;
                }
                let x = Noise(1).floats(m * k);
                let mut out = vec![0.0; m * n];
                group.throughput(Throughput::Elements((2 * m * n * k) as u64));
                group.bench_function(format!("{quant:?} m={m}"), |b| {
                    b.iter(|| linear(&pool, black_box(&x), &w, None, &mut out).unwrap());
                });
            }
        }
    }
}

/// All products of one forward pass.
fn steps(c: &mut Criterion) {
    let pool = ThreadPool::new(threads()).unwrap();
    let mut group = c.benchmark_group("smollm2-135m products");
    for quant in TYPES {
        let shapes = [(576, 960), (576, 576), (576, 3072), (1536, 576)];
        let layers: Vec<Vec<WeightMatrix>> =
            (0..30).map(|_| shapes.iter().map(|&(k, n)| weight(quant, n, k)).collect()).collect();
        let head = weight(quant, 49152, 576);
        for m in [1, 4, 8, 32] {
            let x = Noise(1).floats(m * 1536);
            let mut out = vec![0.0; m * 49152];
            group.throughput(Throughput::Elements(m as u64));
            group.bench_function(format!("{quant:?} m={m}"), |b| {
                b.iter(|| {
                    for w in layers.iter().flatten().chain([&head]) {
                        linear(&pool, &x[..m * w.cols()], w, None, &mut out[..m * w.rows()]).unwrap();
                    }
                });
            });
        }
    }
}

fn attention(c: &mut Criterion) {
    let pool = ThreadPool::new(threads()).unwrap();
    let (heads, kv_heads, head_dim) = (9, 3, 64);
    let mut group = c.benchmark_group("attention 9/3/64");
    for (batch, q_len, seq_len) in [(1, 1, 1024), (8, 1, 1024), (64, 1, 1024), (1, 512, 512), (1, 2048, 2048)]
    {
        let slots = batch * seq_len;
        let layout = KvLayout { slots, kv_heads, head_dim };
        let (k, v) = (Noise(2).floats(layout.len()), Noise(3).floats(layout.len()));
        let kv = PagedKv { layout, k: KvSlice::F32(&k), v: Values::Own(KvSlice::F32(&v)) };
        let tables: Vec<Vec<u32>> =
            (0..batch).map(|r| (0..seq_len).map(|p| (p * batch + r) as u32).collect()).collect();
        let requests: Vec<_> = tables
            .iter()
            .enumerate()
            .map(|(r, slots)| AttentionRequest { q_start: r * q_len, q_len, seq_len, slots })
            .collect();
        let q = Noise(4).floats(batch * q_len * heads * head_dim);
        let mut out = vec![0.0; q.len()];
        let pairs = batch * heads * (q_len * seq_len - q_len * (q_len - 1) / 2);
        group.throughput(Throughput::Elements((4 * pairs * head_dim) as u64));
        group.bench_function(format!("{batch}x{q_len} of {seq_len}"), |b| {
            let q = Rows::dense(&q, batch * q_len, heads * head_dim).unwrap();
            let options = AttentionOptions::causal(0.125);
            b.iter(|| paged_attention(&pool, q, heads, &kv, &requests, &options, &mut out).unwrap());
        });
    }
}

/// The latent attention of DeepSeek-V2-Lite.
fn latent(c: &mut Criterion) {
    let pool = ThreadPool::new(threads()).unwrap();
    let (heads, rank, head_dim, nope) = (16, 512, 576, 128);
    let mut group = c.benchmark_group("latent attention 16/512+64");
    for (batch, q_len, seq_len) in [(1, 1, 1024), (16, 1, 1024), (1, 512, 512)] {
        let layout = KvLayout { slots: batch * seq_len, kv_heads: 1, head_dim };
        let cache = Noise(2).floats(layout.len());
        let kv = PagedKv { layout, k: KvSlice::F32(&cache), v: Values::OfKeys(rank) };
        let tables: Vec<Vec<u32>> =
            (0..batch).map(|r| (0..seq_len).map(|p| (p * batch + r) as u32).collect()).collect();
        let requests: Vec<_> = tables
            .iter()
            .enumerate()
            .map(|(r, slots)| AttentionRequest { q_start: r * q_len, q_len, seq_len, slots })
            .collect();
        let tokens = batch * q_len;
        let q = Noise(4).floats(tokens * heads * head_dim);
        let mut out = vec![0.0; tokens * heads * rank];
        group.throughput(Throughput::Elements(tokens as u64));
        group.bench_function(format!("{batch}x{q_len} of {seq_len}"), |b| {
            let q = Rows::dense(&q, tokens, heads * head_dim).unwrap();
            let options = AttentionOptions::causal(0.125);
            b.iter(|| paged_attention(&pool, q, heads, &kv, &requests, &options, &mut out).unwrap());
        });
        let weights: Vec<WeightMatrix> = (0..heads)
            .map(|h| WeightMatrix::from_f32(rank, nope, &Noise(h as u64).floats(rank * nope)).unwrap())
            .collect();
        let x = Noise(5).floats(tokens * heads * nope);
        let (from, to) = (HeadColumns::dense(heads, nope), HeadColumns::dense(heads, rank));
        group.bench_function(format!("queries of {batch}x{q_len}"), |b| {
            b.iter(|| linear_heads(&pool, tokens, (&x, from), &weights, (&mut out, to)).unwrap());
        });
    }
}

fn forks(c: &mut Criterion) {
    let pool = ThreadPool::new(threads()).unwrap();
    c.bench_function("fork and join", |b| {
        b.iter(|| {
            pool.run(2, &|i| {
                black_box(i);
            })
            .unwrap()
        })
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(800));
    targets = forks, products, steps, attention, latent
}
criterion_main!(benches);
