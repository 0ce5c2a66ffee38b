//! Logits on the host.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

use crate::device::device_name;
use crate::error::{ModelError, Result};

/// Rows that are computed together. This limits the memory of logits for long prompts (32 MiB for 64k ids).
pub(super) const ROWS_AT_ONCE: usize = 128;

/// Float32 logits, `[rows, width]`; the first `vocab_size` columns are tokens.
pub(super) struct Logits {
    tensor: Tensor,
    rows: usize,
    width: usize,
    vocab_size: usize,
}

impl Logits {
    /// Takes a contiguous float32 tensor on any device.
    pub(super) fn new(tensor: &Tensor, vocab_size: usize) -> Result<Self> {
        let tensor = tensor.f_to(Device::Cpu)?;
        let (rows, width) = tensor.size2()?;
        let (rows, width) = (rows as usize, width as usize);
        let host =
            tensor.device() == Device::Cpu && tensor.f_kind()? == Kind::Float && tensor.is_contiguous();
        if !host || width < vocab_size {
            return Err(ModelError::Kernel(format!(
                "logits of {width} columns on {} for {vocab_size} tokens",
                device_name(tensor.device())
            )));
        }
        Ok(Self { tensor, rows, width, vocab_size })
    }

    /// One row; empty past the end.
    pub(super) fn row(&mut self, index: usize) -> &mut [f32] {
        if index >= self.rows {
            return &mut [];
        }
        // SAFETY: the tensor is contiguous float32 on the host with `rows * width` elements, checked on construction;
        // only this struct owns it, and the slice borrows `self`.
        unsafe {
            let start = self.tensor.data_ptr().cast::<f32>().add(index * self.width);
            std::slice::from_raw_parts_mut(start, self.vocab_size)
        }
    }
}
