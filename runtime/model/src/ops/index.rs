//! Index tensors.

use tch::{Device, Tensor};

use crate::error::Result;

/// Indices as an int64 tensor on `device`.
pub(super) fn index_tensor(values: impl Iterator<Item = u32>, device: Device) -> Result<Tensor> {
    let values: Vec<i64> = values.map(i64::from).collect();
    Ok(Tensor::f_from_slice(&values)?.f_to(device)?)
}
