//! Compares the two backends operation by operation.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::memory::{KvCacheShape, MHATokenToKVPool, ReqToTokenPool};
use crate::plan::{ForwardPlan, PlannedSeq};

const HEADS: HeadLayout = HeadLayout { num_heads: 6, num_kv_heads: 2, head_dim: 10 };

fn random(rows: usize, columns: usize) -> Tensor {
    Tensor::f_randn([rows as i64, columns as i64], (Kind::Float, Device::Cpu)).unwrap()
}

fn assert_near(a: &Tensor, b: &Tensor, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}");
    let off = a.f_sub(b).unwrap().f_abs().unwrap().f_max().unwrap().f_double_value(&[]).unwrap();
    assert!(off < 1e-5, "{what}: off by {off:.2e}");
}

/// (cached, new) positions of each request per step: prefill; chunks beside a decode; decodes of different lengths.
const STEPS: [[(usize, usize); 3]; 3] =
    [[(0, 5), (0, 1), (0, 40)], [(5, 30), (1, 1), (40, 7)], [(35, 1), (2, 1), (47, 1)]];

fn plan(step: &[(usize, usize)], next_slot: &mut u32) -> ForwardPlan {
    let mut plan = ForwardPlan::default();
    for (row, &(prefix_len, extend_len)) in step.iter().enumerate() {
        let first_token = plan.positions.len();
        plan.seqs.push(PlannedSeq { row: row as u32, prefix_len, extend_len, first_token });
        plan.positions.extend((prefix_len..prefix_len + extend_len).map(|p| p as u32));
    }
    plan.input_ids = vec![0; plan.positions.len()];
    plan.out_cache_loc =
        plan.positions.iter().map(|_| std::mem::replace(next_slot, *next_slot + 1)).collect();
    plan
}

/// A backend's attention output for the queries, keys and values of every step.
fn attend(ops: &dyn Ops, options: &AttentionOptions, inputs: &[Tensor]) -> Vec<Tensor> {
    in_steps(HEADS.kv_cache_shape(), inputs, |qkv, kv, ctx| {
        ops.paged_attention(qkv, HEADS, options, kv, ctx).unwrap()
    })
}

/// Runs the steps with one KV cache.
fn in_steps<T>(
    shape: KvCacheShape,
    inputs: &[T],
    run: impl Fn(&T, LayerKv<'_>, &ForwardContext<'_>) -> Tensor,
) -> Vec<Tensor> {
    let pool = MHATokenToKVPool::new(1, 100, shape, Kind::Float, Device::Cpu).unwrap();
    let (k, v) = pool.layer(0).unwrap();
    let (mut table, mut next_slot) = (ReqToTokenPool::new(3), 0);
    let mut outputs = Vec::new();
    for (step, input) in STEPS.iter().zip(inputs) {
        let plan = plan(step, &mut next_slot);
        for seq in &plan.seqs {
            let new = &plan.out_cache_loc[seq.first_token..seq.first_token + seq.extend_len];
            table.extend(seq.row, seq.prefix_len, new);
        }
        let ctx = ForwardContext::new(&plan, &table, 100, Device::Cpu);
        outputs.push(run(input, LayerKv { k, v }, &ctx));
    }
    outputs
}

#[test]
fn attention_is_the_same_on_both_backends_with_windows_caps_and_sinks() {
    let native = NativeOps::new(2, Kind::Float).unwrap();
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let inputs = STEPS.map(|step| random(step.iter().map(|s| s.1).sum(), HEADS.qkv_size()));
    let sinks = Tensor::f_from_slice(&[0.5_f32, -1.0, 3.0, 0.0, 8.0, -40.0]).unwrap();
    for window in [None, Some(1), Some(8), Some(40), Some(1000)] {
        for logit_cap in [None, Some(0.7)] {
            for sinks in [None, Some(sinks.shallow_clone())] {
                let what = format!("window {window:?}, cap {logit_cap:?}, sinks {}", sinks.is_some());
                let options = AttentionOptions { scale: 0.4, sliding_window: window, logit_cap, sinks };
                let (a, b) = (attend(&native, &options, &inputs), attend(&torch, &options, &inputs));
                for (step, (a, b)) in a.iter().zip(&b).enumerate() {
                    assert_near(a, b, &format!("{what}, step {step}"));
                }
            }
        }
    }
}

#[test]
fn a_window_changes_what_is_attended_to() {
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let inputs = STEPS.map(|step| random(step.iter().map(|s| s.1).sum(), HEADS.qkv_size()));
    let run = |window| {
        attend(&torch, &AttentionOptions { sliding_window: window, ..AttentionOptions::new(0.4) }, &inputs)
    };
    let (narrow, all) = (run(Some(1)), run(None));
    // With a window of one position, the output of the first query head is the value of the first KV head at that
    // position.
    let value = inputs[2].f_narrow(1, 80, 10).unwrap();
    assert_near(&narrow[2].f_narrow(1, 0, 10).unwrap(), &value, "a window of one");
    assert!(!narrow[2].f_allclose(&all[2], 1e-3, 1e-3, false).unwrap());
}

#[test]
fn norms_activations_and_element_wise_work_are_the_same_on_both_backends() {
    let native = NativeOps::new(2, Kind::Float).unwrap();
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let both = |x: &Tensor, run: &dyn Fn(&dyn Ops, &mut Tensor), what: &str| {
        let (mut a, mut b) = (x.copy(), x.copy());
        run(&native, &mut a);
        run(&torch, &mut b);
        assert_near(&a, &b, what);
        a
    };
    let x = random(7, 100);
    for (run, columns) in [(10, 0..60), (20, 60..80), (60, 0..60)] {
        let weight = random(1, run).f_view([run as i64]).unwrap();
        let normalise = |ops: &dyn Ops, x: &mut Tensor| {
            ops.rms_norm_columns(x, columns.clone(), &weight, 1e-6).unwrap();
        };
        let out = both(&x, &normalise, &format!("runs of {run}"));
        let rest = 100 - columns.end;
        assert_near(
            &out.f_narrow(1, columns.end as i64, rest as i64).unwrap(),
            &x.f_narrow(1, columns.end as i64, rest as i64).unwrap(),
            "the columns beside",
        );
    }
    let y = random(7, 100);
    let sum = both(&x, &|ops, x| ops.add(x, &y).unwrap(), "sum");
    assert_near(&sum, &x.f_add(&y).unwrap(), "sum");
    let scaled = both(&x, &|ops, x| ops.scale(x, -2.5).unwrap(), "multiple");
    assert_near(&scaled, &x.f_mul_scalar(-2.5).unwrap(), "multiple");
    for activation in [Activation::Silu, Activation::GeluTanh] {
        let out =
            both(&x, &|ops, x| *x = ops.act_and_mul(x, activation).unwrap(), &format!("{activation:?}"));
        assert_eq!(out.size(), [7, 50]);
    }
    assert!(native.add(&mut random(2, 3), &random(2, 4)).is_err());
}

/// Experts with the matrices `values` in a backend's form.
fn experts(values: &[(Tensor, Tensor)], native: bool, activation: Activation) -> ExpertWeights {
    let matrix = |t: &Tensor| {
        let (rows, columns) = t.size2().unwrap();
        let numbers = Vec::<f32>::try_from(&t.f_flatten(0, -1).unwrap()).unwrap();
        let weight =
            sglang_kernels::WeightMatrix::from_f32(rows as usize, columns as usize, &numbers).unwrap();
        let matrix = if native { Matrix::Native(weight) } else { Matrix::Torch(t.shallow_clone()) };
        LinearWeight::new(vec![matrix], None).unwrap()
    };
    let expert = |(gate_up, down): &(Tensor, Tensor)| Expert {
        gate_up_proj: matrix(gate_up),
        down_proj: matrix(down),
    };
    ExpertWeights::new(values.iter().map(expert).collect(), activation).unwrap()
}

#[test]
fn experts_give_the_same_on_both_backends_however_many_tokens_there_are() {
    let native = NativeOps::new(2, Kind::Float).unwrap();
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let (hidden, inner, count, top_k) = (20, 12, 7, 3);
    let values: Vec<_> = (0..count).map(|_| (random(2 * inner, hidden), random(hidden, inner))).collect();
    // The last case has more tokens than the native backend processes at once; the last expert is never chosen.
    for tokens in [1, 5, 1030] {
        let x = random(tokens, hidden).f_mul_scalar(0.1).unwrap();
        let topk_ids = (0..tokens * top_k).map(|i| ((i * 5 + i / 7) % (count - 1)) as u32).collect();
        let topk_weights = (0..tokens * top_k).map(|i| (i % 5) as f32 * 0.1).collect();
        let topk = TopKOutput { top_k, topk_ids, topk_weights };
        for activation in [Activation::Silu, Activation::ClampedSwiglu { alpha: 1.7, limit: 0.5 }] {
            let a = native.fused_experts(&x, &experts(&values, true, activation), &topk).unwrap();
            let b = torch.fused_experts(&x, &experts(&values, false, activation), &topk).unwrap();
            assert_near(&a, &b, &format!("{tokens} tokens, {activation:?}"));
        }
        let (gate, mut y) = (random(tokens, 1), random(tokens, hidden));
        let mut z = y.copy();
        native.add_gated(&mut y, &gate, &x).unwrap();
        torch.add_gated(&mut z, &gate, &x).unwrap();
        assert_near(&y, &z, "a gated sum");
    }
}

const LATENT: LatentLayout =
    LatentLayout { num_heads: 5, kv_lora_rank: 18, qk_nope_head_dim: 9, qk_rope_head_dim: 6, v_head_dim: 11 };

/// Random matrices of heads in both backends' forms.
fn latent_weights() -> (LatentWeights, LatentWeights) {
    let (each, rank) = (LATENT.kv_b_head_rows(), LATENT.kv_lora_rank);
    let merged = random(LATENT.num_heads * each, rank).f_mul_scalar(0.3).unwrap();
    let native = |t: &Tensor| {
        let (rows, columns) = t.size2().unwrap();
        let numbers = Vec::<f32>::try_from(&t.f_contiguous().unwrap().f_view([-1]).unwrap()).unwrap();
        sglang_kernels::WeightMatrix::from_f32(rows as usize, columns as usize, &numbers).unwrap()
    };
    let merged = merged.f_view([LATENT.num_heads as i64, each as i64, rank as i64]).unwrap();
    let (nope, values) = (LATENT.qk_nope_head_dim as i64, LATENT.v_head_dim as i64);
    let heads = || (0..LATENT.num_heads as i64).map(|head| merged.f_get(head).unwrap());
    let w_kc = heads().map(|w| native(&w.f_narrow(0, 0, nope).unwrap().f_transpose(0, 1).unwrap())).collect();
    let w_vc = heads().map(|w| native(&w.f_narrow(0, nope, values).unwrap())).collect();
    (
        LatentWeights::new(LATENT, LatentForm::Native { w_kc, w_vc }).unwrap(),
        LatentWeights::new(LATENT, LatentForm::Torch(merged.shallow_clone())).unwrap(),
    )
}

#[test]
fn latent_attention_is_the_same_on_both_backends_and_however_many_tokens_are_taken_at_once() {
    let native = NativeOps::new(2, Kind::Float).unwrap();
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let (for_native, for_torch) = latent_weights();
    let q_size = LATENT.num_heads * LATENT.qk_head_dim();
    let inputs = STEPS.map(|step| {
        let tokens = step.iter().map(|s| s.1).sum();
        (random(tokens, q_size), random(tokens, LATENT.latent_dim()))
    });
    let shape = KvCacheShape::Latent { kv_lora_rank: 18, qk_rope_head_dim: 6 };
    let options = AttentionOptions::new(0.3);
    let run = |ops: &dyn Ops, weights: &LatentWeights| {
        in_steps(shape, &inputs, |(q, latent), kv, ctx| {
            ops.latent_attention(q, latent, weights, &options, kv, ctx).unwrap()
        })
    };
    let (a, b) = (run(&native, &for_native), run(&torch, &for_torch));
    for (step, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_eq!(a.size2().unwrap().1, (LATENT.num_heads * LATENT.v_head_dim) as i64);
        assert_near(a, b, &format!("step {step}"));
    }
    let pool = sglang_kernels::ThreadPool::new(2).unwrap();
    let cut = in_steps(shape, &inputs, |(q, latent), kv, ctx| {
        native_latent::latent_attention(&pool, 1, q, latent, &for_native, &options, kv, ctx).unwrap()
    });
    assert!(a.iter().zip(&cut).all(|(a, b)| a == b));
    let wrong = LatentLayout { v_head_dim: 10, ..LATENT };
    assert!(LatentWeights::new(wrong, LatentForm::Torch(random(5, 20))).is_err());
    let form = run_with_foreign_weights(&native, &for_torch, &inputs[0], &options);
    assert!(form.contains("a libtorch matrix reached the native kernels"), "{form}");
}

fn run_with_foreign_weights(
    ops: &dyn Ops,
    weights: &LatentWeights,
    (q, latent): &(Tensor, Tensor),
    options: &AttentionOptions,
) -> String {
    let error = std::cell::RefCell::default();
    let shape = KvCacheShape::Latent { kv_lora_rank: 18, qk_rope_head_dim: 6 };
    in_steps(shape, &[(q, latent)], |(q, latent), kv, ctx| {
        let result = ops.latent_attention(q, latent, weights, options, kv, ctx);
        *error.borrow_mut() = result.unwrap_err().to_string();
        random(1, 1)
    });
    error.into_inner()
}

#[test]
fn some_columns_of_heads_are_rotated_alike_on_both_backends() {
    let native = NativeOps::new(2, Kind::Float).unwrap();
    let torch = TorchOps::new(Device::Cpu, Kind::Float);
    let rope = RopeTable { cos: random(7, 3), sin: random(7, 3) };
    for interleaved in [true, false] {
        for (head_dim, first) in [(13, 4), (26, 20), (6, 0)] {
            let columns = RotaryColumns { head_dim, first, interleaved };
            let x = random(7, 78);
            let (mut a, mut b) = (x.copy(), x.copy());
            native.rotary_columns(&mut a, columns, &rope).unwrap();
            torch.rotary_columns(&mut b, columns, &rope).unwrap();
            assert_near(&a, &b, &format!("{columns:?}"));
            assert!(!a.f_allclose(&x, 1e-3, 1e-3, false).unwrap());
        }
    }
}
