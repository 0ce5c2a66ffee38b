//! Calls about the memory and the pace of the scheduler (reference: `TokenizerManager.release_memory_occupation` and the
//! like).

use std::time::Duration;

use sglang_proto::messages::{
    AnyMessage, CheckWeightsReqInput, CheckWeightsReqOutput, ReleaseMemoryOccupationReqInput,
    ResumeMemoryOccupationReqInput, SlowDownReqInput,
};

use super::{ControlError, TokenizerManager};
use crate::requests::normalize::new_rid;

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
        let rid = new_rid();
        let request = ReleaseMemoryOccupationReqInput { rid: Some(rid.clone()), http_worker_ipc: None, tags };
        match self.call(rid, request, "ReleaseMemoryOccupationReqOutput", PATIENCE).await? {
            AnyMessage::ReleaseMemoryOccupationReqOutput(reply) => Ok(done(reply.success, reply.message)),
            _ => Err(ControlError::Timeout(PATIENCE)),
        }
    }

    /// Has the scheduler take back what it gave away; without tags all of it.
    ///
    /// # Errors
    /// No answer. That it cannot be done is an answer.
    pub async fn resume_memory_occupation(&self, tags: Option<Vec<String>>) -> Result<Done, ControlError> {
        let rid = new_rid();
        let request = ResumeMemoryOccupationReqInput { rid: Some(rid.clone()), http_worker_ipc: None, tags };
        match self.call(rid, request, "ResumeMemoryOccupationReqOutput", PATIENCE).await? {
            AnyMessage::ResumeMemoryOccupationReqOutput(reply) => Ok(done(reply.success, reply.message)),
            _ => Err(ControlError::Timeout(PATIENCE)),
        }
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
        let rid = new_rid();
        let request = SlowDownReqInput { rid: Some(rid.clone()), http_worker_ipc: None, forward_sleep_time };
        self.call(rid, request, "SlowDownReqOutput", patience).await.map(drop)
    }

    /// Tells, keeps or compares checksums of the weights.
    ///
    /// # Errors
    /// No answer. That weights differ is an answer.
    pub async fn check_weights(
        &self,
        request: CheckWeightsReqInput,
    ) -> Result<CheckWeightsReqOutput, ControlError> {
        let rid = new_rid();
        let request = CheckWeightsReqInput { rid: Some(rid.clone()), ..request };
        match self.call(rid, request, "CheckWeightsReqOutput", PATIENCE).await? {
            AnyMessage::CheckWeightsReqOutput(reply) => Ok(*reply),
            _ => Err(ControlError::Timeout(PATIENCE)),
        }
    }
}

fn done(success: bool, message: String) -> Done {
    if success { Ok(()) } else { Err(message) }
}
