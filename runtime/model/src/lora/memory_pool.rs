//! The adapters that are on the device. Only GPUs need this pool: on a CPU, loaded adapters are used in place.

use std::collections::HashMap;
use std::str::FromStr;

use tch::Device;

use crate::error::{ModelError, Result};

use super::LoraAdapter;

/// Which adapter is evicted when another one needs its place (`--lora-eviction-policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// The least recently used one.
    #[default]
    Lru,
    /// The one that was added first.
    Fifo,
}

impl FromStr for EvictionPolicy {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "lru" => Ok(Self::Lru),
            "fifo" => Ok(Self::Fifo),
            other => Err(ModelError::Option {
                flag: "lora-eviction-policy",
                value: other.to_owned(),
                why: "expected lru or fifo".to_owned(),
            }),
        }
    }
}

/// Copies of adapters on a device; at most as many as a batch may have.
#[derive(Debug)]
pub(super) struct MemoryPool {
    device: Device,
    slots: usize,
    policy: EvictionPolicy,
    /// Ids of the adapters, in order of eviction.
    order: Vec<String>,
    copies: HashMap<String, LoraAdapter>,
}

impl MemoryPool {
    pub(super) fn new(device: Device, slots: usize, policy: EvictionPolicy) -> Self {
        Self { device, slots: slots.max(1), policy, order: Vec::new(), copies: HashMap::new() }
    }

    /// Copies the adapters of a step to the device. Does not evict those of the step and, if possible, `pinned` ones.
    ///
    /// # Errors
    /// There are more adapters than places, or the device has too little memory.
    pub(super) fn prepare<'a>(
        &mut self,
        step: &[&str],
        host: impl Fn(&str) -> Option<&'a LoraAdapter>,
        pinned: impl Fn(&str) -> bool,
    ) -> Result<()> {
        if step.len() > self.slots {
            return Err(ModelError::Adapter(format!(
                "{} adapters in one batch, --max-loras-per-batch is {}",
                step.len(),
                self.slots
            )));
        }
        for id in step {
            if let Some(at) = self.order.iter().position(|known| known == id) {
                if self.policy == EvictionPolicy::Lru {
                    let id = self.order.remove(at);
                    self.order.push(id);
                }
                continue;
            }
            let Some(adapter) = host(id) else { continue };
            while self.order.len() >= self.slots {
                let free = |other: &String| !step.contains(&other.as_str());
                // Evicts a pinned one only if there is no other.
                let victim = self.order.iter().position(|o| free(o) && !pinned(o));
                let Some(victim) = victim.or_else(|| self.order.iter().position(free)) else { break };
                let victim = self.order.remove(victim);
                self.copies.remove(&victim);
            }
            self.copies.insert((*id).to_owned(), adapter.to_device(self.device)?);
            self.order.push((*id).to_owned());
        }
        Ok(())
    }

    /// The copy of an adapter.
    pub(super) fn get(&self, id: &str) -> Option<&LoraAdapter> {
        self.copies.get(id)
    }

    /// Removes an adapter.
    pub(super) fn remove(&mut self, id: &str) {
        self.order.retain(|known| known != id);
        self.copies.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(policy: EvictionPolicy, steps: &[&[&str]]) -> Vec<String> {
        let adapter = LoraAdapter::new(1.0, HashMap::new(), None);
        let mut pool = MemoryPool::new(Device::Cpu, 2, policy);
        for step in steps {
            pool.prepare(step, |_| Some(&adapter), |id| id == "pinned").unwrap();
            assert!(step.iter().all(|id| pool.get(id).is_some()) && pool.copies.len() <= 2);
        }
        pool.order.clone()
    }

    #[test]
    fn the_policy_decides_the_eviction_and_the_step_and_pinned_ones_stay() {
        assert_eq!(after(EvictionPolicy::Lru, &[&["a"], &["b"], &["a"], &["c"]]), ["a", "c"]);
        assert_eq!(after(EvictionPolicy::Fifo, &[&["a"], &["b"], &["a"], &["c"]]), ["b", "c"]);
        assert_eq!(after(EvictionPolicy::Lru, &[&["pinned"], &["b"], &["c"]]), ["pinned", "c"]);
        assert_eq!(after(EvictionPolicy::Lru, &[&["pinned"], &["a", "b"]]), ["a", "b"]);
        let adapter = LoraAdapter::new(1.0, HashMap::new(), None);
        let mut pool = MemoryPool::new(Device::Cpu, 2, EvictionPolicy::Lru);
        assert!(pool.prepare(&["a", "b", "c"], |_| Some(&adapter), |_| false).is_err());
        pool.prepare(&["a"], |_| Some(&adapter), |_| false).unwrap();
        pool.remove("a");
        assert!(pool.get("a").is_none() && pool.order.is_empty());
    }
}
