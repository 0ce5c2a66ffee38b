//! Tracks which parts of memory are released, and resolves the tags of calls.

use std::collections::BTreeSet;

use sglang_proto::messages::ReleaseMemoryOccupationReqInput;
use sglang_proto::worker::MemoryTag;

/// The released parts, and a release that is still pending.
#[derive(Debug, Default)]
pub(super) struct ReleasedMemory {
    pub(super) tags: BTreeSet<MemoryTag>,
    /// A release that waits for the batch in flight.
    pub(super) asked: Option<ReleaseMemoryOccupationReqInput>,
}

impl ReleasedMemory {
    /// Whether released memory prevents batches from running.
    pub(super) fn keeps_from_running(&self) -> bool {
        self.tags.iter().any(|tag| *tag != MemoryTag::CudaGraph)
    }

    /// Names of the released parts.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.tags.iter().map(|tag| tag.name()).collect()
    }

    /// Marks the weights as present: an update has replaced the released ones.
    pub(super) fn weights_are_back(&mut self) {
        self.tags.remove(&MemoryTag::Weights);
    }

    /// The parts to release: those named, or all present ones.
    pub(super) fn to_release(&self, names: Option<&[String]>) -> Result<Vec<MemoryTag>, String> {
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

    /// The parts to resume: those named, or all released ones.
    pub(super) fn to_resume(&self, names: Option<&[String]>) -> Result<Vec<MemoryTag>, String> {
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

/// The tags with these names, without duplicates.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn tags_are_those_of_the_reference_and_released_parts_cannot_be_released_again() {
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
    fn released_cuda_graphs_do_not_prevent_batches() {
        let mut memory = ReleasedMemory::default();
        memory.tags.insert(MemoryTag::CudaGraph);
        assert!(!memory.keeps_from_running());
        memory.tags.insert(MemoryTag::KvCache);
        assert!(memory.keeps_from_running());
        assert_eq!(memory.names(), ["kv_cache", "cuda_graph"]);
    }
}
