//! The operations of models on the project's CPU kernels: float32 arithmetic on weights in the checkpoint's storage
//! format.
//!
//! The kernels' results do not depend on the rest of the batch, so this backend is always deterministic.
#![allow(unsafe_code)]

use std::ops::Range;

use sglang_kernels::{AttentionRequest, KvLayout, PagedKv, RotaryTable, Rows, RowsMut, ThreadPool, Values};
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};

use super::context::ForwardContext;
use super::native_matrix::{activate, native};
use super::raw::{empty, floats, floats_mut, pool_slice, pool_slice_mut};
use super::weight::LinearWeight;
use super::{
    Activation, AttentionOptions, ExpertWeights, HeadLayout, LatentWeights, LayerKv, LoraSegment, Ops,
    RopeTable, RotaryColumns, TopKOutput, native_experts, native_latent, native_lora,
};

/// The project's CPU kernels and their threads.
#[derive(Debug)]
pub struct NativeOps {
    pool: ThreadPool,
    kv_kind: Kind,
}

impl NativeOps {
    /// Operations on `threads` threads, with a KV pool in float32, float16 or bfloat16.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn new(threads: usize, kv_kind: Kind) -> Result<Self> {
        Ok(Self { pool: ThreadPool::new(threads)?, kv_kind })
    }

    fn layout(heads: HeadLayout, kv: LayerKv<'_>) -> Result<KvLayout> {
        let slots = kv.k.size3()?.0 as usize;
        Ok(KvLayout { slots, kv_heads: heads.num_kv_heads, head_dim: heads.head_dim })
    }

    fn store(&self, qkv: &[f32], heads: HeadLayout, kv: LayerKv<'_>, slots: &[u32]) -> Result<()> {
        let (q, kv_size, stride) = (heads.q_size(), heads.kv_size(), heads.qkv_size());
        let columns = |start: usize| -> Result<Rows<'_>> {
            Ok(Rows::strided(qkv.get(start..).unwrap_or_default(), slots.len(), kv_size, stride)?)
        };
        // SAFETY: the pool's tensors of a layer do not overlap, and no other slice of them exists: one thread runs the
        // batch, and `paged_attention` takes its slices after this function has returned.
        let (mut k, mut v) = unsafe { (pool_slice_mut(kv.k)?, pool_slice_mut(kv.v)?) };
        let layout = Self::layout(heads, kv)?;
        Ok(sglang_kernels::store_kv(columns(q)?, columns(q + kv_size)?, slots, layout, &mut k, &mut v)?)
    }
}

impl Ops for NativeOps {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn kind(&self) -> Kind {
        Kind::Float
    }

    fn kv_kind(&self) -> Kind {
        self.kv_kind
    }

    fn embedding(&self, weight: &LinearWeight, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        let mut out = empty(ctx.plan.num_tokens(), weight.in_features())?;
        let matrix = native(weight.only_part()?)?;
        sglang_kernels::embedding(&self.pool, matrix, &ctx.plan.input_ids, floats_mut(&mut out)?)?;
        Ok(out)
    }

    fn linear(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        let mut out = empty(x.size2()?.0 as usize, weight.out_features())?;
        let parts = weight.parts().iter().map(native).collect::<Result<Vec<_>>>()?;
        let bias = weight.bias().map(floats).transpose()?;
        sglang_kernels::linear_parts(&self.pool, floats(x)?, &parts, bias, floats_mut(&mut out)?)?;
        Ok(out)
    }

    fn add_lora(&self, x: &Tensor, y: &mut Tensor, segments: &[LoraSegment<'_>]) -> Result<()> {
        native_lora::add_lora(&self.pool, x, y, segments)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
        let (rows, columns) = x.size2()?;
        let mut out = empty(rows as usize, columns as usize)?;
        sglang_kernels::rms_norm(&self.pool, floats(x)?, floats(weight)?, eps as f32, floats_mut(&mut out)?)?;
        Ok(out)
    }

    fn fused_add_rms_norm(
        &self,
        x: &Tensor,
        residual: &mut Tensor,
        weight: &Tensor,
        eps: f64,
    ) -> Result<Tensor> {
        let (rows, columns) = x.size2()?;
        let mut out = empty(rows as usize, columns as usize)?;
        let (x, weight) = (floats(x)?, floats(weight)?);
        let (residual, y) = (floats_mut(residual)?, floats_mut(&mut out)?);
        sglang_kernels::fused_add_rms_norm(&self.pool, x, residual, weight, eps as f32, y)?;
        Ok(out)
    }

    fn rms_norm_columns(
        &self,
        x: &mut Tensor,
        columns: Range<usize>,
        weight: &Tensor,
        eps: f64,
    ) -> Result<()> {
        let (rows, stride) = x.size2()?;
        let data = floats_mut(x)?.get_mut(columns.start..).unwrap_or_default();
        let rows = RowsMut::strided(data, rows as usize, columns.len(), stride as usize)?;
        Ok(sglang_kernels::rms_norm_heads(&self.pool, rows, floats(weight)?, eps as f32)?)
    }

    fn rotary(&self, qkv: &mut Tensor, heads: HeadLayout, rope: &RopeTable) -> Result<()> {
        let (rows, half) = rope.cos.size2()?;
        let table = RotaryTable::new(floats(&rope.cos)?, floats(&rope.sin)?, half as usize)?;
        let rotated = heads.q_size() + heads.kv_size();
        let rows = RowsMut::strided(floats_mut(qkv)?, rows as usize, rotated, heads.qkv_size())?;
        Ok(sglang_kernels::rotary_neox(&self.pool, rows, heads.head_dim, &table, None)?)
    }

    fn rotary_columns(&self, x: &mut Tensor, columns: RotaryColumns, rope: &RopeTable) -> Result<()> {
        let (rows, half) = rope.cos.size2()?;
        let table = RotaryTable::new(floats(&rope.cos)?, floats(&rope.sin)?, half as usize)?;
        let width = x.size2()?.1 as usize;
        let rows = RowsMut::dense(floats_mut(x)?, rows as usize, width)?;
        Ok(sglang_kernels::rotary(&self.pool, rows, columns, &table, None)?)
    }

    fn latent_attention(
        &self,
        q: &Tensor,
        latent: &Tensor,
        weights: &LatentWeights,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let at_once = native_latent::NUMBERS_AT_ONCE;
        native_latent::latent_attention(&self.pool, at_once, q, latent, weights, options, kv, ctx)
    }

    fn paged_attention(
        &self,
        qkv: &Tensor,
        heads: HeadLayout,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let tokens = ctx.plan.num_tokens();
        let qkv = floats(qkv)?;
        self.store(qkv, heads, kv, &ctx.plan.out_cache_loc)?;
        let q = Rows::strided(qkv, tokens, heads.q_size(), heads.qkv_size())?;
        let pool = PagedKv {
            layout: Self::layout(heads, kv)?,
            k: pool_slice(kv.k)?,
            v: Values::Own(pool_slice(kv.v)?),
        };
        let requests: Vec<AttentionRequest<'_>> = ctx
            .plan
            .seqs
            .iter()
            .zip(&ctx.slot_tables)
            .map(|(seq, slots)| AttentionRequest {
                q_start: seq.first_token,
                q_len: seq.extend_len,
                seq_len: seq.seq_len(),
                slots,
            })
            .collect();
        let mut out = empty(tokens, heads.q_size())?;
        let options = sglang_kernels::AttentionOptions {
            scale: options.scale as f32,
            causal: true,
            sliding_window: options.sliding_window,
            logit_cap: options.logit_cap.map(|cap| cap as f32),
            sinks: options.sinks.as_ref().map(floats).transpose()?,
        };
        let y = floats_mut(&mut out)?;
        sglang_kernels::paged_attention(&self.pool, q, heads.num_heads, &pool, &requests, &options, y)?;
        Ok(out)
    }

    fn act_and_mul(&self, gate_up: &Tensor, activation: Activation) -> Result<Tensor> {
        let (rows, columns) = gate_up.size2()?;
        let width = columns as usize / 2;
        let mut out = empty(rows as usize, width)?;
        activate(&self.pool, floats(gate_up)?, width, activation, floats_mut(&mut out)?)?;
        Ok(out)
    }

    fn fused_experts(&self, x: &Tensor, weights: &ExpertWeights, topk: &TopKOutput) -> Result<Tensor> {
        native_experts::fused_experts(&self.pool, x, weights, topk)
    }

    fn add_gated(&self, y: &mut Tensor, gate: &Tensor, x: &Tensor) -> Result<()> {
        Ok(sglang_kernels::add_gated(&self.pool, floats(x)?, floats(gate)?, floats_mut(y)?)?)
    }

    fn add(&self, sum: &mut Tensor, x: &Tensor) -> Result<()> {
        let (sum, x) = (floats_mut(sum)?, floats(x)?);
        if sum.len() != x.len() {
            return Err(ModelError::Kernel(format!("{} numbers added to {}", x.len(), sum.len())));
        }
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        Ok(())
    }

    fn scale(&self, x: &mut Tensor, factor: f64) -> Result<()> {
        floats_mut(x)?.iter_mut().for_each(|x| *x *= factor as f32);
        Ok(())
    }

    fn select_rows(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let columns = x.size2()?.1 as usize;
        let mut out = empty(rows.len(), columns)?;
        let (from, to) = (floats(x)?, floats_mut(&mut out)?);
        for (row, to) in rows.iter().zip(to.chunks_exact_mut(columns.max(1))) {
            let from = from.get(row * columns..(row + 1) * columns);
            to.copy_from_slice(from.ok_or_else(|| ModelError::Kernel(format!("there is no row {row}")))?);
        }
        Ok(out)
    }

    fn lm_head(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        self.linear(x, weight)
    }
}
