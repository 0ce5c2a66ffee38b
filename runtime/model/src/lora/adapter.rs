//! One adapter's matrices.

use std::collections::HashMap;

use sglang_checkpoint::GgmlType;
use sglang_checkpoint::safetensors::{Dtype, TensorView};
use tch::{Device, Kind};

use crate::error::Result;
use crate::loader::{TensorBytes, WeightTarget, dense};
use crate::ops::{LoraPart, Matrix, native_matrix};

/// An adapter: for each site that it changes, its matrices.
#[derive(Debug)]
pub struct LoraAdapter {
    /// What products are multiplied with: alpha by rank, or by its root.
    pub scaling: f64,
    /// Bytes of all matrices.
    pub bytes: u64,
    sites: HashMap<usize, Vec<LoraPart>>,
}

impl LoraAdapter {
    /// An adapter from its matrices.
    pub(super) fn new(scaling: f64, sites: HashMap<usize, Vec<LoraPart>>) -> Self {
        let matrices = sites.values().flatten().flat_map(|part| [&part.a, &part.b]);
        let bytes = matrices.map(bytes_of).sum();
        Self { scaling, bytes, sites }
    }

    /// The matrices for a site; none where the adapter changes nothing.
    pub fn parts(&self, site: usize) -> &[LoraPart] {
        self.sites.get(&site).map_or(&[], Vec::as_slice)
    }

    /// A copy on another device.
    ///
    /// # Errors
    /// The device has no room for it.
    pub(super) fn to_device(&self, device: Device) -> Result<Self> {
        let part = |part: &LoraPart| -> Result<LoraPart> {
            let columns = part.columns.clone();
            Ok(LoraPart { a: moved(&part.a, device)?, b: moved(&part.b, device)?, columns })
        };
        let site = |(site, parts): (&usize, &Vec<LoraPart>)| -> Result<(usize, Vec<LoraPart>)> {
            Ok((*site, parts.iter().map(part).collect::<Result<_>>()?))
        };
        let sites = self.sites.iter().map(site).collect::<Result<_>>()?;
        Ok(Self { scaling: self.scaling, bytes: self.bytes, sites })
    }
}

fn bytes_of(matrix: &Matrix) -> u64 {
    match matrix {
        Matrix::Native(w) => w.bytes().len() as u64,
        Matrix::Torch(t) => {
            let size = t.f_kind().map_or(4, Kind::elt_size_in_bytes);
            (t.numel() * size) as u64
        }
    }
}

fn moved(matrix: &Matrix, device: Device) -> Result<Matrix> {
    match matrix {
        Matrix::Native(w) => Ok(Matrix::Native(w.slice_rows(0..w.rows())?)),
        Matrix::Torch(t) => Ok(Matrix::Torch(t.f_to(device)?)),
    }
}

/// A matrix in the backend's form, in host memory. The native kernels keep the adapter's own number format, whatever
/// `--dtype` says: adapters are small.
pub(super) fn host_matrix(
    view: &TensorView<'_>,
    storage: GgmlType,
    shape: [usize; 2],
    target: WeightTarget,
) -> Result<Matrix> {
    let [rows, columns] = shape;
    let data = TensorBytes::Memory(view.data.to_vec());
    match target {
        WeightTarget::Native(_) => {
            Ok(Matrix::Native(native_matrix(storage, &[&data], rows, columns, Kind::Float)?))
        }
        WeightTarget::Torch(_, kind) => {
            Ok(Matrix::Torch(dense(storage, &[&data], rows, columns, Device::Cpu, kind)?))
        }
    }
}

/// The number format of an adapter's tensor in the kernels' terms.
pub(super) fn storage_of(dtype: Dtype) -> Option<GgmlType> {
    match dtype {
        Dtype::F32 => Some(GgmlType::F32),
        Dtype::F16 => Some(GgmlType::F16),
        Dtype::BF16 => Some(GgmlType::BF16),
        _ => None,
    }
}
