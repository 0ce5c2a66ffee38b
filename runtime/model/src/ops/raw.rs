//! Accesses the memory of tensors as slices, and slices as tensors. No other module does.
#![allow(unsafe_code)]

use half::{bf16, f16};
use sglang_kernels::{KvSlice, KvSliceMut};
use tch::{Device, Kind, Tensor};

use crate::device::{device_name, number_name};
use crate::error::{ModelError, Result};

/// Returns an error if a tensor is not dense float32 on the host.
fn check(t: &Tensor) -> Result<usize> {
    let kind = t.f_kind()?;
    if t.device() != Device::Cpu || kind != Kind::Float || !t.is_contiguous() {
        return Err(ModelError::Kernel(format!(
            "the native kernels need dense float32 on a CPU, found {} on {}",
            number_name(kind),
            device_name(t.device())
        )));
    }
    Ok(t.numel())
}

/// All numbers of a dense float32 tensor.
pub(super) fn floats(t: &Tensor) -> Result<&[f32]> {
    match check(t)? {
        0 => Ok(&[]),
        // SAFETY: the tensor is contiguous float32 on the host with `n` elements; the slice borrows it, and the backend
        // does not write to tensors that are borrowed here (see `floats_mut`).
        n => Ok(unsafe { std::slice::from_raw_parts(t.data_ptr().cast::<f32>(), n) }),
    }
}

/// All numbers of a dense float32 tensor, mutable. No other tensor of the step shares its memory: the backend creates
/// its outputs itself and never returns views.
pub(super) fn floats_mut(t: &mut Tensor) -> Result<&mut [f32]> {
    match check(t)? {
        0 => Ok(&mut []),
        // SAFETY: as in `floats`, with the tensor borrowed mutably.
        n => Ok(unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast::<f32>(), n) }),
    }
}

/// Address and number of elements of a layer's keys or values.
fn pool_memory(t: &Tensor) -> Result<(*mut std::ffi::c_void, usize)> {
    if t.device() != Device::Cpu || !t.is_contiguous() || t.numel() == 0 {
        return Err(ModelError::Kernel("the native kernels need a KV pool on the CPU".to_owned()));
    }
    Ok((t.data_ptr(), t.numel()))
}

fn unknown_kind(kind: Kind) -> ModelError {
    ModelError::Kernel(format!("a KV pool of {} is not supported", number_name(kind)))
}

/// A layer's keys or values.
pub(super) fn pool_slice(t: &Tensor) -> Result<KvSlice<'_>> {
    let (start, n) = pool_memory(t)?;
    // SAFETY: the tensor is contiguous on the host with `n` elements of the kind matched on; the slice borrows it, and
    // `pool_slice_mut` is not called meanwhile.
    unsafe {
        match t.f_kind()? {
            Kind::Float => Ok(KvSlice::F32(std::slice::from_raw_parts(start.cast(), n))),
            Kind::Half => Ok(KvSlice::F16(std::slice::from_raw_parts(start.cast::<f16>(), n))),
            Kind::BFloat16 => Ok(KvSlice::BF16(std::slice::from_raw_parts(start.cast::<bf16>(), n))),
            other => Err(unknown_kind(other)),
        }
    }
}

/// A layer's keys or values, mutable. Takes `&Tensor` because the whole forward pass shares the pool by reference.
///
/// # Safety
/// While the result exists, there is no other slice of the tensor's memory.
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

/// A dense float32 tensor on the host with unspecified contents, which the caller overwrites completely.
pub(super) fn empty(rows: usize, columns: usize) -> Result<Tensor> {
    Ok(Tensor::f_empty([rows as i64, columns as i64], (Kind::Float, Device::Cpu))?)
}

/// The memory of a dense tensor on the host as mutable bytes, whatever its number format.
pub(crate) fn bytes_mut(t: &mut Tensor) -> Result<&mut [u8]> {
    if t.device() != Device::Cpu || !t.is_contiguous() {
        let device = device_name(t.device());
        return Err(ModelError::Kernel(format!("no dense tensor on a CPU but one on {device}")));
    }
    match t.numel() * t.f_kind()?.elt_size_in_bytes() {
        0 => Ok(&mut []),
        // SAFETY: the tensor is contiguous on the host and takes `n` bytes; the slice borrows it mutably. Every byte is
        // a valid `u8`, and any bytes are valid numbers.
        n => Ok(unsafe { std::slice::from_raw_parts_mut(t.data_ptr().cast::<u8>(), n) }),
    }
}

/// Requests huge pages for a host tensor that has not been written yet; they need 512 times fewer page faults. This is
/// only a hint.
pub(crate) fn prefer_huge_pages(t: &mut Tensor) -> Result<()> {
    const PAGE: usize = 4096;
    let bytes = bytes_mut(t)?;
    let skip = bytes.as_ptr().align_offset(PAGE);
    let length = bytes.len().saturating_sub(skip) / PAGE * PAGE;
    if let Some(pages) = bytes.get_mut(skip..skip + length).filter(|pages| !pages.is_empty()) {
        // SAFETY: the range is whole pages inside the tensor's memory; the advice changes no content.
        if unsafe { libc::madvise(pages.as_mut_ptr().cast(), pages.len(), libc::MADV_HUGEPAGE) } != 0 {
            tracing::debug!("no huge pages for weights: {}", std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Host bytes viewed as a matrix, copied only if they are not aligned.
pub(crate) struct HostView<'a> {
    tensor: Tensor,
    _bytes: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> HostView<'a> {
    /// `bytes` as `shape` numbers of `kind`.
    ///
    /// # Errors
    /// The number of bytes does not fit the shape.
    pub(crate) fn new(bytes: &'a [u8], shape: [i64; 2], kind: Kind) -> Result<Self> {
        let size = kind.elt_size_in_bytes();
        let wanted = usize::try_from(shape[0] * shape[1]).unwrap_or(0) * size;
        if bytes.len() != wanted {
            let (found, kind) = (bytes.len(), number_name(kind));
            return Err(ModelError::Kernel(format!("{found} bytes for {shape:?} of {kind}")));
        }
        let tensor = if wanted == 0 || bytes.as_ptr().align_offset(size) != 0 {
            Tensor::f_from_data_size(bytes, &shape, kind)?
        } else {
            // SAFETY: the bytes live for `'a`, are aligned, and fit the shape. The tensor stays in this struct, which
            // only lends it for reading.
            unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[shape[1], 1], kind, Device::Cpu)? }
        };
        Ok(Self { tensor, _bytes: std::marker::PhantomData })
    }

    /// The tensor, for reading only. A shallow clone must not outlive this view.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }
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

    #[test]
    fn bytes_are_read_as_numbers_wherever_they_lie() {
        let mut bytes = vec![0_u8; 1];
        bytes.extend([1.5_f32, -2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes));
        let aligned = bytes[1..].to_vec();
        for bytes in [&bytes[1..], &aligned] {
            let view = HostView::new(bytes, [2, 2], Kind::Float).unwrap();
            assert_eq!(floats(view.tensor()).unwrap(), [1.5, -2.0, 3.0, 4.0]);
        }
        assert!(HostView::new(&aligned, [2, 3], Kind::Float).is_err());
        assert!(HostView::new(&[], [0, 3], Kind::Float).is_ok());
    }

    #[test]
    fn a_tensor_is_written_as_bytes() {
        let mut t = Tensor::f_zeros([1024, 2048], (Kind::BFloat16, Device::Cpu)).unwrap();
        prefer_huge_pages(&mut t).unwrap();
        let bytes = bytes_mut(&mut t).unwrap();
        assert_eq!(bytes.len(), 1024 * 2048 * 2);
        bytes[..2].copy_from_slice(&bf16::from_f32(2.5).to_le_bytes());
        assert_eq!(t.double_value(&[0, 0]), 2.5);
        assert!(bytes_mut(&mut t.f_transpose(0, 1).unwrap()).is_err());
    }
}
