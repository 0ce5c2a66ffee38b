//! Handing freed memory on to the system.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

/// Bytes that no GPU has.
const MORE_THAN_ANY_GPU: i64 = 1 << 46;

/// Gives memory that has been freed, but that allocators keep for later, back to the system.
pub(crate) fn give_back_freed_memory(device: Device) {
    if device != Device::Cpu {
        // libtorch's CUDA allocator keeps what is freed, and the bindings cannot tell it to stop. Before it says that
        // there is no memory it gives everything unused back, so this asks for what cannot be had.
        drop(Tensor::f_empty([MORE_THAN_ANY_GPU], (Kind::Uint8, device)));
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
