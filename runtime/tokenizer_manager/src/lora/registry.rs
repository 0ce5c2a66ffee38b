//! The registry of adapter names, in order of last use.

use std::collections::HashMap;
use std::sync::Arc;

use sglang_proto::lora::LoRARef;

use super::{AdapterUse, LoraSettings, Shared};
use crate::requests::ValueError;
use crate::requests::python::str_repr;

/// The registry's state.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Adapters that requests may name, least recently used first.
    registered: Vec<LoRARef>,
    /// Number of requests per adapter id.
    uses: HashMap<String, usize>,
    /// Every adapter that was ever loaded, by name and as last loaded: an evicted one is loaded again on request.
    known: Vec<LoRARef>,
    /// Ids, by name, of adapters that can no longer be named but are still loaded in the scheduler.
    pending_unloads: HashMap<String, String>,
}

impl State {
    pub(super) fn hold(&mut self, lora_id: &str) {
        *self.uses.entry(lora_id.to_owned()).or_default() += 1;
    }

    pub(super) fn release(&mut self, lora_id: &str) {
        if let Some(uses) = self.uses.get_mut(lora_id) {
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                self.uses.remove(lora_id);
            }
        }
    }

    /// The registered adapter of this name; it becomes the most recently used one.
    fn touch(&mut self, name: &str) -> Option<LoRARef> {
        let at = self.registered.iter().position(|lora| lora.name() == name)?;
        let lora = self.registered.remove(at);
        self.registered.push(lora.clone());
        Some(lora)
    }

    fn remember(&mut self, lora: &LoRARef) {
        match self.known.iter_mut().find(|known| known.name() == lora.name()) {
            Some(known) => *known = lora.clone(),
            None => self.known.push(lora.clone()),
        }
    }
}

/// Names, printed like the keys of a Python dictionary.
fn keys(kind: &str, adapters: &[LoRARef]) -> String {
    let names: Vec<String> = adapters.iter().map(|lora| str_repr(lora.name())).collect();
    format!("{kind}([{}])", names.join(", "))
}

/// The adapters of a server.
#[derive(Debug)]
pub struct LoraRegistry {
    shared: Arc<Shared>,
    /// The adapters with which the scheduler starts.
    at_start: Vec<LoRARef>,
    max_loaded_loras: Option<usize>,
    /// Adapters are loaded and unloaded one at a time.
    pub(crate) updates: tokio::sync::Mutex<()>,
}

impl LoraRegistry {
    /// A registry of the adapters that the scheduler loads at start.
    pub fn new(settings: LoraSettings) -> Self {
        let LoraSettings { adapters, max_loaded_loras } = settings;
        let state = State { registered: adapters.clone(), known: adapters.clone(), ..State::default() };
        let shared = Arc::new(Shared { state: state.into(), ..Shared::default() });
        Self { shared, at_start: adapters, max_loaded_loras, updates: tokio::sync::Mutex::new(()) }
    }

    /// Adapters that requests may name, least recently used first.
    pub fn registered(&self) -> Vec<LoRARef> {
        self.shared.state.lock().registered.clone()
    }

    /// Names that requests may use: those of registered adapters, and of others that are loaded again on request.
    pub fn known_names(&self) -> Vec<String> {
        self.shared.state.lock().known.iter().map(|lora| lora.name().to_owned()).collect()
    }

    /// Registers an adapter that the scheduler has loaded.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn register(&self, lora: LoRARef) -> Result<(), ValueError> {
        let mut state = self.shared.state.lock();
        if state.registered.iter().any(|known| known.name() == lora.name()) {
            return Err(ValueError(format!(
                "LoRA with name {} already exists. Loaded LoRAs: {}",
                lora.name(),
                keys("odict_keys", &state.registered)
            )));
        }
        state.remember(&lora);
        state.registered.push(lora);
        Ok(())
    }

    /// Removes a name, so that no further request gets the adapter, and returns its id. If an earlier unload failed, it
    /// is tried again.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn unregister(&self, name: &str) -> Result<String, ValueError> {
        let mut state = self.shared.state.lock();
        if let Some(id) = state.pending_unloads.get(name) {
            return Ok(id.clone());
        }
        let Some(at) = state.registered.iter().position(|lora| lora.name() == name) else {
            return Err(ValueError(format!(
                "LoRA with name {name} does not exist. Loaded LoRAs: {}",
                keys("odict_keys", &state.registered)
            )));
        };
        let id = state.registered.remove(at).lora_id;
        state.pending_unloads.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    /// The scheduler has unloaded the adapter of this name.
    pub fn unloaded(&self, name: &str) {
        self.shared.state.lock().pending_unloads.remove(name);
    }

    /// The scheduler may have the adapter although it reported a failure to load it.
    pub fn half_loaded(&self, lora: &LoRARef) {
        let mut state = self.shared.state.lock();
        if !state.registered.iter().any(|known| known.name() == lora.name()) {
            state.pending_unloads.insert(lora.name().to_owned(), lora.lora_id.clone());
        }
    }

    /// Refuses to load a name that the scheduler has not unloaded yet.
    ///
    /// # Errors
    /// If it is not unloaded yet.
    pub fn check_loadable(&self, name: &str) -> Result<(), ValueError> {
        match self.shared.state.lock().pending_unloads.contains_key(name) {
            true => Err(ValueError(format!(
                "LoRA adapter '{name}' has an incomplete unload. Retry the unload before loading it again."
            ))),
            false => Ok(()),
        }
    }

    /// Waits until no request uses the adapter with this id.
    pub async fn wait_for_unload(&self, lora_id: &str) {
        loop {
            let released = self.shared.released.notified();
            let mut released = std::pin::pin!(released);
            released.as_mut().enable();
            if !self.shared.state.lock().uses.contains_key(lora_id) {
                return;
            }
            released.await;
        }
    }

    /// The adapter to unload if there are more than `--max-loaded-loras`: the least recently used one that is not
    /// pinned.
    ///
    /// # Errors
    /// If all are pinned.
    pub fn one_too_many(&self) -> Result<Option<String>, ValueError> {
        let state = self.shared.state.lock();
        if self.max_loaded_loras.is_none_or(|most| state.registered.len() <= most) {
            return Ok(None);
        }
        let victim = state.registered.iter().find(|lora| !lora.is_pinned());
        victim.map(|lora| Some(lora.name().to_owned())).ok_or_else(|| {
            ValueError(format!(
                "Didn't find any LoRA adapters when trying to evict LRU LoRA adapter. LoRA registry is: {}",
                keys("odict_keys", &state.registered)
            ))
        })
    }

    /// The adapters among `names` that must be loaded again; the others count as used.
    ///
    /// # Errors
    /// If there are more names than may be loaded, or one was never loaded.
    pub fn to_reload(&self, names: &[Option<String>]) -> Result<Vec<LoRARef>, ValueError> {
        // As in the reference, "no adapter" counts as one.
        let mut unique: Vec<&Option<String>> = Vec::new();
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        if let Some(most) = self.max_loaded_loras.filter(|most| unique.len() > *most) {
            return Err(ValueError(format!(
                "Received request with {} unique loras requested but max loaded loras is {most}",
                unique.len()
            )));
        }
        let mut state = self.shared.state.lock();
        let mut missing = Vec::new();
        for name in unique.into_iter().flatten() {
            if state.touch(name).is_some() {
                continue;
            }
            let known = state.known.iter().find(|lora| lora.name() == name);
            missing.push(known.cloned().ok_or_else(|| {
                ValueError(format!(
                    "Got LoRA adapter that has never been loaded: {name}\nAll loaded adapters: {}.",
                    keys("dict_keys", &state.known)
                ))
            })?);
        }
        Ok(missing)
    }

    /// Acquires the adapters of a request's prompts.
    ///
    /// # Errors
    /// If one is not loaded.
    pub fn acquire(&self, names: &[Option<String>]) -> Result<Vec<Option<AdapterUse>>, ValueError> {
        let mut state = self.shared.state.lock();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            found.push(match name {
                None => None,
                Some(name) => Some(state.touch(name).ok_or_else(|| {
                    ValueError(format!(
                        "The following requested LoRA adapters are not loaded: {name}\nLoaded adapters: {}.",
                        keys("odict_keys", &state.registered)
                    ))
                })?),
            });
        }
        found.iter().flatten().for_each(|lora| state.hold(&lora.lora_id));
        let held = |lora| AdapterUse { shared: self.shared.clone(), lora };
        Ok(found.into_iter().map(|lora| lora.map(held)).collect())
    }

    /// What a new scheduler process, which has the adapters of the command line, must load and unload.
    pub fn after_restart(&self) -> (Vec<LoRARef>, Vec<LoRARef>) {
        let mut state = self.shared.state.lock();
        state.pending_unloads.clear();
        let not_in = |all: &[LoRARef], lora: &LoRARef| all.iter().all(|other| other.lora_id != lora.lora_id);
        let load = state.registered.iter().filter(|lora| not_in(&self.at_start, lora)).cloned().collect();
        let forget = self.at_start.iter().filter(|lora| not_in(&state.registered, lora)).cloned().collect();
        (load, forget)
    }
}
