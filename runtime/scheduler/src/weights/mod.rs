//! Weight updates, and the release of memory of weights and caches (reference:
//! `managers/scheduler_components/weight_updater.py`).

mod checksums;
mod exchange;
mod memory;
mod released;
mod versions;

use std::collections::BTreeMap;

use sglang_planner::Planner;
use sglang_proto::messages::{
    AnyMessage, CheckWeightsReqInput, GetWeightsByNameReqInput, ReleaseMemoryOccupationReqInput,
    ResumeMemoryOccupationReqInput, UpdateWeightFromDiskReqInput, UpdateWeightVersionReqInput,
};
use sglang_proto::worker::{StageError, StagedWeights};

use crate::background::Reporter;
use crate::worker_thread::WorkerThread;
use crate::{SchedulerError, SchedulerSettings};
use exchange::Exchange;
use released::ReleasedMemory;
pub use versions::WeightVersions;

/// The weights that a thread has read, or an error.
pub type WeightsRead = Result<StagedWeights, StageError>;

/// Inputs of [`Weights`].
#[derive(Debug)]
pub enum WeightsInput {
    /// Update the weights from another checkpoint.
    Update(UpdateWeightFromDiskReqInput),
    /// Change the version label of the weights.
    UpdateVersion(UpdateWeightVersionReqInput),
    /// The thread that reads new weights has finished.
    Read(WeightsRead),
    /// Return some numbers of a weight.
    Get(GetWeightsByNameReqInput),
    /// Report, store or compare checksums.
    Check(CheckWeightsReqInput),
    /// Release memory.
    Release(ReleaseMemoryOccupationReqInput),
    /// Resume released memory.
    Resume(ResumeMemoryOccupationReqInput),
}

/// The other parts of the scheduler that [`Weights`] uses.
pub struct Access<'a> {
    /// Its requests wait while weights or memory are released.
    pub planner: &'a mut Planner,
    /// Has the model with weights and memory.
    pub worker: &'a WorkerThread,
    /// Whether a request waits for its grammar.
    pub grammars_wait: bool,
}

/// Manages weights and memory of the model.
///
/// The served checkpoint and its version label must survive a restart; otherwise the new process serves those of the
/// command line. The rest need not: the caller of a pending update or release learns of the restart, a new process
/// allocates released memory again, running requests are served again with new labels, and checksums can be lost.
pub struct Weights {
    /// Path and load format of the served weights.
    served: (String, String),
    versions: WeightVersions,
    exchange: Option<Exchange>,
    released: ReleasedMemory,
    /// Checksums that `/weights_checker` has stored.
    snapshot: Option<BTreeMap<String, String>>,
    reader: Reporter<WeightsRead>,
}

impl Weights {
    /// Starts with the weights of the command line. `reader` receives what threads have read, and passes it to
    /// [`Weights::handle`].
    pub fn new(settings: &SchedulerSettings, reader: Reporter<WeightsRead>) -> Self {
        Self {
            served: (settings.model_path.clone(), settings.load_format.clone()),
            versions: WeightVersions::new(settings.weight_version.clone()),
            exchange: None,
            released: ReleasedMemory::default(),
            snapshot: None,
            reader,
        }
    }

    /// Handles one input. Returns the answer, unless a later input or [`Weights::advance`] gives it.
    pub fn handle(&mut self, input: WeightsInput, on: &mut Access<'_>) -> Option<AnyMessage> {
        match input {
            WeightsInput::Update(request) => self.update(request, on),
            WeightsInput::UpdateVersion(request) => Some(self.update_version(request, on).into()),
            WeightsInput::Read(result) => self.take_read(result, on),
            WeightsInput::Get(request) => Some(checksums::get_by_name(request, on.worker).into()),
            WeightsInput::Check(request) => Some(self.check(request, on.worker).into()),
            WeightsInput::Release(request) => self.release(request),
            WeightsInput::Resume(request) => self.resume(request, on),
        }
    }

    /// Performs pending weight updates and memory releases if no running request needs the old weights or the memory.
    /// Returns the answers.
    ///
    /// # Errors
    /// The model failed permanently.
    pub fn advance(&mut self, on: &mut Access<'_>) -> Result<Vec<AnyMessage>, SchedulerError> {
        let exchanged = self.finish_exchange(on)?;
        Ok(exchanged.into_iter().chain(self.finish_release(on)).collect())
    }

    /// The weight versions of output tokens.
    pub fn versions_mut(&mut self) -> &mut WeightVersions {
        &mut self.versions
    }

    /// Names of the released parts of memory.
    pub fn released_names(&self) -> Vec<&'static str> {
        self.released.names()
    }

    /// Holds or admits waiting requests, depending on pending updates and released memory.
    fn hold_or_admit(&self, planner: &mut Planner) {
        let staged = self.exchange.as_ref().is_some_and(Exchange::is_staged);
        planner.hold_admission(staged || self.released.keeps_from_running());
    }
}
