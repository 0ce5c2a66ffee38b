//! Helpers of the operations on the project's CPU kernels.

use sglang_kernels::{KernelError, ThreadPool, WeightMatrix};

use crate::error::{ModelError, Result};

use super::Activation;
use super::weight::Matrix;

impl From<KernelError> for ModelError {
    fn from(e: KernelError) -> Self {
        Self::Kernel(e.to_string())
    }
}

/// The native form of a matrix, which this backend's loader creates.
pub(super) fn native(matrix: &Matrix) -> Result<&WeightMatrix> {
    match matrix {
        Matrix::Native(w) => Ok(w),
        Matrix::Torch(_) => {
            Err(ModelError::Kernel("a libtorch matrix reached the native kernels".to_owned()))
        }
    }
}

/// `activation(gate) * up` for rows of `2 * width` columns.
pub(super) fn activate(
    pool: &ThreadPool,
    gate_up: &[f32],
    width: usize,
    activation: Activation,
    out: &mut [f32],
) -> Result<()> {
    match activation {
        Activation::Silu => sglang_kernels::silu_and_mul(pool, gate_up, width, out)?,
        Activation::GeluTanh => sglang_kernels::gelu_tanh_and_mul(pool, gate_up, width, out)?,
        Activation::ClampedSwiglu { alpha, limit } => {
            sglang_kernels::clamped_swiglu_and_mul(pool, gate_up, width, alpha as f32, limit as f32, out)?;
        }
    }
    Ok(())
}
