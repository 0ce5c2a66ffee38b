//! Manages the loaded adapters (reference: `lora/lora_manager.py`).

use std::collections::HashMap;
use std::sync::Arc;

use sglang_proto::lora::LoRARef;
use sglang_server_args::ServerArgs;
use tch::Device;

use crate::error::{ModelError, Result};
use crate::loader::WeightTarget;
use crate::lora_sites::LoraSites;
use crate::plan::ForwardPlan;

use super::memory_pool::MemoryPool;
use super::reader::ReadAdapter;
use super::{EvictionPolicy, LoraAdapter, LoraBatch, LoraLimits, LoraReader};

/// LoRA settings of a server.
#[derive(Clone, Debug, Default)]
pub struct LoraOptions {
    /// Adapters to load at start-up.
    pub adapters: Vec<LoRARef>,
    /// `--max-lora-rank`.
    pub max_rank: Option<usize>,
    /// `--lora-target-modules`.
    pub target_modules: Option<Vec<String>>,
    /// `--max-loras-per-batch`.
    pub max_loras_per_batch: usize,
    /// `--lora-eviction-policy`.
    pub eviction_policy: EvictionPolicy,
}

impl LoraOptions {
    /// The settings of a server; `None` if LoRA is off.
    pub fn from_server_args(args: &ServerArgs) -> Option<Self> {
        args.enable_lora.then(|| Self {
            adapters: args.lora_refs(),
            max_rank: args.max_lora_rank,
            target_modules: args.lora_target_modules.clone(),
            max_loras_per_batch: args.max_loras_per_batch,
            // The flag's check allows no other values.
            eviction_policy: args.lora_eviction_policy.parse().unwrap_or_default(),
        })
    }
}

#[derive(Debug)]
struct Loaded {
    lora: LoRARef,
    adapter: LoraAdapter,
}

/// The loaded adapters, and their copies on the device.
#[derive(Debug)]
pub struct LoraManager {
    reader: Arc<LoraReader>,
    loaded: HashMap<String, Loaded>,
    max_loras_per_batch: usize,
    /// `None` if adapters are used from host memory.
    pool: Option<MemoryPool>,
}

impl LoraManager {
    /// Reads the start-up adapters. They also determine the limits that flags do not set.
    ///
    /// # Errors
    /// An adapter cannot be read, or does not fit the model or the limits.
    pub fn new(
        options: &LoraOptions,
        sites: LoraSites,
        target: WeightTarget,
        vocab_size: usize,
    ) -> Result<Self> {
        let modules = options.target_modules.as_ref().map(|names| match names.iter().any(|n| n == "all") {
            true => sites.merged_modules(),
            false => names.iter().map(|n| sglang_checkpoint::lora::merged_module(n).to_owned()).collect(),
        });
        let limits = LoraLimits { max_rank: options.max_rank, modules };
        let pool = match target {
            WeightTarget::Torch(device, _) if device != Device::Cpu => {
                Some(MemoryPool::new(device, options.max_loras_per_batch, options.eviction_policy))
            }
            _ => None,
        };
        let reader = Arc::new(LoraReader::new(sites, target, vocab_size, limits.clone()));
        let max_loras_per_batch = options.max_loras_per_batch;
        let mut manager = Self { reader, loaded: HashMap::new(), max_loras_per_batch, pool };
        let mut found = LoraLimits { max_rank: Some(0), modules: Some(Default::default()) };
        for lora in &options.adapters {
            let failed = |why: String| {
                ModelError::Adapter(format!("Failed to load LoRA adapter {}: {why}", lora.name()))
            };
            let path = std::path::Path::new(lora.path());
            let read = manager.reader.read_folder(lora.name(), path).map_err(|e| failed(e.to_string()))?;
            found.max_rank = found.max_rank.max(Some(read.rank));
            found.modules.get_or_insert_default().extend(read.modules.iter().cloned());
            manager.add(lora.clone(), read).map_err(failed)?;
        }
        manager.reader.set_limits(LoraLimits {
            max_rank: limits.max_rank.or(found.max_rank),
            modules: limits.modules.or(found.modules),
        });
        Ok(manager)
    }

    /// The reader for more adapters.
    pub fn reader(&self) -> Arc<LoraReader> {
        self.reader.clone()
    }

    /// Adds an adapter that [`LoraManager::reader`] has read.
    ///
    /// # Errors
    /// The name is in use, or too many adapters are pinned. Texts are those of the reference.
    pub fn add(&mut self, lora: LoRARef, read: ReadAdapter) -> std::result::Result<(), String> {
        let name = lora.name();
        if self.loaded.contains_key(&lora.lora_id) || self.loaded.values().any(|l| l.lora.name() == name) {
            return Err(format!("Failed to load LoRA adapter {name} because it is already loaded"));
        }
        if let Some(other) = self.loaded.values().find(|l| l.lora.path() == lora.path()) {
            tracing::warn!(
                "{} is already loaded with name: {}, but another copy is being loaded with name: {name}",
                lora.path(),
                other.lora.name()
            );
        }
        let pinned = self.loaded.values().filter(|l| l.lora.is_pinned()).count();
        if lora.is_pinned() && pinned + 1 >= self.max_loras_per_batch {
            return Err(format!(
                "Failed to load LoRA adapter {name} as a pinned adapter. It is not allowed to pin all slots in the LoRA \
                 memory pool to avoid starvation for unpinned adapters and base models. Please increase your \
                 `--max-loras-per-batch` or load it as unpinned LoRA adapters."
            ));
        }
        tracing::info!(
            "LoRA adapter loaded: {name} from {}, rank {}, {:.1} MB",
            lora.path(),
            read.rank,
            read.adapter.bytes as f64 / 1e6
        );
        self.loaded.insert(lora.lora_id.clone(), Loaded { lora, adapter: read.adapter });
        Ok(())
    }

    /// Removes an adapter, if it is loaded.
    pub fn remove(&mut self, lora_id: &str) {
        if let Some(gone) = self.loaded.remove(lora_id) {
            tracing::info!("LoRA adapter unloaded: {}", gone.lora.name());
        }
        if let Some(pool) = &mut self.pool {
            pool.remove(lora_id);
        }
    }

    /// Whether an adapter is loaded.
    pub fn contains(&self, lora_id: &str) -> bool {
        self.loaded.contains_key(lora_id)
    }

    /// Bytes by which the device's pool may still grow; without a pool, the bytes of as many adapters as a batch may
    /// have.
    pub fn reserved_bytes(&self, element_size: usize) -> u64 {
        let limits = self.reader.limits();
        let (rank, modules) = (limits.max_rank.unwrap_or(0), limits.modules.unwrap_or_default());
        let one = self.reader.sites().numbers(rank, &modules) * element_size as u64;
        let all = one * self.max_loras_per_batch as u64;
        match self.pool {
            Some(_) => all,
            None => all.saturating_sub(self.loaded.values().map(|l| l.adapter.bytes).sum()),
        }
    }

    /// Copies the adapters with these ids to the model's device.
    ///
    /// # Errors
    /// The device has too little memory for them.
    pub fn prepare(&mut self, ids: &[&str]) -> Result<()> {
        let loaded = &self.loaded;
        match &mut self.pool {
            None => Ok(()),
            Some(pool) => pool.prepare(
                ids,
                |id| loaded.get(id).map(|l| &l.adapter),
                |id| loaded.get(id).is_some_and(|l| l.lora.is_pinned()),
            ),
        }
    }

    /// The groups of a step whose adapters are prepared; `id_of` returns the adapter id of a pool row.
    pub(crate) fn batch<'a>(
        &'a self,
        plan: &ForwardPlan,
        id_of: impl Fn(u32) -> Option<&'a str>,
    ) -> Option<LoraBatch<'a>> {
        LoraBatch::of_step(plan, |row| self.of(id_of(row)?))
    }

    /// The groups for a subset of a step's rows (ascending), which have been gathered into a smaller matrix.
    pub(crate) fn batch_of_rows<'a>(
        &'a self,
        plan: &ForwardPlan,
        rows: &[usize],
        id_of: impl Fn(u32) -> Option<&'a str>,
    ) -> Option<LoraBatch<'a>> {
        LoraBatch::of_rows(plan, rows, |row| self.of(id_of(row)?))
    }

    /// A prepared adapter, with its id.
    fn of<'a>(&'a self, id: &'a str) -> Option<(&'a str, &'a LoraAdapter)> {
        let adapter = match &self.pool {
            Some(pool) => pool.get(id),
            None => self.loaded.get(id).map(|l| &l.adapter),
        };
        adapter.map(|adapter| (id, adapter))
    }
}
