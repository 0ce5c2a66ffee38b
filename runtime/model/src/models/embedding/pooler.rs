//! Pools the outputs of all positions into one row.

use sglang_checkpoint::PoolingType;

/// Pools, then truncates, then scales to length 1 (reference: `Pooler` in `layers/pooler.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooler {
    /// Positions to pool.
    pub pooling: PoolingType,
    /// Whether the embedding is scaled to length 1.
    pub normalize: bool,
}

/// The pooled outputs of a prompt so far, chunk by chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pooled {
    sum: Vec<f64>,
    positions: usize,
}

impl Pooled {
    /// Adds the outputs of some positions, given as their sum.
    pub fn add(&mut self, rows: &[f64], positions: usize) {
        if self.sum.is_empty() {
            self.sum = rows.to_vec();
        } else {
            self.sum.iter_mut().zip(rows).for_each(|(sum, x)| *sum += x);
        }
        self.positions += positions;
    }

    /// The mean of all added outputs.
    pub fn mean(&self) -> Vec<f32> {
        let count = self.positions.max(1) as f64;
        self.sum.iter().map(|x| (x / count) as f32).collect()
    }
}

impl Pooler {
    /// The first `dimensions` columns of a pooled row, scaled to length 1 if `normalize` is set. A row of zeros stays
    /// zero.
    pub fn finish(&self, mut row: Vec<f32>, dimensions: Option<u32>) -> Vec<f32> {
        if let Some(dimensions) = dimensions {
            row.truncate(dimensions as usize);
        }
        if self.normalize {
            let square = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            // libtorch has the same minimum.
            let length = square.sqrt().max(1e-12);
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_in_chunks_is_the_mean_of_all() {
        let mut pooled = Pooled::default();
        pooled.add(&[3.0, 1.0], 2);
        pooled.add(&[3.0, -7.0], 1);
        assert_eq!(pooled.mean(), [2.0, -2.0]);
    }

    #[test]
    fn an_embedding_is_truncated_before_it_is_scaled() {
        let pooler = Pooler { pooling: PoolingType::Last, normalize: true };
        assert_eq!(pooler.finish(vec![3.0, 4.0, 12.0], Some(2)), [0.6, 0.8]);
        assert_eq!(pooler.finish(vec![0.0, 0.0], None), [0.0, 0.0]);
        let plain = Pooler { normalize: false, ..pooler };
        assert_eq!(plain.finish(vec![3.0, 4.0], Some(9)), [3.0, 4.0]);
    }
}
