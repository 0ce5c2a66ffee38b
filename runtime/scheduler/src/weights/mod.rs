//! The weights that are served, what replaces them, and the memory that they and the caches take (reference:
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

/// New weights as a thread has read them.
pub type WeightsRead = Result<StagedWeights, StageError>;

/// What concerns the weights and the memory.
#[derive(Debug)]
pub enum WeightsInput {
    /// Serve the weights of another checkpoint.
    Update(UpdateWeightFromDiskReqInput),
    /// Give the weights another label.
    UpdateVersion(UpdateWeightVersionReqInput),
    /// The thread that reads new weights is done.
    Read(WeightsRead),
    /// Read some numbers of a weight out of the model.
    Get(GetWeightsByNameReqInput),
    /// Report, keep or compare checksums.
    Check(CheckWeightsReqInput),
    /// Give memory back.
    Release(ReleaseMemoryOccupationReqInput),
    /// Take released memory again.
    Resume(ResumeMemoryOccupationReqInput),
}

/// What [`Weights`] may reach.
pub struct Access<'a> {
    /// Whose requests wait while weights or memory are away.
    pub planner: &'a mut Planner,
    /// Who has the weights and the memory.
    pub worker: &'a WorkerThread,
    /// Whether a request waits for its grammar.
    pub grammars_wait: bool,
}

/// The weights and the memory.
///
/// Must survive a restart: the served checkpoint and the label of its weights, or the new process serves those of the
/// command line again. Need not: an exchange or a release under way, whose caller is told of the restart; released
/// memory, which a new process holds again; labels of running requests, which are served anew; kept checksums.
pub struct Weights {
    /// Path and load format of the weights that are served.
    served: (String, String),
    versions: WeightVersions,
    exchange: Option<Exchange>,
    released: ReleasedMemory,
    /// Checksums that `/weights_checker` was told to keep.
    snapshot: Option<BTreeMap<String, String>>,
    reader: Reporter<WeightsRead>,
}

impl Weights {
    /// The weights of the command line. What a thread has read goes to `reader`, and from there to
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

    /// Handles one input. Gives the answer, unless it comes later, from another input or from [`Weights::advance`].
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

    /// Exchanges weights and releases memory, when they were asked for and nothing runs that needs them. Gives the
    /// answers.
    ///
    /// # Errors
    /// The model gave up.
    pub fn advance(&mut self, on: &mut Access<'_>) -> Result<Vec<AnyMessage>, SchedulerError> {
        let exchanged = self.finish_exchange(on)?;
        Ok(exchanged.into_iter().chain(self.finish_release(on)).collect())
    }

    /// Which weights made which tokens.
    pub fn versions_mut(&mut self) -> &mut WeightVersions {
        &mut self.versions
    }

    /// Names of the parts of the memory that are released.
    pub fn released_names(&self) -> Vec<&'static str> {
        self.released.names()
    }

    /// Lets waiting requests start, or not.
    fn hold_or_admit(&self, planner: &mut Planner) {
        let staged = self.exchange.as_ref().is_some_and(Exchange::is_staged);
        planner.hold_admission(staged || self.released.keeps_from_running());
    }
}
