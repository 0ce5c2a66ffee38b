//! Calls that release the scheduler's memory, slow it down or check its weights (reference:
//! `TokenizerManager.release_memory_occupation`).

use std::time::Duration;

use sglang_proto::messages::{
    CheckWeightsReqInput, CheckWeightsReqOutput, ReleaseMemoryOccupationReqInput,
    ResumeMemoryOccupationReqInput, SlowDownReqInput,
};

use super::{ControlError, TokenizerManager};

/// Longest wait for the memory. Weights are read from disk again, which may be a slow network disk.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Success, or the reason why the scheduler refused.
pub type Done = Result<(), String>;

impl TokenizerManager {
    /// Makes the scheduler release the parts of its memory that `tags` name; all parts without tags.
    ///
    /// # Errors
    /// If there is no answer. A refusal is an answer.
    pub async fn release_memory_occupation(&self, tags: Option<Vec<String>>) -> Result<Done, ControlError> {
        let request = ReleaseMemoryOccupationReqInput { tags, ..Default::default() };
        let reply = self.call(request, PATIENCE).await?;
        Ok(done(reply.success, reply.message))
    }

    /// Makes the scheduler allocate released parts of its memory again; all of them without tags.
    ///
    /// # Errors
    /// If there is no answer. A refusal is an answer.
    pub async fn resume_memory_occupation(&self, tags: Option<Vec<String>>) -> Result<Done, ControlError> {
        let request = ResumeMemoryOccupationReqInput { tags, ..Default::default() };
        let reply = self.call(request, PATIENCE).await?;
        Ok(done(reply.success, reply.message))
    }

    /// Delays every step of the model.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
    pub async fn slow_down(
        &self,
        forward_sleep_time: Option<f64>,
        patience: Duration,
    ) -> Result<(), ControlError> {
        let request = SlowDownReqInput { forward_sleep_time, ..Default::default() };
        self.call(request, patience).await.map(drop)
    }

    /// Returns, stores or compares checksums of the weights.
    ///
    /// # Errors
    /// If there is no answer. That weights differ is an answer.
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
