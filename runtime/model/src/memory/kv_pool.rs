//! The KV pool: for each layer a tensor of keys and one of values, `[slots + 1, kv_heads, head_dim]`, or one tensor of
//! compressed rows for both.
#![allow(unsafe_code)]

use memmap2::MmapMut;
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};

/// What the KV cache of a layer holds per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvCacheShape {
    /// One key and one value per KV head (reference: `MHATokenToKVPool`).
    Heads {
        /// Key and value heads.
        kv_heads: usize,
        /// Columns of a head.
        head_dim: usize,
    },
    /// One compressed row from which the keys and values of all heads are computed (reference: `MLATokenToKVPool`). Its
    /// first columns serve as the values.
    Latent {
        /// Width of the compressed part.
        kv_lora_rank: usize,
        /// Width of the rest: the rotated part of the key, which all heads share.
        qk_rope_head_dim: usize,
    },
}

impl KvCacheShape {
    /// Number of elements per token.
    pub fn numbers_per_token(self) -> usize {
        match self {
            Self::Heads { kv_heads, head_dim } => 2 * kv_heads * head_dim,
            Self::Latent { kv_lora_rank, qk_rope_head_dim } => kv_lora_rank + qk_rope_head_dim,
        }
    }

    /// Heads and columns of the keys.
    fn keys(self) -> (usize, usize) {
        match self {
            Self::Heads { kv_heads, head_dim } => (kv_heads, head_dim),
            Self::Latent { kv_lora_rank, qk_rope_head_dim } => (1, kv_lora_rank + qk_rope_head_dim),
        }
    }

    /// Number of tensors per layer.
    fn tensors(self) -> usize {
        match self {
            Self::Heads { .. } => 2,
            Self::Latent { .. } => 1,
        }
    }

    /// Keys and values of a layer; `tensor` returns the layer's tensors by index.
    fn layer(self, tensor: impl Fn(usize) -> Result<Tensor>) -> Result<(Tensor, Tensor)> {
        let k = tensor(0)?;
        let v = match self {
            Self::Heads { .. } => tensor(1)?,
            Self::Latent { kv_lora_rank, .. } => k.f_narrow(2, 0, kv_lora_rank as i64)?,
        };
        Ok((k, v))
    }
}

/// Keys and values of every slot and layer (reference: `MHATokenToKVPool` and `MLATokenToKVPool`). Slots are
/// `0..slots`; one more exists for padding rows.
///
/// On a CPU, the memory is an anonymous mapping: it is zeroed, and takes no physical memory until it is written.
#[derive(Debug)]
pub struct MHATokenToKVPool {
    // Declared before `_memory`, so that tensors are dropped before their memory.
    layers: Vec<(Tensor, Tensor)>,
    shape: PoolShape,
    bytes: u64,
    _memory: Option<MmapMut>,
}

/// Parameters of a pool.
#[derive(Clone, Copy, Debug)]
struct PoolShape {
    layers: usize,
    slots: u32,
    shape: KvCacheShape,
    kind: Kind,
    device: Device,
}

impl MHATokenToKVPool {
    /// Bytes per token in `layers` layers.
    pub fn bytes_per_token(layers: usize, shape: KvCacheShape, kind: Kind) -> u64 {
        (layers * shape.numbers_per_token() * kind.elt_size_in_bytes()) as u64
    }

    /// Allocates the pool.
    ///
    /// # Errors
    /// There is not enough memory or address space.
    pub fn new(layers: usize, slots: u32, shape: KvCacheShape, kind: Kind, device: Device) -> Result<Self> {
        Self::of_shape(PoolShape { layers, slots, shape, kind, device })
    }

    fn of_shape(made_from: PoolShape) -> Result<Self> {
        let PoolShape { layers, slots, shape, kind, device } = made_from;
        let rows = slots as usize + 1;
        let (heads, columns) = shape.keys();
        let size = [rows as i64, heads as i64, columns as i64];
        let bytes = Self::bytes_per_token(layers, shape, kind) * rows as u64;
        if device != Device::Cpu {
            let zeros = |_| Ok(Tensor::f_zeros(size, (kind, device))?);
            let layers = (0..layers).map(|_| shape.layer(zeros)).collect::<Result<_>>()?;
            return Ok(Self { layers, shape: made_from, bytes, _memory: None });
        }
        let each = rows * heads * columns * kind.elt_size_in_bytes();
        // Every tensor begins on a cache line.
        let stride = each.next_multiple_of(64);
        let per_layer = shape.tensors();
        let length = stride * layers.max(1) * per_layer;
        let mut memory = MmapMut::map_anon(length.max(1)).map_err(|e| ModelError::Option {
            flag: "max-total-tokens",
            value: slots.to_string(),
            why: format!("{length} bytes of KV cache cannot be allocated: {e}"),
        })?;
        let base = memory.as_mut_ptr();
        let strides = [(heads * columns) as i64, columns as i64, 1];
        let tensor = |index: usize| -> Result<Tensor> {
            // SAFETY: `index` is below `per_layer * layers`, so that `each` bytes from there lie inside the mapping, which is
            // writable, 64-byte aligned at that offset and lives as long as the tensors (same struct, dropped later).
            Ok(unsafe { Tensor::f_from_blob(base.add(index * stride), &size, &strides, kind, Device::Cpu)? })
        };
        let layers =
            (0..layers).map(|l| shape.layer(|i| tensor(per_layer * l + i))).collect::<Result<_>>()?;
        Ok(Self { layers, shape: made_from, bytes, _memory: Some(memory) })
    }

    /// Releases the memory; the pool has no layers until [`MHATokenToKVPool::resume`].
    pub fn release(&mut self) {
        self.layers = Vec::new();
        self._memory = None;
    }

    /// Allocates the memory again after a release. It is zeroed.
    ///
    /// # Errors
    /// Same as [`MHATokenToKVPool::new`]; the pool then stays released.
    pub fn resume(&mut self) -> Result<()> {
        *self = Self::of_shape(self.shape)?;
        Ok(())
    }

    /// Keys and values of a layer.
    ///
    /// # Errors
    /// The layer does not exist, or the pool is released.
    pub fn layer(&self, index: usize) -> Result<(&Tensor, &Tensor)> {
        self.layers
            .get(index)
            .map(|(k, v)| (k, v))
            .ok_or_else(|| ModelError::Kernel(format!("the KV pool has no layer {index}")))
    }

    /// Number of slots that requests may use.
    pub fn slots(&self) -> u32 {
        self.shape.slots
    }

    /// Bytes of the pool, whether used or not.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_do_not_overlap_and_start_at_zero() {
        let shape = KvCacheShape::Heads { kv_heads: 2, head_dim: 3 };
        let pool = MHATokenToKVPool::new(3, 5, shape, Kind::Float, Device::Cpu).unwrap();
        assert_eq!(pool.bytes(), 3 * 2 * 6 * 2 * 3 * 4);
        for l in 0..3 {
            let (k, v) = pool.layer(l).unwrap();
            for (t, x) in [(k, l as f64 + 1.0), (v, -(l as f64) - 1.0)] {
                assert_eq!(t.size(), [6, 2, 3]);
                assert_eq!(t.f_abs().unwrap().f_sum(Kind::Float).unwrap().f_double_value(&[]).unwrap(), 0.0);
                let _ = t.shallow_clone().f_fill_(x).unwrap();
            }
        }
        for l in 0..3 {
            let sum = pool.layer(l).unwrap().0.f_sum(Kind::Float).unwrap().f_double_value(&[]).unwrap();
            assert_eq!(sum, 36.0 * (l as f64 + 1.0));
        }
        assert!(pool.layer(3).is_err());
    }

    #[test]
    fn a_compressed_layer_is_one_row_whose_first_columns_are_the_values() {
        // DeepSeek-V3's sizes: 576 numbers in place of 2 * 128 * 128 or more.
        let shape = KvCacheShape::Latent { kv_lora_rank: 512, qk_rope_head_dim: 64 };
        assert_eq!(MHATokenToKVPool::bytes_per_token(61, shape, Kind::BFloat16), 61 * 576 * 2);
        let pool = MHATokenToKVPool::new(2, 3, shape, Kind::BFloat16, Device::Cpu).unwrap();
        assert_eq!(pool.bytes(), 2 * 4 * 576 * 2);
        let (k, v) = pool.layer(1).unwrap();
        assert_eq!((k.size(), v.size()), (vec![4, 1, 576], vec![4, 1, 512]));
        let _ = k.shallow_clone().f_fill_(2.0).unwrap();
        let sum = |t: &Tensor| t.f_sum(Kind::Float).unwrap().f_double_value(&[]).unwrap();
        assert_eq!((sum(v), sum(pool.layer(0).unwrap().0)), (4.0 * 512.0 * 2.0, 0.0));
    }

    #[test]
    fn a_released_pool_takes_no_memory_and_comes_back_empty() {
        let mut pool = MHATokenToKVPool::new(
            2,
            1 << 16,
            KvCacheShape::Heads { kv_heads: 4, head_dim: 64 },
            Kind::Float,
            Device::Cpu,
        )
        .unwrap();
        let before = resident();
        for l in 0..2 {
            let (k, v) = pool.layer(l).unwrap();
            for t in [k, v] {
                let _ = t.shallow_clone().f_fill_(1.0).unwrap();
            }
        }
        let full = resident();
        assert!(full > before + (200 << 20), "{before} {full}");
        pool.release();
        assert!(resident() < full - (200 << 20));
        assert!(pool.layer(0).is_err());
        pool.resume().unwrap();
        let (k, _) = pool.layer(1).unwrap();
        assert_eq!((pool.slots(), k.size()), (1 << 16, vec![(1 << 16) + 1, 4, 64]));
        let sum = k.f_narrow(0, 0, 100).unwrap().f_sum(Kind::Float).unwrap();
        assert_eq!(sum.f_double_value(&[]).unwrap(), 0.0);
    }

    fn resident() -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    #[test]
    fn a_large_pool_takes_no_memory_before_it_is_written() {
        let before = resident();
        let shape = KvCacheShape::Heads { kv_heads: 4, head_dim: 64 };
        let pool = MHATokenToKVPool::new(4, 1 << 16, shape, Kind::Float, Device::Cpu).unwrap();
        assert!(pool.bytes() >= 512 << 20);
        assert!(resident() < before + (32 << 20));
    }
}
