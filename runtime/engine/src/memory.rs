//! Giving memory back for a while and taking it again (reference: `release_memory_occupation` and
//! `resume_memory_occupation` of `managers/scheduler_components/weight_updater.py`).
//!
//! Keys and values can only go with the cache that knows them. Weights come back from the checkpoint that was served,
//! read on a thread of their own as for an update. While either is away, requests wait in the queue.

use std::collections::BTreeSet;

use sglang_proto::messages::{
    ReleaseMemoryOccupationReqInput, ReleaseMemoryOccupationReqOutput, ResumeMemoryOccupationReqInput,
    ResumeMemoryOccupationReqOutput,
};
use sglang_proto::worker::{MemoryTag, ModelWorker, WorkerError};

use crate::event_loop::EventLoop;
use crate::weights::Purpose;

const BUSY: &str = "release_memory_occupation should be called only when server is idle: requests are running or \
                    waiting. Let them finish, or call /pause_generation first.";

/// What is away, and what was asked for and cannot be done yet.
#[derive(Debug, Default)]
pub(crate) struct ReleasedMemory {
    tags: BTreeSet<MemoryTag>,
    /// Waits for the batch in flight.
    asked: Option<ReleaseMemoryOccupationReqInput>,
}

impl ReleasedMemory {
    /// Whether no batch could run now.
    pub(crate) fn keeps_from_running(&self) -> bool {
        self.tags.iter().any(|tag| *tag != MemoryTag::CudaGraph)
    }

    /// Names of what is away.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.tags.iter().map(|tag| tag.name()).collect()
    }

    /// Other weights have taken the place of those that were away.
    pub(crate) fn weights_are_back(&mut self) {
        self.tags.remove(&MemoryTag::Weights);
    }

    /// The parts that a release means: those that are named, or all that are there.
    fn to_release(&self, names: Option<&[String]>) -> Result<Vec<MemoryTag>, String> {
        let named = parse(names)?;
        let missing = |tag: &MemoryTag| !self.tags.contains(tag);
        if named.is_empty() {
            let rest: Vec<MemoryTag> = MemoryTag::ALL.into_iter().filter(missing).collect();
            return if rest.is_empty() {
                Err("All memory is released already.".to_owned())
            } else {
                Ok(rest)
            };
        }
        match named.iter().find(|tag| !missing(tag)) {
            Some(tag) => Err(format!("'{}' is released already.", tag.name())),
            None => Ok(named),
        }
    }

    /// The parts that a resume means: those that are named, or all that are away.
    fn to_resume(&self, names: Option<&[String]>) -> Result<Vec<MemoryTag>, String> {
        let named = parse(names)?;
        if named.is_empty() {
            let away: Vec<MemoryTag> = self.tags.iter().copied().collect();
            return if away.is_empty() { Err("No memory is released.".to_owned()) } else { Ok(away) };
        }
        match named.iter().find(|tag| !self.tags.contains(tag)) {
            Some(tag) => Err(format!("'{}' is not released.", tag.name())),
            None => Ok(named),
        }
    }
}

/// The tags with these names, without repetitions.
fn parse(names: Option<&[String]>) -> Result<Vec<MemoryTag>, String> {
    let mut tags = Vec::new();
    for name in names.unwrap_or_default() {
        let tag = MemoryTag::by_name(name).ok_or_else(|| {
            let known = MemoryTag::ALL.map(MemoryTag::name).join(", ");
            format!("Unknown tag '{}'; expected some of: {known}.", name.chars().take(80).collect::<String>())
        })?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

impl EventLoop<'_> {
    /// Gives memory back once no batch is in flight. Refused at once while requests run.
    pub(crate) fn release_memory_occupation(&mut self, request: ReleaseMemoryOccupationReqInput) {
        if self.memory.asked.is_some() || self.weight_update.is_some() {
            let why = "Another release of memory or exchange of weights is in progress.";
            return self.released(request.rid, Err(why.to_owned()));
        }
        self.memory.asked = Some(request);
    }

    /// Does what a release asked for, when the last batch is back.
    pub(crate) fn finish_release(&mut self) {
        if self.memory.asked.is_none() || (self.scheduler.num_in_flight() > 0 && self.may_be_idle_soon()) {
            return;
        }
        if let Some(request) = self.memory.asked.take() {
            let done = self.release(request.tags.as_deref());
            self.released(request.rid, done);
        }
    }

    /// Whether nothing but a batch that is in flight stands in the way of a release.
    fn may_be_idle_soon(&self) -> bool {
        let may_wait = self.scheduler.is_paused() || self.memory.keeps_from_running();
        may_wait || (self.scheduler.num_live() == 0 && self.grammars.is_empty())
    }

    fn release(&mut self, names: Option<&[String]>) -> Result<(), String> {
        let tags = self.memory.to_release(names)?;
        if !self.may_be_idle_soon() || !self.scheduler.is_drained() {
            return Err(BUSY.to_owned());
        }
        for tag in tags {
            if tag == MemoryTag::KvCache && !self.scheduler.flush_cache() {
                return Err(BUSY.to_owned());
            }
            let call = move |worker: &mut dyn ModelWorker| worker.release_memory(tag);
            self.on_worker(call).map_err(|error| error.to_string())?;
            self.memory.tags.insert(tag);
            self.hold_or_admit();
            tracing::info!("Released the memory of {}", tag.name());
        }
        Ok(())
    }

    /// Takes memory again: the weights first, which may take long.
    pub(crate) fn resume_memory_occupation(&mut self, request: ResumeMemoryOccupationReqInput) {
        if self.memory.asked.is_some() || self.weight_update.is_some() {
            let why = "Another release of memory or exchange of weights is in progress.";
            return self.resumed(request.rid, Err(why.to_owned()));
        }
        let tags = match self.memory.to_resume(request.tags.as_deref()) {
            Ok(tags) => tags,
            Err(why) => return self.resumed(request.rid, Err(why)),
        };
        if !tags.contains(&MemoryTag::Weights) {
            let done = self.resume(&tags);
            return self.resumed(request.rid, done);
        }
        let (path, format) = self.served_checkpoint.clone();
        tracing::info!("Reading the weights again: {path}");
        let rid = request.rid.clone();
        if let Err(error) = self.read_weights(Purpose::Resume { rid: request.rid, tags }, path, format, true)
        {
            self.resumed(rid, Err(error.to_string()));
        }
    }

    /// The weights of a resume are in place, or could not be read.
    pub(crate) fn finish_resume(
        &mut self,
        rid: Option<String>,
        tags: &[MemoryTag],
        weights: Result<(), String>,
    ) {
        let done = weights.and_then(|()| {
            self.memory.weights_are_back();
            self.resume(tags)
        });
        self.hold_or_admit();
        self.resumed(rid, done);
    }

    /// Takes parts other than the weights again.
    fn resume(&mut self, tags: &[MemoryTag]) -> Result<(), String> {
        for &tag in tags.iter().filter(|tag| **tag != MemoryTag::Weights) {
            let call = move |worker: &mut dyn ModelWorker| worker.resume_memory(tag);
            self.on_worker(call).map_err(|error| format!("'{}' stays released: {error}", tag.name()))?;
            self.memory.tags.remove(&tag);
            self.hold_or_admit();
            tracing::info!("Took the memory of {} again", tag.name());
        }
        Ok(())
    }

    fn on_worker(
        &self,
        call: impl FnOnce(&mut dyn ModelWorker) -> Result<(), WorkerError> + Send + 'static,
    ) -> Result<(), WorkerError> {
        self.worker.call(self.settings.watchdog_timeout, call)?
    }

    /// Lets waiting requests start, or not.
    pub(crate) fn hold_or_admit(&mut self) {
        let exchange = self.weight_update.as_ref().is_some_and(|update| update.is_staged());
        self.scheduler.hold_admission(exchange || self.memory.keeps_from_running());
    }

    fn released(&mut self, rid: Option<String>, done: Result<(), String>) {
        let (success, message) = outcome(done);
        // Whoever has the answer may ask for the state at once.
        self.publish();
        let released = self.memory.keeps_from_running();
        self.reply(ReleaseMemoryOccupationReqOutput {
            rid,
            http_worker_ipc: None,
            success,
            message,
            released,
        });
    }

    fn resumed(&mut self, rid: Option<String>, done: Result<(), String>) {
        let (success, message) = outcome(done);
        // Whoever has the answer may ask for the state at once.
        self.publish();
        let released = self.memory.keeps_from_running();
        self.reply(ResumeMemoryOccupationReqOutput {
            rid,
            http_worker_ipc: None,
            success,
            message,
            released,
        });
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn tags_are_those_of_the_reference_and_what_is_away_cannot_go_again() {
        use MemoryTag::{CudaGraph, KvCache, Weights};
        let mut memory = ReleasedMemory::default();
        assert_eq!(memory.to_release(None), Ok(vec![KvCache, Weights, CudaGraph]));
        assert_eq!(memory.to_release(Some(&names(&["weights", "weights"]))), Ok(vec![Weights]));
        let unknown = memory.to_release(Some(&names(&["kv_cache", "kv"]))).unwrap_err();
        assert_eq!(unknown, "Unknown tag 'kv'; expected some of: kv_cache, weights, cuda_graph.");
        assert!(memory.to_resume(None).is_err() && memory.to_resume(Some(&names(&["weights"]))).is_err());
        memory.tags.insert(Weights);
        assert_eq!(memory.to_release(Some(&[])), Ok(vec![KvCache, CudaGraph]));
        assert_eq!(
            memory.to_release(Some(&names(&["kv_cache", "weights"]))).unwrap_err(),
            "'weights' is released already."
        );
        assert_eq!(memory.to_resume(None), Ok(vec![Weights]));
        assert_eq!(
            memory.to_resume(Some(&names(&["weights", "kv_cache"]))).unwrap_err(),
            "'kv_cache' is not released."
        );
    }

    #[test]
    fn graphs_alone_hold_nobody_up() {
        let mut memory = ReleasedMemory::default();
        memory.tags.insert(MemoryTag::CudaGraph);
        assert!(!memory.keeps_from_running());
        memory.tags.insert(MemoryTag::KvCache);
        assert!(memory.keeps_from_running());
        assert_eq!(memory.names(), ["kv_cache", "cuda_graph"]);
    }
}
