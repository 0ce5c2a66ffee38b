//! Limits the number of LoRA adapters that run at once (reference: `LoRAManager.validate_lora_batch`).

use super::Planner;

/// The adapters of running requests and of those admitted to the step; `None` stands for requests without adapter.
pub(super) type RunningAdapters = Vec<Option<String>>;

impl Planner {
    /// Reserves a place in every batch for an adapter, or removes the reservation.
    pub fn pin_adapter(&mut self, lora_id: &str, pinned: bool) {
        match pinned {
            true => drop(self.pinned_adapters.insert(lora_id.to_owned())),
            false => drop(self.pinned_adapters.remove(lora_id)),
        }
    }

    /// The adapters of running requests, the chunked request and `started`; `None` if their number is not limited.
    pub(super) fn running_adapters(&self, started: &[usize]) -> Option<RunningAdapters> {
        self.config.max_loras_per_batch?;
        let ids = self.running.iter().chain(started).chain(&self.chunked);
        let mut adapters = RunningAdapters::new();
        for req in ids.filter_map(|id| self.reqs.get(*id)) {
            if !adapters.contains(&req.namespace.lora_id) {
                adapters.push(req.namespace.lora_id.clone());
            }
        }
        Some(adapters)
    }

    /// Whether the adapter of a waiting request fits beside the running ones. Requests without adapter also take a
    /// place.
    pub(super) fn adapter_fits(&self, running: &RunningAdapters, id: usize) -> bool {
        let (Some(most), Some(req)) = (self.config.max_loras_per_batch, self.reqs.get(id)) else {
            return true;
        };
        let own = &req.namespace.lora_id;
        if running.contains(own) {
            return true;
        }
        if running.len() + 1 > most {
            return false;
        }
        let pinned = |adapter: &Option<String>| {
            adapter.as_ref().is_some_and(|adapter| self.pinned_adapters.contains(adapter))
        };
        let unpinned = running.iter().chain([own]).filter(|adapter| !pinned(adapter)).count();
        unpinned + self.pinned_adapters.len() <= most
    }

    /// Number of adapters of running requests.
    pub(super) fn num_running_adapters(&self) -> usize {
        self.running_adapters(&[]).map_or(0, |adapters| adapters.iter().flatten().count())
    }
}
