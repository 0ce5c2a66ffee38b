//! Calls about the weights (reference: `TokenizerManager.update_weights_from_disk`).

use std::time::Duration;

use serde_json::Value;
use sglang_proto::messages::{
    GetWeightsByNameReqInput, UpdateWeightFromDiskReqInput, UpdateWeightFromDiskReqOutput,
    UpdateWeightVersionReqInput,
};

use super::{ControlError, TokenizerManager};

/// Longest wait for new weights: large ones come over networks, and requests that run may run for long.
const UPDATE_PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl TokenizerManager {
    /// Has the scheduler serve the weights of another checkpoint. One call after the other.
    ///
    /// # Errors
    /// No answer. That the weights cannot be taken is an answer.
    pub async fn update_weights_from_disk(
        &self,
        request: UpdateWeightFromDiskReqInput,
    ) -> Result<UpdateWeightFromDiskReqOutput, ControlError> {
        if request.abort_all_requests {
            self.registry.abort_all();
        }
        let _one_at_a_time = self.weight_updates.lock().await;
        let keep_pause = request.keep_pause;
        let reply = self.call(request, UPDATE_PATIENCE).await?;
        if reply.success && keep_pause {
            self.status.set_paused(true);
        }
        Ok(reply)
    }

    /// Has the scheduler give the weights another label, which tokens carry from now on. With `abort_all_requests` all
    /// requests are ended first.
    ///
    /// # Errors
    /// No answer in time; the label may or may not have changed.
    pub async fn update_weight_version(
        &self,
        new_version: String,
        abort_all_requests: bool,
        patience: Duration,
    ) -> Result<(), ControlError> {
        if abort_all_requests {
            self.registry.abort_all();
        }
        let request = UpdateWeightVersionReqInput { new_version, abort_all_requests, ..Default::default() };
        self.call(request, patience).await.map(drop)
    }

    /// Rows or numbers of a weight; null when the model has none of that name.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn get_weights_by_name(
        &self,
        name: String,
        truncate_size: i64,
        patience: Duration,
    ) -> Result<Value, ControlError> {
        let request = GetWeightsByNameReqInput { name, truncate_size, ..Default::default() };
        Ok(self.call(request, patience).await?.parameter)
    }
}
