//! Releases memory temporarily and resumes it (reference: `release_memory_occupation` and `resume_memory_occupation` of
//! `managers/scheduler_components/weight_updater.py`).
//!
//! Releasing the KV pool also flushes the prefix cache. Released weights are read again from the served checkpoint on a
//! separate thread, as for an update. While either is released, requests wait in the queue.

use sglang_proto::messages::{
    AnyMessage, CallId, ReleaseMemoryOccupationReqInput, ReleaseMemoryOccupationReqOutput,
    ResumeMemoryOccupationReqInput, ResumeMemoryOccupationReqOutput,
};
use sglang_proto::worker::{MemoryTag, ModelWorker, WorkerError};

use super::exchange::Purpose;
use super::{Access, Weights};
use crate::worker_thread::WorkerThread;

const BUSY: &str = "release_memory_occupation should be called only when server is idle: requests are running or \
                    waiting. Let them finish, or call /pause_generation first.";
const IN_PROGRESS: &str = "Another release of memory or exchange of weights is in progress.";

impl Weights {
    /// Releases memory when no batch is in flight. Returns an error at once while requests run.
    pub(super) fn release(&mut self, request: ReleaseMemoryOccupationReqInput) -> Option<AnyMessage> {
        if self.released.asked.is_some() || self.exchange.is_some() {
            return Some(self.release_answer(request.rid, Err(IN_PROGRESS.to_owned())));
        }
        self.released.asked = Some(request);
        None
    }

    /// Completes a release when the last batch is back.
    pub(super) fn finish_release(&mut self, on: &mut Access<'_>) -> Option<AnyMessage> {
        let in_flight = on.planner.num_in_flight() > 0;
        if self.released.asked.is_none() || (in_flight && self.may_be_idle_soon(on)) {
            return None;
        }
        let request = self.released.asked.take()?;
        let done = self.release_parts(request.tags.as_deref(), on);
        Some(self.release_answer(request.rid, done))
    }

    /// Whether only a batch in flight prevents a release.
    fn may_be_idle_soon(&self, on: &Access<'_>) -> bool {
        let may_wait = on.planner.is_paused() || self.released.keeps_from_running();
        may_wait || (on.planner.num_live() == 0 && !on.grammars_wait)
    }

    fn release_parts(&mut self, names: Option<&[String]>, on: &mut Access<'_>) -> Result<(), String> {
        let tags = self.released.to_release(names)?;
        if !self.may_be_idle_soon(on) || !on.planner.is_drained() {
            return Err(BUSY.to_owned());
        }
        for tag in tags {
            if tag == MemoryTag::KvCache && !on.planner.flush_cache() {
                return Err(BUSY.to_owned());
            }
            let call = move |worker: &mut dyn ModelWorker| worker.release_memory(tag);
            call_worker(on.worker, call).map_err(|error| error.to_string())?;
            self.released.tags.insert(tag);
            self.hold_or_admit(on.planner);
            tracing::info!("Released the memory of {}", tag.name());
        }
        Ok(())
    }

    /// Resumes memory. Starts with the weights, which may take long.
    pub(super) fn resume(
        &mut self,
        request: ResumeMemoryOccupationReqInput,
        on: &mut Access<'_>,
    ) -> Option<AnyMessage> {
        if self.released.asked.is_some() || self.exchange.is_some() {
            return Some(self.resume_answer(request.rid, Err(IN_PROGRESS.to_owned())));
        }
        let tags = match self.released.to_resume(request.tags.as_deref()) {
            Ok(tags) => tags,
            Err(why) => return Some(self.resume_answer(request.rid, Err(why))),
        };
        if !tags.contains(&MemoryTag::Weights) {
            let done = self.resume_parts(&tags, on);
            return Some(self.resume_answer(request.rid, done));
        }
        let (path, format) = self.served.clone();
        tracing::info!("Reading the weights again: {path}");
        let rid = request.rid.clone();
        let purpose = Purpose::Resume { rid: request.rid, tags };
        let started = self.read(purpose, path, format, on.worker);
        started.err().map(|error| self.resume_answer(rid, Err(error.to_string())))
    }

    /// Completes a resume after its weights are in place or could not be read.
    pub(super) fn finish_resume(
        &mut self,
        rid: CallId,
        tags: &[MemoryTag],
        weights: Result<(), String>,
        on: &mut Access<'_>,
    ) -> AnyMessage {
        let done = weights.and_then(|()| {
            self.released.weights_are_back();
            self.resume_parts(tags, on)
        });
        self.hold_or_admit(on.planner);
        self.resume_answer(rid, done)
    }

    /// Resumes the parts other than the weights.
    fn resume_parts(&mut self, tags: &[MemoryTag], on: &mut Access<'_>) -> Result<(), String> {
        for &tag in tags.iter().filter(|tag| **tag != MemoryTag::Weights) {
            let call = move |worker: &mut dyn ModelWorker| worker.resume_memory(tag);
            call_worker(on.worker, call)
                .map_err(|error| format!("'{}' stays released: {error}", tag.name()))?;
            self.released.tags.remove(&tag);
            self.hold_or_admit(on.planner);
            tracing::info!("Took the memory of {} again", tag.name());
        }
        Ok(())
    }

    fn release_answer(&self, rid: CallId, done: Result<(), String>) -> AnyMessage {
        let (success, message) = outcome(done);
        let released = self.released.keeps_from_running();
        ReleaseMemoryOccupationReqOutput { rid, success, message, released }.into()
    }

    fn resume_answer(&self, rid: CallId, done: Result<(), String>) -> AnyMessage {
        let (success, message) = outcome(done);
        let released = self.released.keeps_from_running();
        ResumeMemoryOccupationReqOutput { rid, success, message, released }.into()
    }
}

fn call_worker(
    worker: &WorkerThread,
    call: impl FnOnce(&mut dyn ModelWorker) -> Result<(), WorkerError> + Send + 'static,
) -> Result<(), WorkerError> {
    worker.call(call)?
}

fn outcome(done: Result<(), String>) -> (bool, String) {
    match done {
        Ok(()) => (true, String::new()),
        Err(message) => {
            tracing::warn!("{message}");
            (false, message)
        }
    }
}
