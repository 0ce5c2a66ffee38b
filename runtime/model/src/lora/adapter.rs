//! The matrices of one adapter.

use std::collections::HashMap;

use sglang_checkpoint::GgmlType;
use sglang_checkpoint::safetensors::{Dtype, TensorView};
use tch::{Device, Kind};

use crate::error::Result;
use crate::loader::{TensorBytes, WeightTarget, dense, dequantized, native_matrix};
use crate::ops::{LinearWeight, LoraPart, Matrix};

/// An adapter: its matrices for each site that it changes.
#[derive(Debug)]
pub struct LoraAdapter {
    /// Factor of the adapter's products: alpha divided by the rank, or by its square root.
    pub scaling: f64,
    /// Bytes of all matrices.
    pub bytes: u64,
    sites: HashMap<usize, Vec<LoraPart>>,
    embedding: Option<LoraEmbedding>,
}

/// An adapter's change of the embedding.
#[derive(Debug)]
pub struct LoraEmbedding {
    /// `Aᵀ`, `[vocab, rank]`: row `t` is the product of `A` with the one-hot vector of token `t`.
    pub table: LinearWeight,
    /// `B`, which is applied to rows of the table.
    pub part: LoraPart,
}

impl LoraAdapter {
    /// Creates an adapter from its matrices.
    pub(super) fn new(
        scaling: f64,
        sites: HashMap<usize, Vec<LoraPart>>,
        embedding: Option<LoraEmbedding>,
    ) -> Self {
        let parts = sites.values().flatten().chain(embedding.as_ref().map(|e| &e.part));
        let matrices = parts.flat_map(|part| part.a.iter().chain([&part.b]));
        let tables = embedding.iter().flat_map(|e| e.table.parts());
        let bytes = matrices.chain(tables).map(bytes_of).sum();
        Self { scaling, bytes, sites, embedding }
    }

    /// The matrices for a site; empty if the adapter does not change it.
    pub fn parts(&self, site: usize) -> &[LoraPart] {
        self.sites.get(&site).map_or(&[], Vec::as_slice)
    }

    /// The change of the embedding; `None` if the adapter does not change it.
    pub fn embedding(&self) -> Option<&LoraEmbedding> {
        self.embedding.as_ref()
    }

    /// A copy on another device.
    ///
    /// # Errors
    /// The device has too little memory.
    pub(super) fn to_device(&self, device: Device) -> Result<Self> {
        let part = |part: &LoraPart| -> Result<LoraPart> {
            let (a, columns) = (part.a.as_ref(), part.columns.clone());
            let a = a.map(|a| moved(a, device)).transpose()?;
            Ok(LoraPart { a, b: moved(&part.b, device)?, columns })
        };
        let embedding = |e: &LoraEmbedding| -> Result<LoraEmbedding> {
            let table = LinearWeight::new(vec![moved(e.table.only_part()?, device)?], None)?;
            Ok(LoraEmbedding { table, part: part(&e.part)? })
        };
        let site = |(site, parts): (&usize, &Vec<LoraPart>)| -> Result<(usize, Vec<LoraPart>)> {
            Ok((*site, parts.iter().map(part).collect::<Result<_>>()?))
        };
        let sites = self.sites.iter().map(site).collect::<Result<_>>()?;
        let embedding = self.embedding.as_ref().map(embedding).transpose()?;
        Ok(Self { scaling: self.scaling, bytes: self.bytes, sites, embedding })
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

/// A matrix in the backend's form, in host memory. For the native kernels, the adapter keeps its number format
/// regardless of `--dtype`, because adapters are small.
pub(super) fn host_matrix(
    view: &TensorView<'_>,
    storage: GgmlType,
    shape: [usize; 2],
    target: WeightTarget,
) -> Result<Matrix> {
    in_form_of(target, storage, &TensorBytes::Memory(view.data.to_vec()), shape)
}

fn in_form_of(
    target: WeightTarget,
    storage: GgmlType,
    data: &TensorBytes<'_>,
    [rows, columns]: [usize; 2],
) -> Result<Matrix> {
    match target {
        WeightTarget::Native(_) => {
            Ok(Matrix::Native(native_matrix(storage, &[data], rows, columns, Kind::Float)?))
        }
        WeightTarget::Torch(_, kind) => {
            Ok(Matrix::Torch(dense(storage, &[data], rows, columns, Device::Cpu, kind)?))
        }
    }
}

/// The transposed `[rows, columns]` matrix, as float32 or in the backend's form.
///
/// # Errors
/// An error of the backend.
pub(super) fn transposed(
    view: &TensorView<'_>,
    storage: GgmlType,
    shape: [usize; 2],
    target: WeightTarget,
) -> Result<Matrix> {
    let [rows, columns] = shape;
    let values = dequantized(storage, view.data, rows * columns)?;
    let column = |c: usize| values.iter().skip(c).step_by(columns.max(1));
    let data =
        TensorBytes::Memory((0..columns).flat_map(|c| column(c).flat_map(|x| x.to_le_bytes())).collect());
    in_form_of(target, GgmlType::F32, &data, [columns, rows])
}

/// The storage type of an adapter's tensor; `None` if it is not supported.
pub(super) fn storage_of(dtype: Dtype) -> Option<GgmlType> {
    match dtype {
        Dtype::F32 => Some(GgmlType::F32),
        Dtype::F16 => Some(GgmlType::F16),
        Dtype::BF16 => Some(GgmlType::BF16),
        _ => None,
    }
}
