//! The weights of a model by their name in the checkpoint. They share memory with the model.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;
use sglang_kernels::ThreadPool;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::ops::Matrix;

/// Names of a tied output matrix and of the embedding whose weights it shares.
const TIED: (&str, &str) = ("lm_head.weight", "model.embed_tokens.weight");

/// One weight as it is stored.
#[derive(Debug)]
enum Stored {
    Matrix(Matrix),
    Vector(Tensor),
}

/// All weights that a loader has loaded.
#[derive(Debug, Default)]
pub struct WeightTable {
    weights: HashMap<String, Stored>,
}

impl WeightTable {
    /// Adds rows of a matrix of the model.
    pub(super) fn add_rows(&mut self, name: String, matrix: &Matrix, rows: Range<usize>) -> Result<()> {
        let shared = match matrix {
            Matrix::Native(w) => Matrix::Native(w.slice_rows(rows)?),
            Matrix::Torch(t) => Matrix::Torch(t.f_narrow(0, rows.start as i64, rows.len() as i64)?),
        };
        self.weights.insert(name, Stored::Matrix(shared));
        Ok(())
    }

    /// Adds a vector of the model.
    pub(super) fn add_vector(&mut self, name: String, vector: &Tensor) {
        self.weights.insert(name, Stored::Vector(vector.shallow_clone()));
    }

    /// A checksum of every weight: the first 16 hexadecimal digits of the SHA-256 of its stored bytes.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn checksums(&self) -> Result<BTreeMap<String, String>> {
        let checksum = |(name, stored): (&String, &Stored)| -> Result<(String, String)> {
            let digest = Sha256::digest(stored.bytes()?.as_ref());
            Ok((name.clone(), digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
        };
        self.weights.iter().map(checksum).collect()
    }

    /// The first `size` rows of a matrix or numbers of a vector, as float32 in nested lists; `None` if the model has no
    /// weight of this name.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn get(&self, name: &str, size: usize) -> Result<Option<Value>> {
        let tied = || self.weights.get(TIED.1).filter(|_| name == TIED.0);
        let Some(stored) = self.weights.get(name).or_else(tied) else { return Ok(None) };
        let list = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Value>();
        match stored {
            Stored::Vector(tensor) => {
                let count = tensor.numel().min(size);
                Ok(Some(list(&floats(&tensor.f_narrow(0, 0, count as i64)?)?)))
            }
            Stored::Matrix(matrix) => {
                let (values, columns) = first_rows(matrix, size)?;
                Ok(Some(values.chunks(columns.max(1)).map(list).collect()))
            }
        }
    }
}

impl Stored {
    /// The stored bytes: quantised blocks unchanged, numbers in their stored format.
    fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        let of_tensor = |t: &Tensor| -> Result<Vec<u8>> {
            let flat = t.f_to(Device::Cpu)?.f_contiguous()?.f_view([-1])?;
            Ok(Vec::<u8>::try_from(&flat.f_view_dtype(Kind::Uint8)?)?)
        };
        match self {
            Self::Matrix(Matrix::Native(w)) => Ok(Cow::Borrowed(w.bytes())),
            Self::Matrix(Matrix::Torch(t)) | Self::Vector(t) => Ok(Cow::Owned(of_tensor(t)?)),
        }
    }
}

/// The first rows, concatenated, and the length of a row.
fn first_rows(matrix: &Matrix, size: usize) -> Result<(Vec<f32>, usize)> {
    match matrix {
        Matrix::Native(w) => {
            let count = w.rows().min(size);
            let mut values = vec![0.0; count * w.cols()];
            let ids: Vec<u32> = (0..count as u32).collect();
            sglang_kernels::embedding(&ThreadPool::new(1)?, w, &ids, &mut values)?;
            Ok((values, w.cols()))
        }
        Matrix::Torch(t) => {
            let (rows, columns) = t.size2()?;
            let count = (rows as usize).min(size) as i64;
            Ok((floats(&t.f_narrow(0, 0, count)?)?, columns as usize))
        }
    }
}

fn floats(t: &Tensor) -> Result<Vec<f32>> {
    let flat = t.f_to(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
    Ok(Vec::<f32>::try_from(&flat)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sglang_kernels::WeightMatrix;

    use super::*;

    #[test]
    fn rows_and_numbers_come_back_by_name_in_both_forms() {
        let values = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.5];
        let torch = Tensor::f_from_slice(&values).unwrap().f_view([3, 2]).unwrap();
        let native = WeightMatrix::from_f32(3, 2, &values).unwrap();
        for matrix in [Matrix::Native(native), Matrix::Torch(torch)] {
            let mut table = WeightTable::default();
            table.add_rows("model.embed_tokens.weight".into(), &matrix, 1..3).unwrap();
            table.add_vector("norm.weight".into(), &Tensor::f_from_slice(&values).unwrap());
            let get = |name: &str, size| table.get(name, size).unwrap();
            assert_eq!(get("model.embed_tokens.weight", 1), Some(json!([[3.0, 4.0]])));
            assert_eq!(get("lm_head.weight", 100), Some(json!([[3.0, 4.0], [5.0, 6.5]])));
            assert_eq!(get("norm.weight", 2), Some(json!([1.0, 2.0])));
            assert_eq!(get("norm.weight", 0), Some(json!([])));
            assert_eq!(get("norm.bias", 2), None);
            // Computed with Python's hashlib from the little-endian bytes.
            let checksums = table.checksums().unwrap();
            assert_eq!(checksums["model.embed_tokens.weight"], "a71fc71acdce0891");
            assert_eq!(checksums["norm.weight"], "da6b72b81bf98403");
        }
    }
}
