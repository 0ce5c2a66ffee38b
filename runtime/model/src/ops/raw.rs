//! The numbers of a tensor as a slice. The one place where the native backend touches tensors' memory.
#![allow(unsafe_code)]

use half::{bf16, f16};
use sglang_kernels::{KvSlice, KvSliceMut};
use tch::{Device, Kind, Tensor};

use crate::error::{ModelError, Result};

/// Refuses what is not dense float32 on the host.
fn check(t: &Tensor) -> Result<usize> {
    let kind = t.f_kind()?;
    if t.device() != Device::Cpu || kind != Kind::Float || !t.is_contiguous() {
        return Err(ModelError::Kernel(format!(
            "the native kernels need dense float32 on a CPU, found {kind:?} on {:?}",
            t.device()
        )));
    }
    Ok(t.numel())
}

/// All numbers of a dense float32 tensor.
pub(super) fn floats(t: &Tensor) -> Result<&[f32]> {
    match check(t)? {
        0 => Ok(&[]),
        // SAFETY: the tensor is contiguous float32 on the host with `n` elements; it is borrowed for as long as the slice,
        // and the backend writes to no tensor that is borrowed here (see `floats_mut`).
        n => Ok(unsafe { std::slice::from_raw_parts(t.data_ptr().cast::<f32>(), n) }),
    }
}

/// All numbers of a dense float32 tensor, to write. No other tensor of the step shares its memory: the backend makes
/// its outputs itself and never hands out views.
pub(super) fn floats_mut(t: &mut Tensor) -> Result<&mut [f32]> {
    match check(t)? {
        0 => Ok(&mut []),
        // SAFETY: as in `floats`, with the tensor borrowed mutably.
        n => Ok(unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast::<f32>(), n) }),
    }
}

/// Where the numbers of a layer's keys or values are, and how many.
fn pool_memory(t: &Tensor) -> Result<(*mut std::ffi::c_void, usize)> {
    if t.device() != Device::Cpu || !t.is_contiguous() || t.numel() == 0 {
        return Err(ModelError::Kernel("the native kernels need a KV pool on the CPU".to_owned()));
    }
    Ok((t.data_ptr(), t.numel()))
}

fn unknown_kind(kind: Kind) -> ModelError {
    ModelError::Kernel(format!("a KV pool of {kind:?} is not supported"))
}

/// A layer's keys or values.
pub(super) fn pool_slice(t: &Tensor) -> Result<KvSlice<'_>> {
    let (start, n) = pool_memory(t)?;
    // SAFETY: the tensor is contiguous on the host with `n` elements of the kind matched on; it is borrowed for as long as
    // the slice, and `pool_slice_mut` is not called meanwhile.
    unsafe {
        match t.f_kind()? {
            Kind::Float => Ok(KvSlice::F32(std::slice::from_raw_parts(start.cast(), n))),
            Kind::Half => Ok(KvSlice::F16(std::slice::from_raw_parts(start.cast::<f16>(), n))),
            Kind::BFloat16 => Ok(KvSlice::BF16(std::slice::from_raw_parts(start.cast::<bf16>(), n))),
            other => Err(unknown_kind(other)),
        }
    }
}

/// A layer's keys or values, to write. The pool is shared by reference in the whole forward pass, hence no `&mut`.
///
/// # Safety
/// No other slice of the tensor's memory is alive while the result is.
pub(super) unsafe fn pool_slice_mut(t: &Tensor) -> Result<KvSliceMut<'_>> {
    let (start, n) = pool_memory(t)?;
    // SAFETY: as in `pool_slice`; the caller promises that nothing else refers to the memory.
    unsafe {
        match t.f_kind()? {
            Kind::Float => Ok(KvSliceMut::F32(std::slice::from_raw_parts_mut(start.cast(), n))),
            Kind::Half => Ok(KvSliceMut::F16(std::slice::from_raw_parts_mut(start.cast::<f16>(), n))),
            Kind::BFloat16 => Ok(KvSliceMut::BF16(std::slice::from_raw_parts_mut(start.cast::<bf16>(), n))),
            other => Err(unknown_kind(other)),
        }
    }
}

/// A dense float32 tensor on the host with unspecified numbers, to be written whole.
pub(super) fn empty(rows: usize, columns: usize) -> Result<Tensor> {
    Ok(Tensor::f_empty([rows as i64, columns as i64], (Kind::Float, Device::Cpu))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dense_float32_is_taken() {
        let mut t = Tensor::f_from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).unwrap().f_view([2, 2]).unwrap();
        floats_mut(&mut t).unwrap()[3] = 9.0;
        assert_eq!(floats(&t).unwrap(), [1.0, 2.0, 3.0, 9.0]);
        assert!(floats(&t.f_transpose(0, 1).unwrap()).is_err());
        assert!(floats(&t.f_to_kind(Kind::Double).unwrap()).is_err());
        assert!(floats(&empty(0, 4).unwrap()).unwrap().is_empty());
    }
}
