//! The project's own CUDA kernels, for what libtorch has no operator for (attention over pages) or needs several launches
//! for. [`super::TorchOps`] uses them on a GPU where tensors are laid out as they expect, and libtorch's operators elsewhere.
//!
//! Kernels run on the stream that libtorch uses, the default one of its device, so they need no synchronisation with it.

mod compile;
mod kernels;

pub(super) use kernels::{CudaKernels, DecodeTable, GateActivation, PagedDecode};
