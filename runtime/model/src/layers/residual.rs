//! The residual stream of a decoder.

use tch::Tensor;

use crate::error::Result;
use crate::ops::Ops;

use super::RMSNorm;

/// The residual stream, `[tokens, hidden]`. The last addend is kept back, so that its addition and the norm that
/// usually follows are one fused operation.
#[derive(Debug)]
pub struct ResidualStream {
    sum: Tensor,
    waiting: Option<Tensor>,
}

impl ResidualStream {
    /// A stream that starts with the embeddings.
    pub fn new(embeddings: Tensor) -> Self {
        Self { sum: embeddings, waiting: None }
    }

    /// Adds a block's output.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn add(&mut self, ops: &dyn Ops, x: Tensor) -> Result<()> {
        self.settle(ops)?;
        self.waiting = Some(x);
        Ok(())
    }

    /// The normalised sum.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn normalized(&mut self, ops: &dyn Ops, norm: &RMSNorm) -> Result<Tensor> {
        match self.waiting.take() {
            Some(x) => norm.forward_add(ops, &x, &mut self.sum),
            None => norm.forward(ops, &self.sum),
        }
    }

    /// The sum without normalisation.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn sum(&mut self, ops: &dyn Ops) -> Result<&Tensor> {
        self.settle(ops)?;
        Ok(&self.sum)
    }

    fn settle(&mut self, ops: &dyn Ops) -> Result<()> {
        match self.waiting.take() {
            Some(x) => ops.add(&mut self.sum, &x),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::TorchOps;

    #[test]
    fn every_addend_is_in_the_sum_once_in_whatever_order_it_is_looked_at() {
        let ops = TorchOps::new(tch::Device::Cpu, tch::Kind::Float);
        let row = |values: [f32; 2]| Tensor::f_from_slice(&values).unwrap().f_view([1, 2]).unwrap();
        let norm = RMSNorm::new(Tensor::f_from_slice(&[1.0_f32, 1.0]).unwrap(), 0.0);
        let mut stream = ResidualStream::new(row([1.0, 1.0]));
        stream.add(&ops, row([1.0, 0.0])).unwrap();
        stream.add(&ops, row([0.0, 4.0])).unwrap();
        let normalized = stream.normalized(&ops, &norm).unwrap();
        let rms = ((4.0_f64 + 25.0) / 2.0).sqrt();
        assert!((normalized.f_double_value(&[0, 1]).unwrap() - 5.0 / rms).abs() < 1e-6);
        stream.add(&ops, row([1.0, 1.0])).unwrap();
        assert_eq!(stream.sum(&ops).unwrap(), &row([3.0, 6.0]));
        assert_eq!(stream.sum(&ops).unwrap(), &row([3.0, 6.0]));
    }
}
