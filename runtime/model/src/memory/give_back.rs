//! Returns freed memory to the system.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

/// More bytes than any GPU has.
const MORE_THAN_ANY_GPU: i64 = 1 << 46;

/// Returns memory to the system that was freed but that allocators keep for reuse.
pub(crate) fn give_back_freed_memory(device: Device) {
    if device != Device::Cpu {
        // libtorch's CUDA allocator keeps freed memory, and the bindings have no call to empty it. It frees all unused
        // memory before it reports that memory has run out, so request an impossible amount.
        drop(Tensor::f_empty([MORE_THAN_ANY_GPU], (Kind::Uint8, device)));
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
