//! Writing keys and values into the pool.

use crate::error::{KernelError, Result, check_len};
use crate::rows::Rows;

use super::KvLayout;

/// Keys or values of a layer, mutable.
#[derive(Debug)]
pub enum KvSliceMut<'a> {
    /// Float32.
    F32(&'a mut [f32]),
    /// Half precision.
    F16(&'a mut [half::f16]),
    /// bfloat16.
    BF16(&'a mut [half::bf16]),
}

impl KvSliceMut<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F16(x) => x.len(),
            Self::BF16(x) => x.len(),
        }
    }

    fn write(&mut self, start: usize, row: &[f32]) {
        let range = start..start + row.len();
        match self {
            Self::F32(x) => {
                if let Some(to) = x.get_mut(range) {
                    to.copy_from_slice(row);
                }
            }
            Self::F16(x) => {
                for (to, &from) in x.get_mut(range).unwrap_or(&mut []).iter_mut().zip(row) {
                    *to = half::f16::from_f32(from);
                }
            }
            Self::BF16(x) => {
                for (to, &from) in x.get_mut(range).unwrap_or(&mut []).iter_mut().zip(row) {
                    *to = half::bf16::from_f32(from);
                }
            }
        }
    }
}

/// Writes row `i` of `k` and `v`, `[tokens, kv_heads * head_dim]` each, to slot `slots[i]` of the caches, rounding to
/// their number format.
///
/// # Errors
/// Sizes do not fit, or a slot is outside the pool. Nothing is written then.
pub fn store_kv(
    k: Rows<'_>,
    v: Rows<'_>,
    slots: &[u32],
    layout: KvLayout,
    k_cache: &mut KvSliceMut<'_>,
    v_cache: &mut KvSliceMut<'_>,
) -> Result<()> {
    check_len("a row of keys", k.cols(), layout.row(), "KV heads times dimension")?;
    check_len("a row of values", v.cols(), layout.row(), "KV heads times dimension")?;
    check_len("the rows of keys", k.rows(), slots.len(), "one per slot")?;
    check_len("the rows of values", v.rows(), slots.len(), "one per slot")?;
    check_len("the key cache", k_cache.len(), layout.len(), "slots times heads times dimension")?;
    check_len("the value cache", v_cache.len(), layout.len(), "slots times heads times dimension")?;
    check_slots(slots, layout)?;
    for (i, &slot) in slots.iter().enumerate() {
        k_cache.write(slot as usize * layout.row(), k.row(i));
        v_cache.write(slot as usize * layout.row(), v.row(i));
    }
    Ok(())
}

/// Writes row `i` of `rows`, `[tokens, head_dim]`, to slot `slots[i]` of a cache whose values are columns of its keys.
///
/// # Errors
/// Same as [`store_kv`].
pub fn store_latent(
    rows: Rows<'_>,
    slots: &[u32],
    layout: KvLayout,
    cache: &mut KvSliceMut<'_>,
) -> Result<()> {
    check_len("a row of keys", rows.cols(), layout.row(), "KV heads times dimension")?;
    check_len("the rows of keys", rows.rows(), slots.len(), "one per slot")?;
    check_len("the key cache", cache.len(), layout.len(), "slots times heads times dimension")?;
    check_slots(slots, layout)?;
    for (i, &slot) in slots.iter().enumerate() {
        cache.write(slot as usize * layout.row(), rows.row(i));
    }
    Ok(())
}

fn check_slots(slots: &[u32], layout: KvLayout) -> Result<()> {
    match slots.iter().find(|&&s| s as usize >= layout.slots) {
        Some(&bad) => Err(KernelError::Value {
            name: "slot",
            got: bad as usize,
            want: format!("below the {} slots of the pool", layout.slots),
        }),
        None => Ok(()),
    }
}
