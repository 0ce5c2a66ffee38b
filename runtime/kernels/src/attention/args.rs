//! The arguments of attention and their check.

use crate::error::{KernelError, Result, check_len};
use crate::rows::Rows;

/// Shape of a layer's keys (or values): `[slots, kv_heads, head_dim]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLayout {
    /// Tokens that fit in the pool.
    pub slots: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
}

impl KvLayout {
    /// Number of elements in a slot.
    pub fn row(&self) -> usize {
        self.kv_heads.saturating_mul(self.head_dim)
    }

    /// Number of elements in the pool.
    pub fn len(&self) -> usize {
        self.row().saturating_mul(self.slots)
    }

    /// Whether the pool has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keys or values of a layer, in the pool's number format.
#[derive(Clone, Copy, Debug)]
pub enum KvSlice<'a> {
    /// Float32.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [half::f16]),
    /// bfloat16.
    BF16(&'a [half::bf16]),
}

impl KvSlice<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F16(x) => x.len(),
            Self::BF16(x) => x.len(),
        }
    }
}

/// Where a layer's values are.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// In a separate pool of the same shape as the keys.
    Own(KvSlice<'a>),
    /// The given number of first columns of each key head (multi-head latent attention, DeepSeek-AI, 2024).
    OfKeys(usize),
}

/// A layer of the KV pool.
#[derive(Clone, Copy, Debug)]
pub struct PagedKv<'a> {
    /// Shape of the keys.
    pub layout: KvLayout,
    /// Keys.
    pub k: KvSlice<'a>,
    /// Values.
    pub v: Values<'a>,
}

impl PagedKv<'_> {
    /// Columns of a head's values.
    pub fn value_dim(&self) -> usize {
        match self.v {
            Values::Own(_) => self.layout.head_dim,
            Values::OfKeys(dim) => dim,
        }
    }
}

/// The queries of one request in this step.
#[derive(Clone, Copy, Debug)]
pub struct AttentionRequest<'a> {
    /// First row of the request.
    pub q_start: usize,
    /// Number of rows; 1 when decoding. Row `t` is at position `seq_len - q_len + t`.
    pub q_len: usize,
    /// Positions in the pool, those of the queries included.
    pub seq_len: usize,
    /// Slot of every position, at least `seq_len` of them.
    pub slots: &'a [u32],
}

/// How scores become weights.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions<'a> {
    /// Factor of the query-key products.
    pub scale: f32,
    /// Whether a query sees only positions up to its own. Encoders see all.
    pub causal: bool,
    /// Most positions that a query sees, its own included.
    pub sliding_window: Option<usize>,
    /// `cap * tanh(score / cap)` in place of the score (Gemma 2).
    pub logit_cap: Option<f32>,
    /// One logit per query head that takes part in the softmax but has no value (attention sinks of gpt-oss).
    pub sinks: Option<&'a [f32]>,
}

impl AttentionOptions<'_> {
    /// Causal attention without window, cap or sinks.
    pub fn causal(scale: f32) -> Self {
        Self { scale, causal: true, sliding_window: None, logit_cap: None, sinks: None }
    }
}

/// Checks that the arguments fit together. If they do, every index that the kernels compute is inside its slice.
pub(super) fn check(
    q: Rows<'_>,
    heads: usize,
    kv: &PagedKv<'_>,
    requests: &[AttentionRequest<'_>],
    options: &AttentionOptions<'_>,
    out_len: usize,
) -> Result<()> {
    let layout = kv.layout;
    if layout.kv_heads == 0 || layout.head_dim == 0 {
        return Err(value("number of KV heads or head dimension", 0, "at least 1"));
    }
    if heads == 0 || !heads.is_multiple_of(layout.kv_heads) {
        return Err(value(
            "number of query heads",
            heads,
            &format!("a multiple of {} KV heads", layout.kv_heads),
        ));
    }
    check_len("the keys", kv.k.len(), layout.len(), "slots times heads times dimension")?;
    match kv.v {
        Values::Own(v) => {
            check_len("the values", v.len(), layout.len(), "slots times heads times dimension")?;
        }
        Values::OfKeys(dim) if dim == 0 || dim > layout.head_dim => {
            return Err(value("columns of the values", dim, &format!("from 1 to {}", layout.head_dim)));
        }
        Values::OfKeys(_) => {}
    }
    check_len("a row of queries", q.cols(), heads.saturating_mul(layout.head_dim), "heads times dimension")?;
    let out_cols = heads.saturating_mul(kv.value_dim());
    check_len("the output of attention", out_len, q.rows().saturating_mul(out_cols), "heads times values")?;
    if let Some(sinks) = options.sinks {
        check_len("the sinks", sinks.len(), heads, "one per query head")?;
    }
    if options.sliding_window == Some(0) {
        return Err(value("sliding window", 0, "at least 1"));
    }
    let mut covered = vec![false; q.rows()];
    for r in requests {
        if r.q_len > r.seq_len {
            return Err(value(
                "queries of a request",
                r.q_len,
                &format!("at most its {} positions", r.seq_len),
            ));
        }
        let end = r.q_start.saturating_add(r.q_len);
        let rows = covered
            .get_mut(r.q_start.min(end)..end)
            .ok_or_else(|| value("last row of a request", end, &format!("within {} rows", q.rows())))?;
        if rows.iter().any(|&c| c) {
            return Err(value("first row of a request", r.q_start, "a row that no other request has"));
        }
        rows.fill(true);
        let slots = r.slots.get(..r.seq_len).ok_or_else(|| {
            value(
                "number of slots of a request",
                r.slots.len(),
                &format!("at least its {} positions", r.seq_len),
            )
        })?;
        let worst = slots.iter().copied().max().unwrap_or(0) as usize;
        if worst >= layout.slots && r.seq_len > 0 {
            return Err(value("slot", worst, &format!("below the {} slots of the pool", layout.slots)));
        }
    }
    Ok(())
}

fn value(name: &'static str, got: usize, want: &str) -> KernelError {
    KernelError::Value { name, got, want: want.to_owned() }
}
