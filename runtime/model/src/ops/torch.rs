//! The operations of models in libtorch, for GPUs, and for CPUs in 16-bit formats or on request.

use std::ops::Range;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};

use super::context::ForwardContext;
use super::cuda::{CudaKernels, GateActivation, PagedDecode};
use super::experts::Dispatch;
use super::index::index_tensor;
use super::lora::{LoraPart, LoraSegment};
use super::weight::{LinearWeight, Matrix};
use super::{
    Activation, AttentionOptions, ExpertWeights, HeadLayout, LatentWeights, LayerKv, Ops, RopeTable,
    RotaryColumns, TopKOutput, torch_latent,
};

/// libtorch on one device, plus the project's CUDA kernels on a GPU.
#[derive(Clone, Debug)]
pub struct TorchOps {
    device: Device,
    kind: Kind,
    kernels: Option<Arc<CudaKernels>>,
}

impl TorchOps {
    /// Operations on `device` in the number format `kind`.
    pub fn new(device: Device, kind: Kind) -> Self {
        Self { device, kind, kernels: None }
    }

    /// Adds the project's CUDA kernels if the device is a GPU. If they are not available, logs the reason and uses the
    /// slower operators of libtorch.
    #[must_use]
    pub fn with_cuda_kernels(self) -> Self {
        let Device::Cuda(index) = self.device else { return self };
        match CudaKernels::new(index, self.kind) {
            Ok(kernels) => Self { kernels: Some(Arc::new(kernels)), ..self },
            Err(why) => {
                tracing::warn!("The project's CUDA kernels are not used: {why}");
                self
            }
        }
    }

    /// The kernels, if they can use these tensors.
    fn kernels_for(&self, tensors: &[&Tensor]) -> Option<&CudaKernels> {
        self.kernels.as_deref().filter(|k| k.take(tensors))
    }
}

/// The libtorch form of a matrix, which this backend's loader creates.
fn tensor(matrix: &Matrix) -> Result<&Tensor> {
    match matrix {
        Matrix::Torch(t) => Ok(t),
        Matrix::Native(_) => {
            Err(ModelError::Kernel("a matrix in the native form reached libtorch".to_owned()))
        }
    }
}

/// See [`Activation::ClampedSwiglu`].
fn clamped_swiglu(gate_up: &Tensor, alpha: f64, limit: f64) -> Result<Tensor> {
    let half = gate_up.size2()?.1 / 2;
    let gate = gate_up.f_narrow(1, 0, half)?.f_clamp_max(limit)?;
    let up = gate_up.f_narrow(1, half, half)?.f_clamp(-limit, limit)?;
    let swish = gate.f_mul(&gate.f_mul_scalar(alpha)?.f_sigmoid()?)?;
    Ok(swish.f_mul(&up.f_add_scalar(1.0)?)?)
}

impl Ops for TorchOps {
    fn device(&self) -> Device {
        self.device
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn kv_kind(&self) -> Kind {
        self.kind
    }

    fn embedding(&self, weight: &LinearWeight, ctx: &ForwardContext<'_>) -> Result<Tensor> {
        Ok(tensor(weight.only_part()?)?.f_index_select(0, &ctx.torch()?.input_ids)?)
    }

    fn linear(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        if let [one] = weight.parts() {
            return Ok(x.f_linear(tensor(one)?, weight.bias())?);
        }
        let parts = weight
            .parts()
            .iter()
            .map(|p| Ok(x.f_linear(tensor(p)?, None::<&Tensor>)?))
            .collect::<Result<Vec<_>>>()?;
        let product = Tensor::f_cat(&parts, 1)?;
        match weight.bias() {
            Some(bias) => Ok(product.f_add(bias)?),
            None => Ok(product),
        }
    }

    fn add_lora(&self, x: &Tensor, y: &mut Tensor, segments: &[LoraSegment<'_>]) -> Result<()> {
        let rows = x.size2()?.0 as usize;
        for segment in segments {
            let all = segment.rows.range().is_some_and(|range| range == (0..rows));
            let index = segment.rows.tensor(self.device)?;
            let x = if all { x.shallow_clone() } else { x.f_index_select(0, index)? };
            for LoraPart { a, b, columns } in segment.parts {
                let inner = match a {
                    Some(a) => x.f_linear(tensor(a)?, None::<&Tensor>)?,
                    None => x.shallow_clone(),
                };
                let outer = inner.f_mul_scalar(segment.scaling)?.f_linear(tensor(b)?, None::<&Tensor>)?;
                // Logits are float32 whatever the model's number format.
                let outer = outer.f_to_kind(y.f_kind()?)?;
                let mut part = y.f_narrow(1, columns.start as i64, columns.len() as i64)?;
                let _ = if all { part.f_add_(&outer)? } else { part.f_index_add_(0, index, &outer)? };
            }
        }
        Ok(())
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
        if let Some(kernels) = self.kernels_for(&[x, weight]) {
            return kernels.rms_norm(x, weight, eps);
        }
        Ok(x.f_rms_norm(weight.size(), Some(weight), eps)?)
    }

    fn fused_add_rms_norm(
        &self,
        x: &Tensor,
        residual: &mut Tensor,
        weight: &Tensor,
        eps: f64,
    ) -> Result<Tensor> {
        if let Some(kernels) = self.kernels_for(&[x, residual, weight])
            && x.size() == residual.size()
        {
            return kernels.fused_add_rms_norm(x, residual, weight, eps);
        }
        let _ = residual.f_add_(x)?;
        self.rms_norm(residual, weight, eps)
    }

    fn rms_norm_columns(
        &self,
        x: &mut Tensor,
        columns: Range<usize>,
        weight: &Tensor,
        eps: f64,
    ) -> Result<()> {
        if let Some(kernels) = self.kernels_for(&[x, weight]) {
            return kernels.rms_norm_columns(x, columns, weight, eps);
        }
        let (rows, run) = (x.size2()?.0, weight.numel().max(1));
        let runs = (columns.len() / run) as i64;
        let mut part = x.f_narrow(1, columns.start as i64, columns.len() as i64)?;
        let normalised =
            part.f_reshape([rows, runs, run as i64])?.f_rms_norm(weight.size(), Some(weight), eps)?;
        Ok(part.f_copy_(&normalised.f_reshape([rows, columns.len() as i64])?)?)
    }

    fn rotary(&self, qkv: &mut Tensor, heads: HeadLayout, rope: &RopeTable) -> Result<()> {
        if let Some(kernels) = self.kernels_for(&[qkv]) {
            return kernels.rotary(qkv, heads, rope);
        }
        let (tokens, half) = rope.cos.size2()?;
        let rotated_heads = (heads.num_heads + heads.num_kv_heads) as i64;
        let d = heads.head_dim as i64;
        let mut part = qkv.f_narrow(1, 0, rotated_heads * d)?.f_view([tokens, rotated_heads, d])?.f_narrow(
            2,
            0,
            2 * half,
        )?;
        let wide = part.f_to_kind(Kind::Float)?;
        let (first, second) = (wide.f_narrow(2, 0, half)?, wide.f_narrow(2, half, half)?);
        let (cos, sin) = (rope.cos.f_unsqueeze(1)?, rope.sin.f_unsqueeze(1)?);
        let rotated = [
            first.f_mul(&cos)?.f_sub(&second.f_mul(&sin)?)?,
            second.f_mul(&cos)?.f_add(&first.f_mul(&sin)?)?,
        ];
        Ok(part.f_copy_(&Tensor::f_cat(&rotated, 2)?)?)
    }

    fn rotary_columns(&self, x: &mut Tensor, columns: RotaryColumns, rope: &RopeTable) -> Result<()> {
        torch_latent::rotary_columns(x, columns, rope)
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
        torch_latent::latent_attention(ctx, q, latent, weights, options, kv)
    }

    fn paged_attention(
        &self,
        qkv: &Tensor,
        heads: HeadLayout,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
        ctx: &ForwardContext<'_>,
    ) -> Result<Tensor> {
        let inputs = ctx.torch()?;
        let kernels = self.kernels_for(&[qkv, kv.k, kv.v]);
        if let Some(kernels) = kernels {
            kernels.store_kv(qkv, heads, &inputs.out_cache_loc, kv)?;
            if let Some(table) = ctx.decode_table()?
                && kernels.takes_heads(heads)
            {
                return kernels.paged_decode(&PagedDecode { qkv, heads, options, kv, table });
            }
        }
        let tokens = ctx.plan.num_tokens() as i64;
        let columns = |start: usize, n: usize| -> Result<Tensor> {
            let d = heads.head_dim;
            Ok(qkv.f_narrow(1, (start * d) as i64, (n * d) as i64)?.f_view([tokens, n as i64, d as i64])?)
        };
        let store = |pool: &Tensor, start: usize| -> Result<()> {
            let rows = columns(start, heads.num_kv_heads)?;
            let _ = pool.shallow_clone().f_index_copy_(0, &inputs.out_cache_loc, &rows)?;
            Ok(())
        };
        if kernels.is_none() {
            store(kv.k, heads.num_heads)?;
            store(kv.v, heads.num_heads + heads.num_kv_heads)?;
        }
        ctx.attention_plan()?.run(&columns(0, heads.num_heads)?, heads, options, kv)
    }

    fn act_and_mul(&self, gate_up: &Tensor, activation: Activation) -> Result<Tensor> {
        let known = match activation {
            Activation::Silu => Some(GateActivation::Silu),
            Activation::GeluTanh => Some(GateActivation::GeluTanh),
            Activation::ClampedSwiglu { .. } => None,
        };
        if let (Some(kernels), Some(activation)) = (self.kernels_for(&[gate_up]), known) {
            return kernels.act_and_mul(gate_up, activation);
        }
        let half = gate_up.size2()?.1 / 2;
        let gate = gate_up.f_narrow(1, 0, half)?;
        let activated = match activation {
            Activation::Silu => gate.f_silu()?,
            Activation::GeluTanh => gate.f_gelu("tanh")?,
            Activation::ClampedSwiglu { alpha, limit } => return clamped_swiglu(gate_up, alpha, limit),
        };
        Ok(activated.f_mul(&gate_up.f_narrow(1, half, half)?)?)
    }

    fn fused_experts(&self, x: &Tensor, weights: &ExpertWeights, topk: &TopKOutput) -> Result<Tensor> {
        let tokens = x.size2()?.0;
        let dispatch = Dispatch::new(topk, weights.experts().len())?;
        let index = |rows: &[u32]| index_tensor(rows.iter().copied(), self.device);
        let x = x.f_index_select(0, &index(&dispatch.tokens)?)?;
        let mut outputs = Vec::with_capacity(dispatch.groups.len());
        for (id, rows) in &dispatch.groups {
            let Some(expert) = weights.experts().get(*id) else { continue };
            let x = x.f_narrow(0, rows.start as i64, rows.len() as i64)?;
            let gate_up = self.linear(&x, &expert.gate_up_proj)?;
            let inner = self.act_and_mul(&gate_up, weights.activation())?;
            outputs.push(self.linear(&inner, &expert.down_proj)?);
        }
        // Add up in the order of the choices, so that results are reproducible.
        let scale = Tensor::f_from_slice(&topk.topk_weights)?.f_to(self.device)?;
        let shape = [tokens, topk.top_k as i64, weights.hidden_size() as i64];
        let chosen = Tensor::f_cat(&outputs, 0)?.f_index_select(0, &index(&dispatch.rows)?)?.f_view(shape)?;
        let weighted = chosen.f_mul(&scale.f_view([tokens, topk.top_k as i64, 1])?)?;
        Ok(weighted.f_sum_dim_intlist(1_i64, false, Kind::Float)?.f_to_kind(self.kind)?)
    }

    fn add_gated(&self, y: &mut Tensor, gate: &Tensor, x: &Tensor) -> Result<()> {
        let _ = y.f_add_(&x.f_mul(&gate.f_sigmoid()?)?)?;
        Ok(())
    }

    fn add(&self, sum: &mut Tensor, x: &Tensor) -> Result<()> {
        let _ = sum.f_add_(x)?;
        Ok(())
    }

    fn scale(&self, x: &mut Tensor, factor: f64) -> Result<()> {
        let _ = x.f_mul_scalar_(factor)?;
        Ok(())
    }

    fn select_rows(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let rows: Vec<i64> = rows.iter().map(|&r| r as i64).collect();
        Ok(x.f_index_select(0, &Tensor::f_from_slice(&rows)?.f_to(self.device)?)?)
    }

    fn lm_head(&self, x: &Tensor, weight: &LinearWeight) -> Result<Tensor> {
        Ok(self.linear(x, weight)?.f_to_kind(Kind::Float)?.f_contiguous()?)
    }

    fn argmax(&self, logits: &Tensor, vocab_size: usize) -> Result<Vec<Option<u32>>> {
        let (rows, width) = logits.size2()?;
        match &self.kernels {
            Some(kernels)
                if logits.device() == self.device
                    && logits.is_contiguous()
                    && width as usize >= vocab_size =>
            {
                kernels.argmax_rows(logits, vocab_size)
            }
            _ => Ok(vec![None; rows as usize]),
        }
    }
}
