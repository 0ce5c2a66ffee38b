//! Attention over the paged pool with libtorch's operators. libtorch has no kernel that reads pages, so keys and
//! values are gathered: per request when prefilling, for all requests at once (padded to the longest) when decoding.

use tch::{Device, Kind, Tensor};

use crate::error::Result;

use super::context::{ForwardContext, index_tensor};
use super::{HeadLayout, LayerKv};

/// Gather indices and masks of one step; the same for every layer.
#[derive(Debug)]
pub(super) enum AttentionPlan {
    /// One query per request: `slots` is `[requests * longest]`, `mask` is `[requests, 1, 1, longest]`, true where a
    /// position exists.
    Decode { slots: Tensor, mask: Tensor, requests: i64, longest: i64 },
    /// Requests one by one.
    Extend(Vec<ExtendSeq>),
}

/// One request of a prefill step.
#[derive(Debug)]
pub(super) struct ExtendSeq {
    first_token: i64,
    extend_len: i64,
    slots: Tensor,
    /// `[extend_len, seq_len]`, true where a query may look; absent where all may or the plain causal mask is meant.
    mask: Option<Tensor>,
    causal: bool,
}

impl AttentionPlan {
    pub(super) fn new(ctx: &ForwardContext<'_>, device: Device) -> Result<Self> {
        let seqs = ctx.plan.seqs.iter().zip(&ctx.slot_tables);
        if ctx.plan.is_decode() {
            let longest = ctx.slot_tables.iter().map(|s| s.len()).max().unwrap_or(0);
            let padded = ctx.slot_tables.iter().flat_map(|s| {
                s.iter().copied().chain(std::iter::repeat_n(ctx.padding_slot, longest - s.len()))
            });
            let slots = index_tensor(padded, device)?;
            let lengths = index_tensor(ctx.slot_tables.iter().map(|s| s.len() as u32), device)?;
            let requests = ctx.plan.seqs.len() as i64;
            let longest = longest as i64;
            let mask = Tensor::f_arange(longest, (Kind::Int64, device))?
                .f_unsqueeze(0)?
                .f_lt_tensor(&lengths.f_unsqueeze(1)?)?
                .f_view([requests, 1, 1, longest])?;
            return Ok(Self::Decode { slots, mask, requests, longest });
        }
        let extend = |(seq, slots): (&crate::plan::PlannedSeq, &&[u32])| -> Result<ExtendSeq> {
            let (extend_len, total) = (seq.extend_len as i64, seq.seq_len() as i64);
            let causal = seq.prefix_len == 0;
            let mask = if causal || extend_len == 1 {
                None
            } else {
                let all = Tensor::f_ones([extend_len, total], (Kind::Bool, device))?;
                Some(all.f_tril(seq.prefix_len as i64)?)
            };
            Ok(ExtendSeq {
                first_token: seq.first_token as i64,
                extend_len,
                slots: index_tensor(slots.iter().copied(), device)?,
                mask,
                causal,
            })
        };
        Ok(Self::Extend(seqs.map(extend).collect::<Result<_>>()?))
    }

    /// Attends `q` (`[tokens, heads, head_dim]`) to the pool; gives `[tokens, heads * head_dim]`.
    pub(super) fn run(&self, q: &Tensor, heads: HeadLayout, scale: f64, kv: LayerKv<'_>) -> Result<Tensor> {
        let (h, hkv, d) = (heads.num_heads as i64, heads.num_kv_heads as i64, heads.head_dim as i64);
        let attend = |q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal: bool| {
            Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale, h != hkv)
        };
        match self {
            Self::Decode { slots, mask, requests, longest } => {
                let gather = |pool: &Tensor| -> Result<Tensor> {
                    let rows = pool.f_index_select(0, slots)?.f_view([*requests, *longest, hkv, d])?;
                    Ok(rows.f_transpose(1, 2)?)
                };
                let q = q.f_reshape([*requests, h, 1, d])?;
                let out = attend(&q, &gather(kv.k)?, &gather(kv.v)?, Some(mask), false)?;
                Ok(out.f_reshape([*requests, h * d])?)
            }
            Self::Extend(seqs) => {
                let mut outputs = Vec::with_capacity(seqs.len());
                for seq in seqs {
                    let gather = |pool: &Tensor| -> Result<Tensor> {
                        Ok(pool.f_index_select(0, &seq.slots)?.f_transpose(0, 1)?.f_unsqueeze(0)?)
                    };
                    let q =
                        q.f_narrow(0, seq.first_token, seq.extend_len)?.f_transpose(0, 1)?.f_unsqueeze(0)?;
                    let out = attend(&q, &gather(kv.k)?, &gather(kv.v)?, seq.mask.as_ref(), seq.causal)?;
                    outputs
                        .push(out.f_squeeze_dim(0)?.f_transpose(0, 1)?.f_reshape([seq.extend_len, h * d])?);
                }
                Ok(Tensor::f_cat(&outputs, 0)?)
            }
        }
    }
}
