//! Attention over the paged pool with libtorch's operators. libtorch has no paged kernel, so keys and values are
//! gathered: per request when prefilling, or for all requests at once (padded to the longest) when decoding.

use std::cell::RefCell;
use std::rc::Rc;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::plan::ForwardPlan;

use super::index::index_tensor;
use super::{AttentionOptions, HeadLayout, LayerKv};

/// Gather indices and masks of one step, for all layers.
#[derive(Debug)]
pub(super) struct AttentionPlan {
    /// One group when decoding, one per request when prefilling.
    groups: Vec<Group>,
    /// Masks of the groups by window, created for the first layer with that window.
    masks: RefCell<Vec<(Option<i64>, Masks)>>,
    device: Device,
}

pub(super) type Masks = Rc<Vec<Mask>>;

/// Requests whose attention is computed together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) first_token: i64,
    pub(super) requests: i64,
    /// New tokens of each request.
    pub(super) queries: i64,
    /// Positions of the longest request.
    longest: i64,
    /// `[requests * longest]`.
    slots: Tensor,
    /// Positions of each request.
    lengths: Tensor,
    /// Whether some requests are shorter than the longest.
    padded: bool,
}

/// Which positions queries see.
#[derive(Debug)]
pub(super) enum Mask {
    /// All positions.
    All,
    /// Causal; all positions are new.
    Causal,
    /// True for positions that a query sees: `[requests, 1, queries, longest]`.
    Given(Tensor),
}

impl Group {
    fn new(seqs: &[(usize, usize, &[u32])], padding_slot: u32, device: Device) -> Result<Self> {
        let longest = seqs.iter().map(|(_, _, slots)| slots.len()).max().unwrap_or(0);
        let padded = seqs.iter().flat_map(|(_, _, slots)| {
            slots.iter().copied().chain(std::iter::repeat_n(padding_slot, longest - slots.len()))
        });
        let (first_token, queries) = seqs.first().map_or((0, 0), |(first, queries, _)| (*first, *queries));
        Ok(Self {
            first_token: first_token as i64,
            requests: seqs.len() as i64,
            queries: queries as i64,
            longest: longest as i64,
            slots: index_tensor(padded, device)?,
            lengths: index_tensor(seqs.iter().map(|(_, _, slots)| slots.len() as u32), device)?,
            padded: seqs.iter().any(|(_, _, slots)| slots.len() < longest),
        })
    }

    /// Gathers the pool's rows for all positions of the requests, `[requests, kv_heads, longest, columns]`.
    pub(super) fn gather(&self, pool: &Tensor) -> Result<Tensor> {
        let (_, heads, columns) = pool.size3()?;
        let rows = pool.f_index_select(0, &self.slots)?;
        Ok(rows.f_view([self.requests, self.longest, heads, columns])?.f_transpose(1, 2)?)
    }

    /// The mask for a window.
    fn mask(&self, window: Option<i64>, device: Device) -> Result<Mask> {
        let window = window.filter(|w| *w < self.longest);
        if window.is_none() && self.queries == 1 && !self.padded {
            return Ok(Mask::All);
        }
        if window.is_none() && self.queries == self.longest {
            return Ok(Mask::Causal);
        }
        let ends = self.lengths.f_view([self.requests, 1, 1, 1])?;
        let back = Tensor::f_arange_start(1 - self.queries, 1, (Kind::Int64, device))?;
        // The position of every query plus one.
        let ends = ends.f_add(&back.f_view([1, 1, self.queries, 1])?)?;
        let keys = Tensor::f_arange(self.longest, (Kind::Int64, device))?.f_view([1, 1, 1, self.longest])?;
        let seen = keys.f_lt_tensor(&ends)?;
        Ok(Mask::Given(match window {
            Some(window) => seen.f_logical_and(&keys.f_ge_tensor(&ends.f_sub_scalar(window)?)?)?,
            None => seen,
        }))
    }
}

impl AttentionPlan {
    /// The plan of a step whose requests have these slots; shorter requests are padded with `padding_slot`.
    pub(super) fn new(
        plan: &ForwardPlan,
        slot_tables: &[&[u32]],
        padding_slot: u32,
        device: Device,
    ) -> Result<Self> {
        let seqs: Vec<(usize, usize, &[u32])> = (plan.seqs.iter().zip(slot_tables))
            .map(|(seq, slots)| (seq.first_token, seq.extend_len, *slots))
            .collect();
        let together = if plan.is_decode() { seqs.len().max(1) } else { 1 };
        let groups =
            seqs.chunks(together).map(|c| Group::new(c, padding_slot, device)).collect::<Result<_>>()?;
        Ok(Self { groups, masks: RefCell::default(), device })
    }

    /// Requests whose attention is computed together.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The masks of the groups for a window.
    pub(super) fn masks(&self, window: Option<usize>) -> Result<Masks> {
        let window = window.and_then(|w| i64::try_from(w).ok());
        if let Some((_, masks)) = self.masks.borrow().iter().find(|(w, _)| *w == window) {
            return Ok(Rc::clone(masks));
        }
        let masks = self.groups.iter().map(|g| g.mask(window, self.device)).collect::<Result<Vec<_>>>()?;
        let masks = Rc::new(masks);
        self.masks.borrow_mut().push((window, Rc::clone(&masks)));
        Ok(masks)
    }

    /// Computes the attention of `q`, `[tokens, heads, head_dim]`, over the pool. Returns `[tokens, heads * head_dim]`.
    pub(super) fn run(
        &self,
        q: &Tensor,
        heads: HeadLayout,
        options: &AttentionOptions,
        kv: LayerKv<'_>,
    ) -> Result<Tensor> {
        let (h, d) = (heads.num_heads as i64, heads.head_dim as i64);
        let masks = self.masks(options.sliding_window)?;
        let mut outputs = Vec::with_capacity(self.groups.len());
        for (group, mask) in self.groups.iter().zip(masks.iter()) {
            let (n, queries) = (group.requests, group.queries);
            let q = q.f_narrow(0, group.first_token, n * queries)?.f_reshape([n, queries, h, d])?;
            let q = q.f_transpose(1, 2)?;
            let (k, v) = (group.gather(kv.k)?, group.gather(kv.v)?);
            let out = scaled_dot_product(&q, &k, &v, mask, options)?;
            outputs.push(out.f_transpose(1, 2)?.f_reshape([n * queries, h * d])?);
        }
        Ok(Tensor::f_cat(&outputs, 0)?)
    }
}

/// Attention of `[requests, heads, queries, columns]`; the number of KV heads divides the number of heads.
pub(super) fn scaled_dot_product(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    options: &AttentionOptions,
) -> Result<Tensor> {
    if options.logit_cap.is_some() || options.sinks.is_some() {
        return attend_step_by_step(q, k, v, mask, options);
    }
    let (given, causal) = match mask {
        Mask::All => (None, false),
        Mask::Causal => (None, true),
        Mask::Given(mask) => (Some(mask), false),
    };
    let grouped = q.size4()?.1 != k.size4()?.1;
    Ok(Tensor::f_scaled_dot_product_attention(q, k, v, given, 0.0, causal, options.scale, grouped)?)
}

/// Attention in separate operators, for options that libtorch's fused operator lacks. Shapes are `[requests, heads,
/// queries or positions, head_dim]`.
pub(super) fn attend_step_by_step(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &Mask,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let (n, h, queries, d) = q.size4()?;
    let (_, hkv, keys, _) = k.size4()?;
    let group = h / hkv.max(1);
    // Query heads that share a KV head are rows of one product.
    let q = q.f_reshape([n, hkv, group * queries, d])?;
    let scores = q.f_matmul(&k.f_transpose(2, 3)?)?.f_to_kind(Kind::Float)?.f_mul_scalar(options.scale)?;
    let mut scores = scores.f_view([n, h, queries, keys])?;
    if let Some(cap) = options.logit_cap {
        scores = scores.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?;
    }
    let hidden = match mask {
        Mask::All => None,
        Mask::Causal => {
            Some(Tensor::f_ones([queries, keys], (Kind::Bool, q.device()))?.f_tril(0)?.f_logical_not()?)
        }
        Mask::Given(seen) => Some(seen.f_logical_not()?),
    };
    if let Some(hidden) = hidden {
        scores = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    }
    if let Some(sinks) = &options.sinks {
        let sinks = sinks.f_view([1, h, 1, 1])?.f_expand([n, h, queries, 1], false)?;
        scores = Tensor::f_cat(&[scores, sinks], 3)?;
    }
    let weights = scores.f_softmax(-1, Kind::Float)?.f_narrow(3, 0, keys)?.f_to_kind(v.f_kind()?)?;
    let out = weights.f_reshape([n, hkv, group * queries, keys])?.f_matmul(v)?;
    Ok(out.f_view([n, h, queries, v.size4()?.3])?)
}
