//! A worker that misbehaves on purpose.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sglang_proto::forward::{ForwardBatch, ForwardResult};
use sglang_proto::worker::{ModelWorker, ModelWorkerInfo, StagedWeights, WeightStager, WorkerError};

/// A fault, and the step at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step takes this long.
    Stall(u64, Duration),
    /// The process ends like after a crash in native code.
    Die(u64),
    /// The step panics.
    Panic(u64),
    /// The step fails, later ones work.
    Error(u64),
    /// The step returns token ids outside the vocabulary.
    Garbage(u64),
}

impl FromStr for Fault {
    type Err = String;

    /// Parses `die:5`, `panic:5`, `error:5`, `garbage:5`, `stall:5:2000` (step, and milliseconds for a stall).
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |at: usize| -> Result<u64, String> {
            parts
                .get(at)
                .and_then(|p| p.parse().ok())
                .ok_or_else(|| format!("{text:?}: part {} is not a number", at + 1))
        };
        match parts.first().copied() {
            Some("stall") => Ok(Self::Stall(number(1)?, Duration::from_millis(number(2)?))),
            Some("die") => Ok(Self::Die(number(1)?)),
            Some("panic") => Ok(Self::Panic(number(1)?)),
            Some("error") => Ok(Self::Error(number(1)?)),
            Some("garbage") => Ok(Self::Garbage(number(1)?)),
            _ => Err(format!("{text:?}: expected stall, die, panic, error or garbage")),
        }
    }
}

/// Wraps a worker and breaks one of its steps.
pub struct FaultyWorker {
    inner: Box<dyn ModelWorker>,
    fault: Fault,
    step: u64,
}

impl FaultyWorker {
    /// Injects `fault` into `inner`. Steps are counted from 1.
    pub fn new(inner: Box<dyn ModelWorker>, fault: Fault) -> Self {
        Self { inner, fault, step: 0 }
    }
}

impl ModelWorker for FaultyWorker {
    fn info(&self) -> &ModelWorkerInfo {
        self.inner.info()
    }

    fn forward(&mut self, batch: &ForwardBatch) -> Result<ForwardResult, WorkerError> {
        self.step += 1;
        match self.fault {
            Fault::Stall(at, time) if at == self.step => std::thread::sleep(time),
            Fault::Die(at) if at == self.step => std::process::abort(),
            Fault::Panic(at) if at == self.step => {
                std::panic::resume_unwind(Box::new(format!("fault injected at step {at}")))
            }
            Fault::Error(at) if at == self.step => {
                return Err(WorkerError::Forward(format!("fault injected at step {at}")));
            }
            Fault::Garbage(at) if at == self.step => {
                let mut result = self.inner.forward(batch)?;
                for id in result.next_token_ids.iter_mut().flatten() {
                    *id = u32::MAX;
                }
                return Ok(result);
            }
            _ => {}
        }
        self.inner.forward(batch)
    }

    fn stager(&self) -> Option<Arc<dyn WeightStager>> {
        self.inner.stager()
    }

    fn swap_weights(&mut self, weights: StagedWeights) -> Result<(), WorkerError> {
        self.inner.swap_weights(weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_and_mistakes_named() {
        assert_eq!("die:5".parse(), Ok(Fault::Die(5)));
        assert_eq!("stall:2:30".parse(), Ok(Fault::Stall(2, Duration::from_millis(30))));
        assert!("die".parse::<Fault>().unwrap_err().contains("part 2"));
        assert!("burn:1".parse::<Fault>().unwrap_err().contains("expected stall"));
    }
}
