//! Loads the tensors of a checkpoint as weights in the form that the backend needs.

mod bytes;
mod dense;
mod dequantized;
mod dummy;
mod experts;
mod gguf_names;
mod gpt_oss;
mod kept;
mod latent;
mod mxfp4;
mod native;
mod progress;
mod source;
mod table;

use std::collections::BTreeMap;

use sglang_checkpoint::GgmlType;
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::lora_sites::{HEAD, LoraSites};
use crate::ops::{LinearWeight, Matrix};

pub(crate) use bytes::TensorBytes;
pub(crate) use dense::dense;
pub(crate) use dequantized::dequantized;
pub use experts::ExpertNames;
pub(crate) use native::{kept_type, native_matrix};
pub use progress::LoadProgress;
pub use source::WeightSource;
pub use table::WeightTable;

/// The form in which the backend needs weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightTarget {
    /// The storage format of the checkpoint, for [`crate::ops::NativeOps`]. If the kind is a 16-bit format, float32 is
    /// rounded to it.
    Native(Kind),
    /// Dense tensors, for [`crate::ops::TorchOps`].
    Torch(Device, Kind),
}

/// How a checkpoint stores the weights of its norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormStorage {
    /// Stored as applied.
    #[default]
    Plain,
    /// Stored minus one (Gemma). GGUF files store them as applied.
    LessOne,
}

/// Loads the weights of a checkpoint by name and checks their shapes.
#[derive(Debug)]
pub struct WeightLoader<'a> {
    source: &'a WeightSource,
    target: WeightTarget,
    head_dim: usize,
    progress: LoadProgress,
    table: WeightTable,
    lora_sites: LoraSites,
    bytes: u64,
    converted: Converted,
}

/// Weights whose storage type differs between file and memory: bytes in the file and in memory, by the two types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted(BTreeMap<(&'static str, &'static str), (u64, u64)>);

impl std::fmt::Display for Converted {
    /// Writes nothing, or `; 60.1 MB of IQ2_XS are 905.3 MB of F32, …`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        for (i, ((from, to), (file, memory))) in self.0.iter().enumerate() {
            let separator = if i == 0 { "; " } else { ", " };
            write!(f, "{separator}{:.1} MB of {from} are {:.1} MB of {to}", mb(*file), mb(*memory))?;
        }
        Ok(())
    }
}

/// Results of loading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadSummary {
    /// Bytes that the weights take.
    pub bytes: u64,
    /// Seconds since the start.
    pub seconds: f64,
    /// Weights that were converted because no kernel supports their format.
    pub converted: Converted,
}

impl<'a> WeightLoader<'a> {
    /// A loader for a model whose attention heads have `head_dim` columns.
    pub fn new(source: &'a WeightSource, target: WeightTarget, head_dim: usize) -> Self {
        let progress = LoadProgress::new(source.total_bytes());
        let (table, lora_sites) = (WeightTable::default(), LoraSites::default());
        let converted = Converted::default();
        Self { source, target, head_dim, progress, table, lora_sites, bytes: 0, converted }
    }

    /// Ends the progress bar and returns the summary.
    pub fn finish(self) -> LoadSummary {
        LoadSummary { bytes: self.bytes, seconds: self.progress.finish(), converted: self.converted }
    }

    /// Takes the table of all weights loaded so far, by name.
    pub fn take_table(&mut self) -> WeightTable {
        std::mem::take(&mut self.table)
    }

    /// Takes the list of the layers loaded so far that adapters can change.
    pub(crate) fn take_lora_sites(&mut self) -> LoraSites {
        std::mem::take(&mut self.lora_sites)
    }

    /// Like [`WeightLoader::linear`], for a layer that adapters can change. Run it with
    /// [`crate::ops::ForwardContext::linear`].
    ///
    /// # Errors
    /// Same as [`WeightLoader::linear`].
    pub fn adaptable(&mut self, parts: &[(&str, usize)], columns: usize, bias: bool) -> Result<LinearWeight> {
        let weight = self.linear(parts, columns, bias)?;
        Ok(weight.with_lora_site(self.lora_sites.add(parts, columns)))
    }

    /// Loads the embedding matrix `name`, which adapters can change. Look rows up with
    /// [`crate::ops::ForwardContext::embedding`].
    ///
    /// # Errors
    /// Same as [`WeightLoader::linear`].
    pub fn embedding(&mut self, name: &str, vocab_size: usize, hidden_size: usize) -> Result<LinearWeight> {
        let weight = self.linear(&[(name, vocab_size)], hidden_size, false)?;
        self.lora_sites.add_embedding(vocab_size, hidden_size);
        Ok(weight)
    }

    /// Registers the output head, which may share the embedding's matrix, as a layer that adapters can change. Returns
    /// its index.
    pub fn head_site(&mut self, vocab_size: usize, hidden_size: usize) -> usize {
        self.lora_sites.add(&[(HEAD, vocab_size)], hidden_size)
    }

    /// Loads a linear layer that stacks the rows of several modules (`name`, rows), each with `name.weight` and, if
    /// `bias` is set, `name.bias`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn linear(&mut self, parts: &[(&str, usize)], columns: usize, bias: bool) -> Result<LinearWeight> {
        let mut tensors = Vec::with_capacity(parts.len());
        for (name, rows) in parts {
            let tensor = self.source.tensor(&format!("{name}.weight"), &[*rows, columns], self.head_dim)?;
            tensors.push((tensor, *rows));
        }
        // Neighbouring parts of the same storage type become one matrix, which gives fewer and larger products.
        let mut matrices = Vec::with_capacity(tensors.len());
        let mut names = parts.iter().map(|(name, _)| format!("{name}.weight"));
        for run in tensors.chunk_by(|(a, _), (b, _)| a.storage == b.storage) {
            let rows = run.iter().map(|(_, rows)| rows).sum();
            let storage = run.first().map_or(GgmlType::F32, |(t, _)| t.storage);
            let data: Vec<&TensorBytes<'_>> = run.iter().map(|(t, _)| &t.data).collect();
            let matrix = self.build(storage, &data, rows, columns)?;
            let mut start = 0;
            for ((_, rows), name) in run.iter().zip(&mut names) {
                self.table.add_rows(name, &matrix, start..start + rows)?;
                start += rows;
            }
            matrices.push(matrix);
        }
        let bias = if bias { Some(self.bias(parts)?) } else { None };
        LinearWeight::new(matrices, bias)
    }

    /// Loads the weight of the norm `name` over `size` columns, in the form in which it is applied.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn norm_weight(&mut self, name: &str, size: usize, storage: NormStorage) -> Result<Tensor> {
        let name = format!("{name}.weight");
        let stored = self.vector(&name, size)?;
        let mut used = stored.clone();
        if storage == NormStorage::LessOne && matches!(self.source, WeightSource::Safetensors(_)) {
            used.iter_mut().for_each(|w| *w += 1.0);
        }
        let weight = self.upload(used)?;
        // The table has weights as the checkpoint stores them.
        self.table.add_vector(name, &Tensor::f_from_slice(&stored)?);
        Ok(weight)
    }

    /// Whether the checkpoint has a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }

    /// Whether two tensors of the checkpoint have the same type, shape and bytes.
    pub fn stores_the_same(&self, name: &str, other: &str) -> bool {
        self.source.stores_the_same(name, other)
    }

    /// Loads a small tensor in the backend's number format, never quantised.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.values(name, shape)?;
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        Ok(self.upload(values)?.f_view(shape.as_slice())?)
    }

    /// Loads a vector as float32 on the device, whatever the backend's number format.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn float_vector(&mut self, name: &str, size: usize) -> Result<Tensor> {
        let tensor = Tensor::f_from_slice(&self.vector(name, size)?)?;
        match self.target {
            WeightTarget::Native(_) => Ok(tensor),
            WeightTarget::Torch(device, _) => Ok(tensor.f_to(device)?),
        }
    }

    /// Loads a vector into host memory, for decisions on the CPU.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub fn host_vector(&mut self, name: &str, size: usize) -> Result<Vec<f32>> {
        let values = self.vector(name, size)?;
        self.table.add_vector(name.to_owned(), &Tensor::f_from_slice(&values)?);
        Ok(values)
    }

    fn bias(&mut self, parts: &[(&str, usize)]) -> Result<Tensor> {
        let mut values = Vec::new();
        for (name, rows) in parts {
            values.extend(self.vector(&format!("{name}.bias"), *rows)?);
        }
        let bias = self.upload(values)?;
        let mut start = 0;
        for (name, rows) in parts {
            let part = bias.f_narrow(0, start, *rows as i64)?;
            self.table.add_vector(format!("{name}.bias"), &part);
            start += *rows as i64;
        }
        Ok(bias)
    }

    fn vector(&mut self, name: &str, size: usize) -> Result<Vec<f32>> {
        self.values(name, &[size])
    }

    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.source.tensor(name, shape, self.head_dim)?;
        self.progress.add(tensor.data.len() as u64);
        let values = dequantized(tensor.storage, &tensor.data.to_slice(), shape.iter().product());
        tensor.data.release();
        values
    }

    /// Copies a small vector to the device in the backend's number format.
    fn upload(&mut self, values: Vec<f32>) -> Result<Tensor> {
        let tensor = Tensor::f_from_slice(&values)?;
        let tensor = match self.target {
            WeightTarget::Native(_) => tensor,
            WeightTarget::Torch(device, kind) => tensor.f_to_kind(kind)?.f_to(device)?,
        };
        self.bytes += (tensor.numel() * tensor.f_kind()?.elt_size_in_bytes()) as u64;
        Ok(tensor)
    }

    /// Builds a matrix from the concatenated rows of several tensors.
    fn build(
        &mut self,
        storage: GgmlType,
        parts: &[&TensorBytes<'_>],
        rows: usize,
        columns: usize,
    ) -> Result<Matrix> {
        let matrix = self.matrix(storage, parts, rows, columns)?;
        let in_file: u64 = parts.iter().map(|p| p.len() as u64).sum();
        self.progress.add(in_file);
        if let (WeightTarget::Native(kind), Matrix::Native(w)) = (self.target, &matrix)
            && storage.is_quantized()
            && kept_type(storage, kind) != storage
        {
            let names = (storage.name(), kept_type(storage, kind).name());
            let (file, memory) = self.converted.0.entry(names).or_default();
            (*file, *memory) = (*file + in_file, *memory + w.bytes().len() as u64);
        }
        Ok(matrix)
    }

    fn matrix(
        &mut self,
        storage: GgmlType,
        parts: &[&TensorBytes<'_>],
        rows: usize,
        columns: usize,
    ) -> Result<Matrix> {
        if storage == GgmlType::MXFP4 && matches!(self.target, WeightTarget::Native(_)) {
            let mut blocks = Vec::with_capacity(parts.len());
            for part in parts {
                blocks.push(TensorBytes::Memory(mxfp4::blocks_to_q8_0(&part.to_slice())?));
                part.release();
            }
            return self.matrix(GgmlType::Q8_0, &blocks.iter().collect::<Vec<_>>(), rows, columns);
        }
        Ok(match self.target {
            WeightTarget::Native(kind) => {
                let matrix = native_matrix(storage, parts, rows, columns, kind)?;
                self.bytes += matrix.bytes().len() as u64;
                Matrix::Native(matrix)
            }
            WeightTarget::Torch(device, kind) => {
                self.bytes += (rows * columns * kind.elt_size_in_bytes()) as u64;
                Matrix::Torch(dense(storage, parts, rows, columns, device, kind)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converted_weights_are_displayed_with_their_size() {
        let mut converted = Converted::default();
        assert_eq!(converted.to_string(), "");
        converted.0.insert(("IQ2_XS", "F32"), (60_100_000, 905_300_000));
        converted.0.insert(("Q3_K", "Q6_K"), (1_000_000, 2_000_000));
        let expected = "; 60.1 MB of IQ2_XS are 905.3 MB of F32, 1.0 MB of Q3_K are 2.0 MB of Q6_K";
        assert_eq!(converted.to_string(), expected);
    }
}
