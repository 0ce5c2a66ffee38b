//! Updates the weights of a running server.
//!
//! A separate thread reads the new weights while the old ones are served. When they are read and checked, running
//! requests finish, waiting ones wait, and the model takes the new weights between two steps. A paused server takes
//! them at once. If anything fails before that, the old weights stay.

use sglang_planner::PauseMode;
use sglang_proto::messages::{
    AnyMessage, CallId, UpdateWeightFromDiskReqInput, UpdateWeightFromDiskReqOutput,
    UpdateWeightVersionReqInput, UpdateWeightVersionReqOutput,
};
use sglang_proto::worker::{MemoryTag, StageError, StagedWeights, WorkerError};

use super::{Access, Weights, WeightsRead};
use crate::SchedulerError;
use crate::worker_thread::WorkerThread;

const SUCCEEDED: &str = "Succeeded to update model weights.";
const NOT_FLUSHED: &str = "Weights were updated, but the cache was not flushed because requests are still running or \
                           queued. Retract or finish them, then call /flush_cache.";

/// Why weights are read.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A weight update.
    Update(Box<UpdateWeightFromDiskReqInput>),
    /// A resume of released memory that includes the weights.
    Resume {
        /// Id of the call.
        rid: CallId,
        /// All parts to resume.
        tags: Vec<MemoryTag>,
    },
}

/// A pending weight update.
#[derive(Debug)]
pub(super) struct Exchange {
    purpose: Purpose,
    /// The new weights, after they are read.
    staged: Option<StagedWeights>,
}

impl Exchange {
    /// Whether the new weights are ready.
    pub(super) fn is_staged(&self) -> bool {
        self.staged.is_some()
    }
}

impl Weights {
    /// Starts reading new weights.
    pub(super) fn update(
        &mut self,
        request: UpdateWeightFromDiskReqInput,
        on: &Access<'_>,
    ) -> Option<AnyMessage> {
        if self.exchange.is_some() {
            let why = "Another update of the weights is in progress.";
            return Some(update_answer(request.rid, Updated::refused(why.to_owned())));
        }
        tracing::info!("Update engine weights online from disk begin: {}", request.model_path);
        let (path, format) = (request.model_path.clone(), request.load_format.clone());
        let format = format.unwrap_or_else(|| "auto".to_owned());
        let rid = request.rid.clone();
        let started = self.read(Purpose::Update(Box::new(request)), path, format, on.worker);
        started.err().map(|error| update_answer(rid, Updated::refused(error.to_string())))
    }

    /// Reads weights on a thread, which reports to [`Weights::take_read`]. A resume reads the served weights again.
    pub(super) fn read(
        &mut self,
        purpose: Purpose,
        path: String,
        format: String,
        worker: &WorkerThread,
    ) -> Result<(), StageError> {
        let stager =
            worker.stager().ok_or_else(|| StageError::Loader("this worker has no weights".into()))?;
        let again = matches!(purpose, Purpose::Resume { .. });
        let work = move || match again {
            true => stager.reload(&path, &format),
            false => stager.stage(&path, &format),
        };
        let report =
            |read: Result<WeightsRead, String>| read.unwrap_or_else(|why| Err(StageError::Load(why)));
        self.reader.spawn("weights", work, report).map_err(|error| StageError::Load(error.to_string()))?;
        self.exchange = Some(Exchange { purpose, staged: None });
        Ok(())
    }

    /// Handles the report of the reading thread.
    pub(super) fn take_read(&mut self, result: WeightsRead, on: &mut Access<'_>) -> Option<AnyMessage> {
        match (result, self.exchange.take()) {
            (Ok(staged), Some(exchange)) => {
                self.exchange = Some(Exchange { staged: Some(staged), ..exchange });
                self.hold_or_admit(on.planner);
                None
            }
            (Err(error), Some(Exchange { purpose: Purpose::Update(request), .. })) => {
                Some(update_answer(request.rid, Updated::refused(error.to_string())))
            }
            (Err(error), Some(Exchange { purpose: Purpose::Resume { rid, tags }, .. })) => {
                // Do not use the error's full text, which would say that weights were rolled back.
                let (StageError::Loader(why) | StageError::Iterator(why) | StageError::Load(why)) = error;
                Some(self.finish_resume(rid, &tags, Err(format!("'weights' stays released: {why}")), on))
            }
            (_, None) => {
                tracing::warn!("Weights were read that nobody asked for");
                None
            }
        }
    }

    /// Gives the model the new weights if they are ready and no running request needs the old ones.
    pub(super) fn finish_exchange(
        &mut self,
        on: &mut Access<'_>,
    ) -> Result<Option<AnyMessage>, SchedulerError> {
        let planner = &*on.planner;
        let ready = || match planner.is_paused() {
            true => planner.num_in_flight() == 0,
            false => planner.is_drained(),
        };
        let taken = self.exchange.take_if(|exchange| exchange.is_staged() && ready());
        let Some(Exchange { purpose, staged: Some(staged) }) = taken else { return Ok(None) };
        let swapped = on.worker.call(move |worker| worker.swap_weights(staged))?;
        Ok(Some(match purpose {
            Purpose::Update(request) => self.finish_update(*request, swapped, on),
            Purpose::Resume { rid, tags } => {
                self.finish_resume(rid, &tags, swapped.map_err(|error| error.to_string()), on)
            }
        }))
    }

    /// Completes an update after the model has taken the new weights, or failed to.
    fn finish_update(
        &mut self,
        request: UpdateWeightFromDiskReqInput,
        swapped: Result<(), WorkerError>,
        on: &mut Access<'_>,
    ) -> AnyMessage {
        let planner = &mut *on.planner;
        let num_paused_requests = planner.num_live() as u64;
        let (mut success, mut message) = match swapped {
            Ok(()) => (true, SUCCEEDED.to_owned()),
            Err(error) => (false, StageError::Load(error.to_string()).to_string()),
        };
        let weights_served = success;
        if success {
            self.released.weights_are_back();
            let format = request.load_format.unwrap_or_else(|| "auto".to_owned());
            self.served = (request.model_path, format);
            if let Some(version) = &request.weight_version {
                self.versions.change(version, planner.live_outputs());
            }
            if request.flush_cache && !planner.flush_cache() {
                (success, message) = (false, NOT_FLUSHED.to_owned());
            }
            if request.keep_pause && !planner.is_paused() {
                planner.pause(PauseMode::InPlace);
            }
        }
        self.hold_or_admit(planner);
        update_answer(request.rid, Updated { success, message, num_paused_requests, weights_served })
    }

    /// Changes the version label of the weights, which applies to all later tokens.
    pub(super) fn update_version(
        &mut self,
        request: UpdateWeightVersionReqInput,
        on: &Access<'_>,
    ) -> UpdateWeightVersionReqOutput {
        self.versions.change(&request.new_version, on.planner.live_outputs());
        tracing::info!("Weight version updated to {}", request.new_version);
        UpdateWeightVersionReqOutput { rid: request.rid }
    }
}

/// Result of an update. Fields are those of [`UpdateWeightFromDiskReqOutput`].
struct Updated {
    success: bool,
    message: String,
    num_paused_requests: u64,
    weights_served: bool,
}

impl Updated {
    /// The update failed; the old weights stay.
    fn refused(message: String) -> Self {
        Self { success: false, message, num_paused_requests: 0, weights_served: false }
    }
}

fn update_answer(rid: CallId, updated: Updated) -> AnyMessage {
    let Updated { success, message, num_paused_requests, weights_served } = updated;
    match success {
        true => tracing::info!("Update weights end."),
        false => tracing::error!("{message}"),
    }
    UpdateWeightFromDiskReqOutput { rid, success, message, num_paused_requests, weights_served }.into()
}
