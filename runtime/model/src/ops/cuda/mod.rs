//! The project's CUDA kernels, for operations that libtorch lacks (paged attention) or that take several launches
//! there. On a GPU, [`super::TorchOps`] uses them if tensors have the expected layout, and libtorch's operators
//! otherwise.
//!
//! Kernels run on libtorch's stream, the default stream of the device, so they need no synchronisation.

mod compile;
mod kernels;

pub(super) use kernels::{CudaKernels, DecodeTable, GateActivation, PagedDecode};
