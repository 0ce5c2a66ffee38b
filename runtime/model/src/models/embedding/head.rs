//! Turns a pooled row into class scores.

use tch::Tensor;

use crate::error::Result;
use crate::ops::{LinearWeight, Ops};

/// The activation after a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadActivation {
    /// No activation.
    Identity,
    /// Rectified linear unit.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
}

impl HeadActivation {
    fn apply(self, x: Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Identity => x,
            Self::Relu => x.f_relu()?,
            Self::Tanh => x.f_tanh()?,
            Self::Sigmoid => x.f_sigmoid()?,
        })
    }
}

/// One or two linear layers: the classifier of a sequence classification model, the two layers of a reward model, or a
/// BERT pooler and classifier.
#[derive(Debug)]
pub struct ScoreHead {
    layers: Vec<(LinearWeight, HeadActivation)>,
}

impl ScoreHead {
    /// A head with these layers, each followed by its activation.
    pub fn new(layers: Vec<(LinearWeight, HeadActivation)>) -> Self {
        Self { layers }
    }

    /// Scores of `[rows, hidden]`.
    ///
    /// # Errors
    /// An error of the backend.
    pub fn forward(&self, ops: &dyn Ops, x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (layer, activation) in &self.layers {
            x = activation.apply(ops.linear(&x, layer)?)?;
        }
        Ok(x)
    }
}
