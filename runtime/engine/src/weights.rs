//! Exchanging the weights of a running server (reference: `managers/scheduler_components/weight_updater.py`).
//!
//! New weights are read on a thread of their own while the old ones serve. When they are there and have been checked,
//! running requests come to their end, waiting ones wait, and between two steps the model takes the new weights. A
//! paused server exchanges them at once. Whatever goes wrong before that moment leaves the old weights as they were.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglang_proto::messages::{
    GetWeightsByNameReqInput, GetWeightsByNameReqOutput, UpdateWeightFromDiskReqInput,
    UpdateWeightFromDiskReqOutput,
};
use sglang_proto::worker::{StageError, StagedWeights, WeightStager};
use sglang_sched::PauseMode;

use crate::EngineError;
use crate::event_loop::EventLoop;
use crate::links::Incoming;
use crate::worker_thread::panic_text;

const SUCCEEDED: &str = "Succeeded to update model weights.";
const NOT_FLUSHED: &str = "Weights were updated, but the cache was not flushed because requests are still running or \
                           queued. Retract or finish them, then call /flush_cache.";
/// Numbers that one answer may hold, so that a whole embedding does not become one message.
const MAX_ROWS: i64 = 100_000;

/// An exchange under way.
#[derive(Debug)]
pub struct WeightUpdate {
    request: UpdateWeightFromDiskReqInput,
    /// The new weights, once they are read.
    staged: Option<StagedWeights>,
}

impl EventLoop<'_> {
    /// Starts to read new weights.
    pub(crate) fn update_weights_from_disk(&mut self, request: UpdateWeightFromDiskReqInput) {
        if self.weight_update.is_some() {
            return self.updated(request.rid, false, "Another update of the weights is in progress.", 0);
        }
        let Some(stager) = self.worker.stager() else {
            let error = StageError::Loader("this worker has no weights".into());
            return self.updated(request.rid, false, &error.to_string(), 0);
        };
        let (path, format) = (request.model_path.clone(), request.load_format.clone());
        let inject = self.links.inject.clone();
        let read = move || {
            let format = format.as_deref().unwrap_or("auto");
            // The loop may have ended meanwhile.
            let _ = inject.send(Incoming::Weights(stage(stager.as_ref(), &path, format)));
        };
        tracing::info!("Update engine weights online from disk begin: {}", request.model_path);
        match std::thread::Builder::new().name("weights".into()).spawn(read) {
            Ok(_) => self.weight_update = Some(WeightUpdate { request, staged: None }),
            Err(error) => {
                self.updated(request.rid, false, &StageError::Load(error.to_string()).to_string(), 0)
            }
        }
    }

    /// New weights have been read, or could not be.
    pub(crate) fn on_weights(&mut self, result: Result<StagedWeights, StageError>) {
        match (result, self.weight_update.take()) {
            (Ok(staged), Some(mut update)) => {
                update.staged = Some(staged);
                self.scheduler.hold_admission(true);
                self.weight_update = Some(update);
            }
            (Err(error), Some(update)) => self.updated(update.request.rid, false, &error.to_string(), 0),
            (_, None) => tracing::warn!("Weights were read that nobody asked for"),
        }
    }

    /// Exchanges the weights if new ones are there and nothing runs that needs the old ones.
    pub(crate) fn finish_weight_update(&mut self) -> Result<(), EngineError> {
        let ready = match self.scheduler.is_paused() {
            true => self.scheduler.num_in_flight() == 0,
            false => self.scheduler.is_drained(),
        };
        if !ready || self.weight_update.as_ref().is_none_or(|u| u.staged.is_none()) {
            return Ok(());
        }
        let Some(WeightUpdate { request, staged: Some(staged) }) = self.weight_update.take() else {
            return Ok(());
        };
        let swapped =
            self.worker.call(self.settings.watchdog_timeout, move |worker| worker.swap_weights(staged))?;
        let held = self.scheduler.num_live() as u64;
        let (mut success, mut message) = match swapped {
            Ok(()) => (true, SUCCEEDED.to_owned()),
            Err(error) => (false, StageError::Load(error.to_string()).to_string()),
        };
        if success {
            if let Some(version) = &request.weight_version {
                self.versions.change(version, self.scheduler.live_outputs());
            }
            if request.flush_cache && !self.scheduler.flush_cache() {
                (success, message) = (false, NOT_FLUSHED.to_owned());
            }
            if request.keep_pause && !self.scheduler.is_paused() {
                self.scheduler.pause(PauseMode::InPlace);
            }
        }
        self.scheduler.hold_admission(false);
        self.updated(request.rid, success, &message, held);
        Ok(())
    }

    /// Reads some numbers of a weight out of the model.
    pub(crate) fn get_weights_by_name(&self, request: GetWeightsByNameReqInput) {
        let rows = usize::try_from(request.truncate_size.min(MAX_ROWS)).unwrap_or(0);
        let name = request.name;
        let limit = self.settings.watchdog_timeout;
        let parameter = self.worker.call(limit, move |worker| worker.get_weights_by_name(&name, rows));
        let parameter = parameter.unwrap_or_else(|error| {
            tracing::error!("Cannot read a weight: {error}");
            None
        });
        self.reply(GetWeightsByNameReqOutput {
            rid: request.rid,
            http_worker_ipc: None,
            parameter: parameter.unwrap_or_default(),
        });
    }

    fn updated(&self, rid: Option<String>, success: bool, message: &str, num_paused_requests: u64) {
        match success {
            true => tracing::info!("Update weights end."),
            false => tracing::error!("{message}"),
        }
        self.reply(UpdateWeightFromDiskReqOutput {
            rid,
            http_worker_ipc: None,
            success,
            message: message.to_owned(),
            num_paused_requests,
        });
    }
}

fn stage(stager: &dyn WeightStager, path: &str, format: &str) -> Result<StagedWeights, StageError> {
    let read = AssertUnwindSafe(|| stager.stage(path, format));
    catch_unwind(read).unwrap_or_else(|cause| Err(StageError::Load(panic_text(cause.as_ref()))))
}
