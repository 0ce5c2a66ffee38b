//! Calls about the memory and the pace of the scheduler (reference: `TokenizerManager.release_memory_occupation` and the
//! like).

use std::time::Duration;

use sglang_proto::messages::{
    CheckWeightsReqInput, CheckWeightsReqOutput, ReleaseMemoryOccupationReqInput,
    ResumeMemoryOccupationReqInput, SlowDownReqInput,
};

use super::{ControlError, TokenizerManager};

/// Longest wait for the memory: weights are read from disk again, which may be far away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Whether it was done, and if not, why.
pub type Done = Result<(), String>;

impl TokenizerManager {
    /// Has the scheduler give back parts of its memory; without tags all.
    ///
    /// # Errors
    /// No answer. That it cannot be done is an answer.
    pub async fn release_memory_occupation(&self, tags: Option<Vec<String>>) -> Result<Done, ControlError> {
        let request = ReleaseMemoryOccupationReqInput { tags, ..Default::default() };
        let reply = self.call(request, PATIENCE).await?;
        Ok(done(reply.success, reply.message))
    }

    /// Has the scheduler take back what it gave away; without tags all of it.
    ///
    /// # Errors
    /// No answer. That it cannot be done is an answer.
    pub async fn resume_memory_occupation(&self, tags: Option<Vec<String>>) -> Result<Done, ControlError> {
        let request = ResumeMemoryOccupationReqInput { tags, ..Default::default() };
        let reply = self.call(request, PATIENCE).await?;
        Ok(done(reply.success, reply.message))
    }

    /// Has every step of the model wait.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn slow_down(
        &self,
        forward_sleep_time: Option<f64>,
        patience: Duration,
    ) -> Result<(), ControlError> {
        let request = SlowDownReqInput { forward_sleep_time, ..Default::default() };
        self.call(request, patience).await.map(drop)
    }

    /// Tells, keeps or compares checksums of the weights.
    ///
    /// # Errors
    /// No answer. That weights differ is an answer.
    pub async fn check_weights(
        &self,
        request: CheckWeightsReqInput,
    ) -> Result<CheckWeightsReqOutput, ControlError> {
        self.call(request, PATIENCE).await
    }
}

fn done(success: bool, message: String) -> Done {
    if success { Ok(()) } else { Err(message) }
}
