//! How many LoRA adapters run at once (reference: `LoRAManager.validate_lora_batch`).

use super::Planner;

/// The adapters of what runs and of what has been admitted to the step; `None` stands for requests without one.
pub(super) type RunningAdapters = Vec<Option<String>>;

impl Planner {
    /// Keeps a place in every batch for an adapter, or no longer.
    pub fn pin_adapter(&mut self, lora_id: &str, pinned: bool) {
        match pinned {
            true => drop(self.pinned_adapters.insert(lora_id.to_owned())),
            false => drop(self.pinned_adapters.remove(lora_id)),
        }
    }

    /// The adapters of running requests, the chunked one and `started`; `None` when their number is not limited.
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

    /// Whether a waiting request's adapter fits beside those that run. Requests without an adapter take a place, too.
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

    /// Adapters of running requests.
    pub(super) fn num_running_adapters(&self) -> usize {
        self.running_adapters(&[]).map_or(0, |adapters| adapters.iter().flatten().count())
    }
}
