//! LoRA adapters by name: which are loaded, which requests use them, and which were unloaded to make room (reference:
//! `lora/lora_registry.py`).

mod registry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sglang_proto::lora::LoRARef;
use tokio::sync::Notify;

pub use registry::LoraRegistry;
use registry::State;

/// The initial settings of a server with LoRA.
#[derive(Clone, Debug, Default)]
pub struct LoraSettings {
    /// Adapters of the command line.
    pub adapters: Vec<LoRARef>,
    /// `--max-loaded-loras`.
    pub max_loaded_loras: Option<usize>,
}

/// A request's use of its adapter, which prevents unloading.
#[derive(Debug)]
pub struct AdapterUse {
    shared: Arc<Shared>,
    /// The adapter.
    pub lora: LoRARef,
}

#[derive(Debug, Default)]
struct Shared {
    state: parking_lot::Mutex<State>,
    released: Notify,
}

impl Clone for AdapterUse {
    fn clone(&self) -> Self {
        self.shared.state.lock().hold(&self.lora.lora_id);
        Self { shared: self.shared.clone(), lora: self.lora.clone() }
    }
}

impl Drop for AdapterUse {
    fn drop(&mut self) {
        self.shared.state.lock().release(&self.lora.lora_id);
        self.shared.released.notify_waiters();
    }
}
