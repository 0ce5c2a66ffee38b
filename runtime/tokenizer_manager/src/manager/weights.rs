//! Calls about the weights (reference: `TokenizerManager.update_weights_from_disk`).

use std::time::Duration;

use serde_json::Value;
use sglang_proto::messages::{
    GetWeightsByNameReqInput, UpdateWeightFromDiskReqInput, UpdateWeightFromDiskReqOutput,
    UpdateWeightVersionReqInput,
};

use super::{ControlError, TokenizerManager};

/// Longest wait for new weights. Large ones may be read over a network, and running requests may take long to end.
const UPDATE_PATIENCE: Duration = Duration::from_secs(24 * 3600);

impl TokenizerManager {
    /// Makes the scheduler load the weights of another checkpoint. Concurrent calls run one after the other.
    ///
    /// # Errors
    /// If there is no answer. That the weights cannot be loaded is an answer.
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

    /// Gives the weights another label, which applies to all later tokens. With `abort_all_requests` all requests are
    /// aborted first.
    ///
    /// # Errors
    /// If the scheduler does not answer in time; the label may or may not have changed.
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

    /// The first rows or numbers of a weight; null if the model has no weight of that name.
    ///
    /// # Errors
    /// If the scheduler does not answer in time.
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
